/** Does something at once, after 1 s, 2 s, 4 s … and then at a calm pace, until something happens again. */

import type { Random } from '../../kernel/random.ts';
import type { Clock } from '../../ports/clock.ts';

/** A repeating alarm whose pauses double. */
export interface DoublingTimer {
  /** Rings now and starts again with the shortest pause. */
  restart(): void;
  /** Starts again with the shortest pause, without ringing now. */
  rearm(): void;
  stop(): void;
}

/** How to make one. */
export interface DoublingTimerOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** The first pause, in ms. */
  readonly firstMs: number;
  /** The longest pause, in ms, before jitter. */
  readonly maxMs: number;
  ring(): void;
}

/** Pauses are stretched by up to this share, so that devices switched on together drift apart. */
const jitterShare = 0.1;

/** Makes a stopped timer; `restart` or `rearm` sets it going. */
export function createDoublingTimer(options: DoublingTimerOptions): DoublingTimer {
  const { clock, random } = options;
  let pauseMs = options.firstMs;
  let cancel = (): void => {};

  function wait(): void {
    const stretched = pauseMs * (1 + random.unit() * jitterShare);
    pauseMs = Math.min(options.maxMs, pauseMs * 2);
    cancel = clock.alarm(clock.now() + stretched, () => {
      wait();
      options.ring();
    });
  }
  function rearm(): void {
    cancel();
    pauseMs = options.firstMs;
    wait();
  }
  return {
    restart() {
      rearm();
      options.ring();
    },
    rearm,
    stop: () => cancel(),
  };
}
