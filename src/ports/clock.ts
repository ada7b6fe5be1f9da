/** Time, handed in: the cores never look at a clock. */

import type { Millis } from '../kernel/core.ts';

/** The node's clocks. */
export interface Clock {
  /** Monotonic milliseconds. May stop during suspend; never jumps. */
  now(): Millis;
  /** Wall-clock milliseconds since 1970. Untrusted: a board without a clock boots in the past. */
  wallMs(): number;
  /** Rings once at or after `at` on the monotonic clock. Returns a function that cancels it; calling that twice is fine. */
  alarm(at: Millis, ring: () => void): () => void;
}
