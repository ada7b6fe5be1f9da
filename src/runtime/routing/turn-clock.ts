/** The clocks, read once a turn of the event loop: for what happens with every message and need not be exact. */

import type { Millis } from '../../kernel/core.ts';
import type { Clock } from '../../ports/clock.ts';

/** What both clocks showed when they were first asked in this turn. */
export interface TurnClock {
  wallMs(): Millis;
  /** Never before an earlier answer. */
  now(): Millis;
  /** Asks the clocks again, for who was woken by one. @returns `now` */
  read(): Millis;
}

/** Builds it. A message costs about a microsecond, and reading a clock is a twentieth of that each time. */
export function createTurnClock(clock: Pick<Clock, 'now' | 'wallMs'>): TurnClock {
  let wallAt: Millis = 0;
  let at: Millis = 0;
  let isFresh = false;

  function turned(): void {
    isFresh = false;
  }

  function read(): Millis {
    if (!isFresh) setImmediate(turned);
    isFresh = true;
    wallAt = clock.wallMs();
    at = clock.now();
    return at;
  }

  return {
    wallMs() {
      if (!isFresh) read();
      return wallAt;
    },
    now: () => (isFresh ? at : read()),
    read,
  };
}
