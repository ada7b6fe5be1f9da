/**
 * Whether replicas that have applied the same log are in the same state. Where they are not (a state machine restored
 * wrongly, a disk that changed it), the many are believed (etcd 3.5.0 had none of this, and diverged in silence).
 */

import type { Seat } from './messages.ts';

/** What is to be done about it. */
export type StateVerdict =
  /** Nobody differs, or too few answered to say. */
  | { readonly type: 'same' }
  /** These have parted ways with a majority of the voters: each gives its seat up. */
  | { readonly type: 'parted'; readonly seats: readonly Seat[] }
  /** There are differences, and no majority that agrees: nobody can say who is right. */
  | { readonly type: 'split' };

/**
 * Judges the states that seats had at one index. Learners are judged, and judge nobody.
 * @param digests of those that answered, the asking leader among them
 */
export function judgeStates(
  voters: readonly Seat[],
  digests: ReadonlyMap<Seat, string>,
): StateVerdict {
  if (new Set(digests.values()).size <= 1) return { type: 'same' };
  const counts = new Map<string, number>();
  for (const seat of voters) {
    const digest = digests.get(seat);
    if (digest !== undefined) counts.set(digest, (counts.get(digest) ?? 0) + 1);
  }
  const right = [...counts].find(([, count]) => count > voters.length / 2)?.[0];
  if (right === undefined) return { type: 'split' };
  const seats = [...digests].filter(([, digest]) => digest !== right).map(([seat]) => seat);
  return { type: 'parted', seats };
}
