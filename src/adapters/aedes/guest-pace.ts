/** How fast one guest may publish: a token bucket that delays QoS 1 and drops QoS 0. */

/** QoS 1 publishes of one guest that may wait for a token; a guest that sends more is disconnected. */
const delayedMax = 256;

/** What becomes of a publish. `flood`: the guest does not wait for its acknowledgements. */
export type Pace = 'now' | 'later' | 'drop' | 'flood';

/** The pace of one guest. */
export interface GuestPace {
  /** Runs `publish` now, or later and in order when `mayWait`; or says why not. */
  admit(mayWait: boolean, publish: () => void): Pace;
  /** The connection is gone: what waits is forgotten. */
  stop(): void;
}

/** Builds the pace for `perSecond` publishes a second, with a burst of two seconds' worth. 0: unlimited. */
export function createGuestPace(perSecond: number): GuestPace {
  const tokensMax = perSecond * 2;
  const delayed: (() => void)[] = [];
  let tokens = tokensMax;
  let refilledAt = performance.now();
  let timer: NodeJS.Timeout | undefined;

  function take(): boolean {
    const now = performance.now();
    tokens = Math.min(tokensMax, tokens + ((now - refilledAt) * perSecond) / 1000);
    refilledAt = now;
    if (tokens < 1) return false;
    tokens -= 1;
    return true;
  }

  function wait(): void {
    timer ??= setTimeout(() => {
      timer = undefined;
      while (delayed.length > 0 && take()) delayed.shift()?.();
      if (delayed.length > 0) wait();
    }, 1000 / perSecond);
  }

  return {
    admit(mayWait, publish) {
      if (perSecond === 0 || (delayed.length === 0 && take())) {
        publish();
        return 'now';
      }
      if (!mayWait) return 'drop';
      if (delayed.length >= delayedMax) return 'flood';
      delayed.push(publish);
      wait();
      return 'later';
    },
    stop() {
      clearTimeout(timer);
      timer = undefined;
      delayed.length = 0;
    },
  };
}
