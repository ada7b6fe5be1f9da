/** Linearizable reads without writing: the leader proves by one round of heartbeats that it still leads (thesis 6.4). */

import type { Millis } from '../../kernel/core.ts';
import type { Seat } from './messages.ts';
import { hasQuorum } from './quorum.ts';
import { send } from './raft-state.ts';
import type { RaftState } from './raft-state.ts';

/** Reads that wait for a round at once; more are refused. */
export const readsMax = 1024;

/** Somebody asks for the state as of now. */
export function askRead(state: RaftState, now: Millis, ref: number): void {
  if (state.role !== 'leader') {
    state.effects.push({ type: 'refused', ref, reason: 'not-leader' });
    return;
  }
  if (state.reads.length >= readsMax) {
    state.effects.push({ type: 'refused', ref, reason: 'overloaded' });
    return;
  }
  state.reads.push({ ref, index: state.commit, round: 0 });
  beginRound(state, now);
}

/** Whether something of the own term is decided: before, the leader does not know what is (Raft 8). */
export function isSettled(state: RaftState): boolean {
  return state.role === 'leader' && state.log.termAt(state.commit) === state.term;
}

/** More is decided; reads that came before the first decision of the term may begin. */
export function acceptedForReads(state: RaftState, now: Millis): void {
  beginRound(state, now);
}

/** Begins a round for the reads that have none, unless one is out: they wait for it and share the next. */
function beginRound(state: RaftState, now: Millis): void {
  if (!isSettled(state) || state.isRoundOpen) return;
  const fresh = state.reads.filter(({ round }) => round === 0);
  if (fresh.length === 0) return;
  state.readRound += 1;
  for (const read of fresh) {
    read.round = state.readRound;
    read.index = state.commit;
  }
  state.isRoundOpen = true;
  broadcastHeartbeat(state, now);
  finishRound(state, now);
}

/** A follower took part in a round. */
export function confirmRound(state: RaftState, now: Millis, from: Seat, round: number): void {
  const progress = state.progress.get(from);
  if (progress === undefined || round > state.readRound) return;
  progress.round = Math.max(progress.round, round);
  finishRound(state, now);
}

function finishRound(state: RaftState, now: Millis): void {
  if (!state.isRoundOpen) return;
  const isHere = (seat: Seat): boolean =>
    seat === state.self || (state.progress.get(seat)?.round ?? 0) >= state.readRound;
  if (!hasQuorum(state.log.config, isHere)) return;
  state.isRoundOpen = false;
  const done = state.reads.filter(({ round }) => round > 0);
  state.reads = state.reads.filter(({ round }) => round === 0);
  for (const { ref, index } of done) state.effects.push({ type: 'readable', ref, index });
  beginRound(state, now);
}

/** Tells everybody that the leader is there, and what each of them may apply. */
export function broadcastHeartbeat(state: RaftState, now: Millis): void {
  state.heartbeatAt = now + state.timing.heartbeatMs;
  for (const { seat, match } of state.progress.values()) {
    const commit = Math.min(match, state.commit);
    send(state, seat, { type: 'heartbeat', term: state.term, commit, round: state.readRound });
  }
}
