/** Versions of a computer that forgets them when it stops. */

import type { VersionFiles, Versions } from '../../ports/versions.ts';

/** Makes an empty place for them. */
export function createMemoryVersions(): Versions {
  const files = new Map<string, VersionFiles>();
  let current: string | undefined;
  let previous: string | undefined;
  let trial: string | undefined;
  let givenUp: string | undefined;

  function sweep(...keep: readonly (string | undefined)[]): void {
    for (const name of files.keys()) if (!keep.includes(name)) files.delete(name);
  }

  return {
    view: async () => ({ current, previous, trial, givenUp }),
    has: async (name) => files.has(name),
    async install(name, given) {
      sweep(current, previous);
      files.set(name, given);
    },
    async try(name) {
      givenUp = undefined;
      trial = name;
    },
    async keep(name) {
      if (current !== name) {
        previous = current;
        current = name;
      }
      trial = undefined;
      givenUp = undefined;
      sweep(current, previous);
    },
    async drop() {
      trial = undefined;
    },
    async revert(name) {
      if (current === name) current = previous;
      trial = undefined;
    },
  };
}
