/** A token bucket: so much a minute, with a burst (RFC 2697 speaks of committed rate and burst size). */

import type { Millis } from '../../kernel/core.ts';

/** How fast it fills and how much it holds. */
export interface TokenBucketConfig {
  readonly perMinute: number;
  /** @default ten seconds' worth, at least 1 */
  readonly burst?: number;
}

/** One bucket. */
export interface TokenBucket {
  /** Takes the amount when it is there, or when it exceeds the burst and the bucket is full. Gives 0, or how long to wait, in ms. */
  take(now: Millis, amount: number): Millis;
  /** Corrects an estimate afterwards: more was used (positive) or less. The level may fall below zero. */
  correct(now: Millis, amount: number): void;
  level(now: Millis): number;
}

/** What a sum of fractions may be off by. */
const rounding = 1e-6;

/** Starts full. */
export function createTokenBucket(config: TokenBucketConfig): TokenBucket {
  const perMs = Math.max(0, config.perMinute) / 60_000;
  const burst = Math.max(1, config.burst ?? config.perMinute / 6);
  let level = burst;
  let at: Millis | undefined;

  function fill(now: Millis): void {
    if (at !== undefined && now > at) level = Math.min(burst, level + (now - at) * perMs);
    if (at === undefined || now > at) at = now;
  }

  return {
    take(now, amount) {
      fill(now);
      const wanted = Math.max(0, amount);
      // What is larger than the bucket goes when the bucket is full; the debt is paid off afterwards.
      const needed = Math.min(wanted, burst);
      if (level < needed - rounding)
        return perMs === 0 ? Infinity : Math.ceil((needed - level) / perMs);
      level -= wanted;
      return 0;
    },
    correct(now, amount) {
      fill(now);
      if (Number.isFinite(amount)) level = Math.min(burst, level - amount);
    },
    level(now) {
      fill(now);
      return level;
    },
  };
}
