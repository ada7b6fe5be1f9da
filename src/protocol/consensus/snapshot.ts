/** The state machine in place of the log: taken, kept, and carried to followers that are too far behind (Raft 7). */

import { entryBytes } from './messages.ts';
import type { RaftMessage, Seat, Snapshot } from './messages.ts';
import type { Progress } from './progress.ts';
import { isSoundConfiguration } from './quorum.ts';
import { note, send } from './raft-state.ts';
import type { RaftState } from './raft-state.ts';

/** Largest state machine that can be carried, in bytes. */
export const snapshotBytesMax: number = 16 * 1024 * 1024;

/** Orders a snapshot once the log since the last one is long enough. */
export function orderSnapshot(state: RaftState): void {
  if (state.isSnapshotOrdered) return;
  const since = state.log.snapshot?.index ?? 0;
  const count = state.applied - since;
  if (count <= 0) return;
  const isLong = count >= state.limits.snapshotEntries;
  if (!isLong && state.log.bytes < state.limits.snapshotBytes) return;
  if (!isLong && bytesSince(state, since) < state.limits.snapshotBytes) return;
  state.isSnapshotOrdered = true;
  state.effects.push({ type: 'takeSnapshot', index: state.applied });
}

function bytesSince(state: RaftState, since: number): number {
  let bytes = 0;
  for (let index = since + 1; index <= state.applied; index += 1) {
    const entry = state.log.at(index);
    if (entry !== undefined) bytes += entryBytes(entry);
  }
  return bytes;
}

/** The state machine handed over its state as of `index`. */
export function takeSnapshot(state: RaftState, index: number, data: Uint8Array): void {
  state.isSnapshotOrdered = false;
  const term = state.log.termAt(index);
  const since = state.log.snapshot?.index ?? 0;
  if (term === undefined || index <= since || index > state.applied) return;
  if (data.length > snapshotBytesMax) return;
  const snapshot: Snapshot = { index, term, config: state.log.configAt(index), data };
  state.log.compact(snapshot, state.limits.trailingEntries);
  state.dirtySnapshot = { snapshot, keepFrom: state.log.firstIndex, isForeign: false };
}

/** Begins, or goes on, to send the snapshot to one follower. */
export function sendSnapshot(state: RaftState, progress: Progress): void {
  const { snapshot } = state.log;
  if (snapshot === undefined) return;
  if (progress.mode !== 'snapshot' || progress.sending?.index !== snapshot.index) {
    note(state, 'raft.snapshot-sent');
    progress.becomeSnapshot(snapshot.index);
  }
  const offset = progress.sending?.offset ?? 0;
  const { index, term: indexTerm, config, data } = snapshot;
  send(state, progress.seat, {
    type: 'snapshot',
    term: state.term,
    index,
    indexTerm,
    config,
    offset,
    size: data.length,
    data: data.subarray(offset, offset + state.limits.messageBytesMax),
  });
}

/** A follower holds a part of the snapshot: the next piece goes out. Whole: it answers with a match. */
export function pieceArrived(
  state: RaftState,
  from: Seat,
  message: Extract<RaftMessage, { type: 'snapshotReply' }>,
): void {
  const progress = state.progress.get(from);
  const { snapshot } = state.log;
  if (state.role !== 'leader' || progress?.mode !== 'snapshot' || snapshot === undefined) return;
  if (progress.sending === undefined || progress.sending.index !== message.index) return;
  const { offset } = message;
  if (offset > snapshot.data.length || message.index !== snapshot.index) return;
  // The follower begins anew: it is told again at the pace of heartbeats.
  if (offset === 0) progress.sending.offset = 0;
  // Only news is answered: a repeated answer would otherwise be repeated for ever, and twice as often each time.
  if (offset <= progress.sending.offset) return;
  progress.sending.offset = offset;
  if (offset < snapshot.data.length) sendSnapshot(state, progress);
}

/** A piece of the leader's snapshot. */
export function takePiece(
  state: RaftState,
  from: Seat,
  message: Extract<RaftMessage, { type: 'snapshot' }>,
): void {
  const { index, indexTerm, config, offset, size, data } = message;
  const isNeeded = index > state.commit && state.log.termAt(index) !== indexTerm;
  if (!isNeeded) {
    // The log has it already: what is decided up to there is equal.
    state.commit = Math.max(state.commit, index);
    state.owedMatch = Math.max(state.owedMatch ?? 0, state.commit);
    return;
  }
  const isSize = Number.isSafeInteger(size) && size >= 0 && size <= snapshotBytesMax;
  if (!isSize || !isSoundConfiguration(config)) return;
  let incoming = state.incoming;
  if (incoming?.index !== index || incoming.term !== indexTerm || incoming.data.length !== size) {
    incoming = { index, term: indexTerm, data: new Uint8Array(size), offset: 0 };
    state.incoming = incoming;
  }
  if (offset === incoming.offset && offset + data.length <= size) {
    incoming.data.set(data, offset);
    incoming.offset += data.length;
  }
  if (incoming.offset < size) {
    const reply = { index, offset: incoming.offset };
    send(state, from, { type: 'snapshotReply', term: state.term, ...reply });
    return;
  }
  const snapshot: Snapshot = { index, term: indexTerm, config, data: incoming.data };
  state.incoming = undefined;
  note(state, 'raft.snapshot-received');
  state.log.restore(snapshot);
  state.commit = index;
  state.applied = index;
  state.isSnapshotOrdered = false;
  state.dirtyFrom = Infinity;
  state.dirtySnapshot = { snapshot, keepFrom: index + 1, isForeign: true };
  state.owedMatch = index;
  state.effects.push({ type: 'restore', snapshot });
}
