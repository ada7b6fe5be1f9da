/** Many deadlines on one alarm: a timer for each call that is answered at once would cost more than the call. */

import type { Millis } from '../../kernel/core.ts';
import type { Clock } from '../../ports/clock.ts';

/** Deadlines that are watched. */
export interface Deadlines {
  /** Calls back once when the time has come; returns the function that ends the watch. */
  watch(at: Millis, over: () => void): () => void;
  /** What is still open keeps its deadline; no alarm outlives it. */
  stop(): void;
}

interface Watched {
  readonly at: Millis;
  readonly over: () => void;
}

/** Builds them. Bounded by the calls that are open: each is watched once. */
export function createDeadlines(clock: Clock): Deadlines {
  const watched = new Set<Watched>();
  let alarmAt: Millis = Infinity;
  let cancel = (): void => {};
  let isEnding = false;

  /** The alarm stays where it is when what it was for has ended: it rings in vain once, and finds the next. */
  function arm(at: Millis): void {
    if (at >= alarmAt) return;
    cancel();
    alarmAt = at;
    cancel = clock.alarm(at, ring);
  }

  function ring(): void {
    alarmAt = Infinity;
    const now = clock.now();
    let soonest: Millis = Infinity;
    for (const one of watched) {
      if (one.at > now) soonest = Math.min(soonest, one.at);
      else if (watched.delete(one)) one.over();
    }
    if (soonest < Infinity) arm(soonest);
  }

  function rest(): void {
    if (watched.size > 0) return;
    cancel();
    alarmAt = Infinity;
  }

  return {
    watch(at, over) {
      const one = { at, over };
      watched.add(one);
      arm(at);
      return () => {
        watched.delete(one);
        if (isEnding) rest();
      };
    },
    stop() {
      isEnding = true;
      rest();
    },
  };
}
