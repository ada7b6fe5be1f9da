/** How many packets a second one address may cost us, decided before any cryptography. */

import { BoundedMap } from '../../kernel/bounded-map.ts';
import type { Millis } from '../../kernel/core.ts';

/** Source addresses remembered; the one that was quiet for longest is forgotten (and starts with a full bucket again). */
export const sourcesMax = 1024;

/** Packets per second that one address may send for ever, and at once after a pause. */
export interface SourceLimits {
  /** @default 1000: a host may run several nodes, and a mesh of 1000 probes one host some tens of times a second. */
  readonly packetsPerSecond: number;
  /** @default 2000 */
  readonly burst: number;
}

/** The limits of an ordinary node. */
export const sourceLimits: SourceLimits = { packetsPerSecond: 1000, burst: 2000 };

/** A token bucket for each source address. */
export interface SourceGuard {
  /** Whether a packet from this address may be looked at now; takes a token when it may. */
  admit(now: Millis, host: string): boolean;
}

/** Builds the guard. */
export function createSourceGuard(limits: SourceLimits = sourceLimits): SourceGuard {
  const buckets = new BoundedMap<string, { tokens: number; at: Millis }>(sourcesMax);
  return {
    admit(now, host) {
      const bucket = buckets.get(host) ?? { tokens: limits.burst, at: now };
      const gained = ((now - bucket.at) * limits.packetsPerSecond) / 1000;
      bucket.tokens = Math.min(limits.burst, bucket.tokens + Math.max(0, gained));
      bucket.at = now;
      buckets.set(host, bucket);
      if (bucket.tokens < 1) return false;
      bucket.tokens -= 1;
      return true;
    },
  };
}
