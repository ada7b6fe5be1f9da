/** The wall clock, read once a turn of the event loop: for what is stamped with every message and need not be exact. */

import type { Millis } from '../../kernel/core.ts';

/** Builds it. A message costs about a microsecond, and reading the clock is a tenth of that each time. */
export function createTurnClock(clock: { wallMs(): Millis }): { wallMs(): Millis } {
  let at: Millis = 0;
  let isFresh = false;

  function turned(): void {
    isFresh = false;
  }

  return {
    wallMs() {
      if (isFresh) return at;
      isFresh = true;
      setImmediate(turned);
      at = clock.wallMs();
      return at;
    },
  };
}
