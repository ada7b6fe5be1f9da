/** The memory twin of the clock: time passes only when it is told to. */

import type { Millis } from '../../kernel/core.ts';
import type { Clock } from '../../ports/clock.ts';

/** A clock in the hands of its owner. */
export interface MemoryClock extends Clock {
  /** Lets `ms` pass and rings what falls due, in order, each at its own time. */
  advance(ms: Millis): void;
  /** Puts the wall clock elsewhere, as a person or a time server does. The monotonic clock does not notice. */
  setWall(wallMs: number): void;
}

/** Builds a clock that stands at `now` 0 and at the given wall time. */
export function createMemoryClock(wallMs = 0): MemoryClock {
  let now: Millis = 0;
  let wallOffset = wallMs;
  const alarms = new Set<{ readonly at: Millis; readonly ring: () => void }>();

  return {
    now: () => now,
    wallMs: () => wallOffset + now,
    alarm(at, ring) {
      const alarm = { at, ring };
      alarms.add(alarm);
      return () => {
        alarms.delete(alarm);
      };
    },
    advance(ms) {
      const until = now + ms;
      for (;;) {
        let next: { readonly at: Millis; readonly ring: () => void } | undefined;
        for (const alarm of alarms) {
          if (alarm.at <= until && (next === undefined || alarm.at < next.at)) next = alarm;
        }
        if (next === undefined) break;
        alarms.delete(next);
        now = Math.max(now, next.at);
        next.ring();
      }
      now = until;
    },
    setWall(at) {
      wallOffset = at - now;
    },
  };
}
