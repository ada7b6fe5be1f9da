/** What a replica's files hold, read for its core and its state machine. */

import type { ReplicaState } from '../../ports/replica-log.ts';
import type { Machine } from '../../protocol/consensus/machine.ts';
import type { Entry } from '../../protocol/consensus/messages.ts';
import type { RaftConfig } from '../../protocol/consensus/raft-types.ts';
import { decodeMachineState } from '../../wire/machine-codec.ts';
import { decodeSnapshot, entryOfRecord } from '../../wire/raft-codec.ts';

/** Reads them. @throws {RangeError} when another version has written something that this one does not know */
export function readRestored({
  hard,
  snapshot: kept,
  records,
}: ReplicaState): RaftConfig['restored'] {
  const snapshot = kept === undefined ? undefined : decodeSnapshot(kept);
  if (snapshot === 'newer' || (kept !== undefined && snapshot === undefined)) {
    throw new RangeError('its snapshot is of another version');
  }
  const entries: Entry[] = records.map((record) => {
    const entry = entryOfRecord(record);
    if (entry === undefined)
      throw new RangeError(`its entry ${record.index} is of another version`);
    return entry;
  });
  const first = entries[0]?.index;
  if (first !== undefined && first > (snapshot?.index ?? 0) + 1) {
    throw new RangeError(`its snapshot is missing: its log begins at ${first}`);
  }
  // An entry may be on disk whose term was not yet: nothing was promised in that term.
  const term = Math.max(hard.term, entries.at(-1)?.term ?? 0);
  return { hard: { term, vote: term === hard.term ? hard.vote : 0 }, snapshot, entries };
}

/** Puts a state machine back. @throws {RangeError} as above */
export function restoreMachine(machine: Machine, data: Uint8Array): void {
  const state = decodeMachineState(data);
  if (state === undefined) throw new RangeError('its snapshot is of another version');
  machine.restore(state);
}
