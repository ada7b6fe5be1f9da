/** Checker: once the storm is over, every running host comes to see the same picture. */

import type { HostId, World } from '../world.ts';
import type { Checker } from '../swarm.ts';

/** `pictureOf` gives what a host sees as text; equal texts are equal pictures. */
export function convergence<Message, Subject>(
  name: string,
  pictureOf: (world: World<Message>, host: HostId, subject: Subject) => string,
): Checker<Message, Subject> {
  return {
    name,
    watch(world, subject) {
      return {
        eventually() {
          const running = world.runningIds();
          const first = running[0];
          if (first === undefined) return 'nobody runs';
          const expected = pictureOf(world, first, subject);
          for (const host of running) {
            const picture = pictureOf(world, host, subject);
            if (picture !== expected) {
              return `${first} sees ${expected} while ${host} sees ${picture}`;
            }
          }
          return undefined;
        },
      };
    },
  };
}
