/** A circuit breaker: after failures in a row, or too large a share of them, no call passes for a while, then one tries. */

import type { Millis } from '../../kernel/core.ts';

/** When it opens and for how long. */
export interface BreakerConfig {
  /** Failures in a row that open it. @default 5 */
  readonly failuresMax?: number;
  /** Share of failures within `windowMs` that opens it, once there were ten calls. @default 0.5 */
  readonly shareMax?: number;
  /** @default 30_000 */
  readonly windowMs?: Millis;
  /** How long it stays open at first, doubling to sixteen times as long, in ms. @default 2000 */
  readonly openMs?: Millis;
}

/** One breaker, for one instance of one service. */
export interface Breaker {
  state(now: Millis): 'closed' | 'open' | 'half-open';
  /** Whether a call may pass; while it is half-open, one. */
  admits(now: Millis): boolean;
  /** How an admitted call ended. */
  succeeded(now: Millis): void;
  failed(now: Millis): void;
  /** An admitted call ended without a verdict, as when its caller gave up. */
  abandoned(): void;
}

/** Builds a closed one. */
export function createBreaker(config: BreakerConfig = {}): Breaker {
  const failuresMax = Math.max(1, config.failuresMax ?? 5);
  const shareMax = config.shareMax ?? 0.5;
  const windowMs = Math.max(1, config.windowMs ?? 30_000);
  const openMs = Math.max(1, config.openMs ?? 2_000);
  let openUntil: Millis | undefined;
  let isTrying = false;
  let opened = 0;
  let inARow = 0;
  let windowFrom: Millis = 0;
  let calls = 0;
  let failures = 0;

  function turnWindow(now: Millis): void {
    if (now - windowFrom < windowMs) return;
    windowFrom = now;
    calls = 0;
    failures = 0;
  }

  function open(now: Millis): void {
    openUntil = now + openMs * 2 ** Math.min(4, opened);
    opened += 1;
    isTrying = false;
    inARow = 0;
    calls = 0;
    failures = 0;
  }

  const state = (now: Millis): 'closed' | 'open' | 'half-open' =>
    openUntil === undefined ? 'closed' : now < openUntil ? 'open' : 'half-open';

  return {
    state,
    admits(now) {
      if (state(now) === 'closed') return true;
      if (state(now) === 'open' || isTrying) return false;
      isTrying = true;
      return true;
    },
    succeeded(now) {
      if (state(now) === 'open') return;
      if (openUntil !== undefined) {
        openUntil = undefined;
        isTrying = false;
        opened = 0;
      }
      turnWindow(now);
      calls += 1;
      inARow = 0;
    },
    failed(now) {
      if (state(now) === 'open') return;
      if (openUntil !== undefined) return open(now);
      turnWindow(now);
      calls += 1;
      failures += 1;
      inARow += 1;
      const isTooMany = calls >= 10 && failures / calls >= shareMax;
      if (inARow >= failuresMax || isTooMany) open(now);
    },
    abandoned() {
      isTrying = false;
    },
  };
}

/** How often something may start: a bucket of tokens that refills steadily. */
export interface RateLimit {
  take(now: Millis): boolean;
}

/** Builds a full bucket. @param burst how many may come at once @default `perSecond` */
export function createRateLimit(
  perSecond: number,
  burst: number = Math.max(1, perSecond),
): RateLimit {
  let tokens = burst;
  let filledAt: Millis | undefined;
  return {
    take(now) {
      tokens = Math.min(burst, tokens + ((now - (filledAt ?? now)) * perSecond) / 1_000);
      filledAt = now;
      if (tokens < 1) return false;
      tokens -= 1;
      return true;
    },
  };
}
