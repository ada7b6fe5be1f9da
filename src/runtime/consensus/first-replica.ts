/** The replica with which a group begins: the only voter, an empty state machine, nothing decided. */

import type { NodeId } from '../../kernel/ids.ts';
import type { ReplicaLogs } from '../../ports/replica-log.ts';
import { Machine } from '../../protocol/consensus/machine.ts';
import { encodeMachineState } from '../../wire/machine-codec.ts';
import { encodeSnapshot } from '../../wire/raft-codec.ts';
import { replicaName } from './group-record.ts';
import type { GroupRecord } from './group-record.ts';

/** Lays it down. @returns whether there was a place for it */
export async function layFirstReplica(
  logs: ReplicaLogs,
  first: GroupRecord,
  node: NodeId,
): Promise<boolean> {
  const opening = await logs.open(replicaName(first));
  if (opening.type !== 'whole') return false;
  const members = [{ seat: first.seat, node }];
  const config = {
    voters: [first.seat],
    outgoing: [],
    learners: [],
    members,
    lastSeat: first.seat,
  };
  const data = encodeMachineState(new Machine().state());
  await opening.log.write({ hard: { term: 1, vote: 0 }, records: [] });
  const bytes = encodeSnapshot({ index: 1, term: 1, config, data });
  await opening.log.write({ snapshot: { bytes, keepFrom: 2, isForeign: true }, records: [] });
  await opening.log.close();
  return true;
}
