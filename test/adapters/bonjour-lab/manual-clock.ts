/** A clock that stands still until it is moved. */

import type { Clock } from '../../../src/ports/clock.ts';
import type { RungHandlers } from '../../../src/ports/discovery.ts';

/** A clock with a handle. */
export interface ManualClock extends Clock {
  /** Moves on, ringing what falls due, in order. */
  advance(ms: number): void;
  /** Alarms that are set. */
  alarmCount(): number;
}

/** Makes one at 0. */
export function createManualClock(): ManualClock {
  let now = 0;
  const alarms = new Set<{ at: number; ring: () => void }>();
  return {
    now: () => now,
    wallMs: () => now,
    alarm(at, ring) {
      const alarm = { at, ring };
      alarms.add(alarm);
      return () => alarms.delete(alarm);
    },
    alarmCount: () => alarms.size,
    advance(ms) {
      const end = now + ms;
      for (;;) {
        const due = [...alarms].filter((alarm) => alarm.at <= end);
        due.sort((left, right) => left.at - right.at);
        const next = due[0];
        if (next === undefined) break;
        alarms.delete(next);
        now = Math.max(now, next.at);
        next.ring();
      }
      now = end;
    },
  };
}

/** What a rung reported, in order, as short words. */
export interface Story {
  readonly handlers: RungHandlers;
  readonly lines: string[];
}

/** Records a rung's reports. */
export function createStory(): Story {
  const lines: string[] = [];
  return {
    lines,
    handlers: {
      seen: (sighting) => {
        const where = sighting.addresses.map((address) => `${address.host}:${address.port}`);
        lines.push(`seen ${sighting.node ?? '-'} ${where.join(',')}`);
      },
      lost: (node) => lines.push(`lost ${node}`),
      trouble: (problem) => lines.push(`trouble ${problem?.reason ?? '-'}`),
    },
  };
}
