/** Limits how often something may happen, in all and per source address. */

import { BoundedMap } from '../../kernel/bounded-map.ts';
import type { Millis } from '../../kernel/core.ts';

/** How much is allowed. */
export interface Allowance {
  /** Sustained rate. */
  readonly perSecond: number;
  /** How many may come at once after a quiet time. */
  readonly burst: number;
}

/** A bucket of tokens that refills steadily. */
export interface TokenBucket {
  /** Takes one token. False: there is none left now. */
  take(now: Millis): boolean;
}

/** A gate for datagrams of strangers. */
export interface SourceGate {
  /** Whether one more datagram of this source may be looked at now. */
  admit(now: Millis, source: string): boolean;
  /** Datagrams turned away since the start. */
  refusedCount(): number;
}

/** Sources remembered at once; beyond that the longest silent one starts afresh. */
export const sourcesMax = 256;

/** What one source may send: room for a dozen nodes on one host, all in their first burst. */
const sourceAllowance: Allowance = { perSecond: 64, burst: 128 };

/** What all sources together may send, so that forged sources do not help a flooder. */
const lanAllowance: Allowance = { perSecond: 512, burst: 1024 };

/** Makes a full bucket. */
export function createTokenBucket(allowance: Allowance): TokenBucket {
  let tokens = allowance.burst;
  let filledAt: Millis | undefined;
  return {
    take(now) {
      const elapsedMs = filledAt === undefined ? 0 : Math.max(0, now - filledAt);
      tokens = Math.min(allowance.burst, tokens + (elapsedMs * allowance.perSecond) / 1000);
      filledAt = now;
      if (tokens < 1) return false;
      tokens -= 1;
      return true;
    },
  };
}

/** Makes a gate that holds every source, and all of them together, to an allowance. */
export function createSourceGate(
  each: Allowance = sourceAllowance,
  all: Allowance = lanAllowance,
): SourceGate {
  const buckets = new BoundedMap<string, TokenBucket>(sourcesMax);
  const lan = createTokenBucket(all);
  let refused = 0;
  return {
    admit(now, source) {
      const bucket = buckets.get(source) ?? createTokenBucket(each);
      buckets.set(source, bucket);
      const isAdmitted = bucket.take(now) && lan.take(now);
      if (!isAdmitted) refused += 1;
      return isAdmitted;
    },
    refusedCount: () => refused,
  };
}
