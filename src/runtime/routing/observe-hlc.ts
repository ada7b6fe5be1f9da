/** Whose clock is believed. */

import type { Hlc, HybridClock } from '../../kernel/hlc.ts';

/** A wall clock before 2026 has not been set (the software is younger than that); one after 2100 never will be right. */
const clockUnsetBeforeMs = 1_767_225_600_000;
const clockAbsurdMs = 4_102_444_800_000;

/**
 * Learns a peer's stamp; false when it is too far ahead. A board that boots in the past has no clock to judge others by:
 * it believes whatever could be a date at all.
 */
export function observeHlc(clock: HybridClock, wallMs: number, remote: Hlc): boolean {
  const isUnset = wallMs < clockUnsetBeforeMs;
  const judge = isUnset ? Math.min(remote.wallMs, clockAbsurdMs) : wallMs;
  return clock.observe(judge, remote) === 'merged';
}
