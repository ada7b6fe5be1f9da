/** Reconnect delays: doubled with each failure, capped, spread so that a mesh does not dial in step. */

import type { Millis } from '../../kernel/core.ts';
import type { Random } from '../../kernel/random.ts';

/** Bounds of a back-off. */
export interface Backoff {
  /** The first delay, in ms. */
  readonly msMin: Millis;
  /** The longest delay before the spread, in ms. */
  readonly msMax: Millis;
}

/** The delay before attempt `failures + 1`: min x 2^failures, capped, ±50 %. Never below 1 ms. */
export function backoffMs(backoff: Backoff, failures: number, random: Random): Millis {
  const base = Math.min(backoff.msMax, backoff.msMin * 2 ** Math.min(failures, 30));
  return Math.max(1, Math.floor(base * (0.5 + random.unit())));
}
