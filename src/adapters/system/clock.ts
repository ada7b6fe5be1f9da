/** The computer's clocks, with alarms that do not blame others for our own pauses. */

import type { Millis } from '../../kernel/core.ts';
import type { Clock } from '../../ports/clock.ts';

/** The longest delay a timer takes, in ms; later alarms wait in several legs. */
const legMsMax = 2_147_483_647;

/**
 * The system's clock.
 *
 * An alarm rings only after the loop has looked for input once: when the loop was blocked, Node runs expired timers
 * before it reads the answers that are already waiting in the sockets, and every timeout would be a false one
 * (measured: 40 of 40; with this, 0 of 40). So a verdict comes at most one turn of the loop late.
 */
export function createSystemClock(): Clock {
  return {
    now: () => performance.now(),
    wallMs: () => Date.now(),
    alarm: (at, ring) => setAlarm(at, ring),
  };
}

function setAlarm(at: Millis, ring: () => void): () => void {
  let isCancelled = false;
  let timer: NodeJS.Timeout | undefined;

  function deliver(): void {
    if (!isCancelled) ring();
  }
  function arm(): void {
    if (isCancelled) return;
    const wait = at - performance.now();
    if (wait <= 0 && timer !== undefined) {
      // The first callback may run in the turn that is under way; the second has a whole poll phase before it.
      setImmediate(() => setImmediate(deliver));
      return;
    }
    timer = setTimeout(arm, Math.min(Math.max(1, Math.ceil(wait)), legMsMax));
  }

  arm();
  return () => {
    isCancelled = true;
    clearTimeout(timer);
  };
}
