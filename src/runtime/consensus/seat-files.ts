/** The files of a seat: whole, lost, or shut for now. A voter that has lost what it promised must not vote (decision 0031). */

import { MycelError } from '../../kernel/errors.ts';
import type { ReplicaLog, ReplicaLogs } from '../../ports/replica-log.ts';

/** What has become of them. */
export type SeatFiles =
  /** `mended`: stretches that had rotted and were written anew from their copies. */
  | { readonly type: 'whole'; readonly log: ReplicaLog; readonly mended: number }
  /** Damaged, unreadable or missing: what was promised under this seat cannot be relied on. */
  | { readonly type: 'lost'; readonly reason: string }
  /** Perhaps whole, but not to be opened now or by this version: the seat is silent, and stays this node's. */
  | { readonly type: 'shut'; readonly reason: string };

/** Failures that say nothing about what the files hold. */
const passing: ReadonlySet<string> = new Set([
  'MYCEL_STORE_FULL',
  'MYCEL_STORE_READ_ONLY',
  'MYCEL_STORE_NEWER',
]);

/** An unreadable file is read once more before its seat is given up. */
const attempts = 2;

/** Opens the files of a seat that this node has been given. Never throws. */
export async function openSeat(logs: ReplicaLogs, name: string): Promise<SeatFiles> {
  let failure: unknown;
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    try {
      const opening = await logs.open(name);
      if (opening.type === 'rotten') return { type: 'lost', reason: opening.reason };
      if (!opening.isNew) return opening;
      await opening.log.close();
      return { type: 'lost', reason: 'its files are missing' };
    } catch (error) {
      failure = error;
    }
  }
  const isPassing = MycelError.is(failure) && passing.has(failure.code);
  return { type: isPassing ? 'shut' : 'lost', reason: reasonOf(failure) };
}

/** A failure, for people. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Lays down the empty files of a seat that this node is being given. @throws {MycelError} when the disk does not take them */
export async function laySeat(logs: ReplicaLogs, name: string): Promise<void> {
  await logs.setAside(name);
  const opening = await logs.open(name);
  if (opening.type === 'whole') await opening.log.close();
}
