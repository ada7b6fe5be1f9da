/**
 * Consensus: one replica of a group that decides a log together, as long as a majority of it can talk
 * (Ongaro & Ousterhout 2014; Ongaro's thesis for pre-vote, transfer, reads and asynchronous disks).
 */

import type { Core, Millis } from '../../kernel/core.ts';
import { unreachable } from '../../kernel/invariant.ts';
import type { Random } from '../../kernel/random.ts';
import {
  answerVote,
  campaign,
  checkQuorum,
  countVote,
  hint,
  isInLease,
  payCampaign,
  payVote,
  preCampaign,
} from './election.ts';
import { askChange, finishChange } from './membership.ts';
import type { RaftMessage, Seat } from './messages.ts';
import { becomeFollower, createRaftState, note, resetElection, send } from './raft-state.ts';
import type { RaftState } from './raft-state.ts';
import type { RaftConfig, RaftEffect, RaftInput, RaftView } from './raft-types.ts';
import { askRead, broadcastHeartbeat, confirmRound, isSettled } from './read-index.ts';
import {
  applyDecided,
  decide,
  learnCommit,
  matched,
  payMatch,
  propose,
  refusedAppend,
  sendAppend,
  takeAppend,
} from './replication.ts';
import { orderSnapshot, pieceArrived, sendSnapshot, takePiece, takeSnapshot } from './snapshot.ts';
import { giveWay, transferTo } from './transfer.ts';

/** A replica. */
export type Raft = Core<RaftInput, RaftEffect, RaftView>;

/** Builds a replica from what its disk holds. */
export function createRaft(config: RaftConfig, random: Random): Raft {
  const state = createRaftState(config, random);
  let now: Millis = -Infinity;

  return {
    step(at, input) {
      now = Math.max(now, at);
      if (state.electionAt === -Infinity) resetElection(state, now);
      state.effects = [];
      if (state.isSpent) return state.effects;
      take(state, now, input);
      if (!state.isSpent) settle(state, now, input.type === 'persisted');
      return state.effects;
    },
    deadline() {
      const at = deadlineOf(state);
      return at > now ? at : now + 1;
    },
    view: () => viewOf(state),
  };
}

function take(state: RaftState, now: Millis, input: RaftInput): void {
  switch (input.type) {
    case 'tick':
      return tick(state, now);
    case 'received':
      return receive(state, now, input.from, input.message);
    case 'persisted':
      state.persistedSeq = Math.max(state.persistedSeq, Math.min(input.seq, state.seq));
      return state.log.written(state.persistedSeq);
    case 'proposed':
      return propose(state, input.items);
    case 'readAsked':
      return askRead(state, now, input.ref);
    case 'changeAsked':
      return askChange(state, now, input.ref, input.change);
    case 'transferAsked':
      return transferTo(state, now, input.to);
    case 'snapshotTaken':
      return takeSnapshot(state, input.index, input.data);
    case 'linkClosed':
      return hint(state, now, input.seat);
    case 'woke':
      // A clock that stood still proves nothing about who leads.
      if (state.role === 'leader') becomeFollower(state, now, state.term, undefined);
      else resetElection(state, now);
      return;
    case 'timed':
      state.timing = input.timing;
      if (state.role !== 'leader') resetElection(state, now);
      return;
    default:
      return unreachable(input);
  }
}

/** What follows from any input: writes leave, answers that waited for the disk go out, decisions are applied. */
function settle(state: RaftState, now: Millis, isWritten: boolean): void {
  if (isWritten) {
    payCampaign(state, now);
    decide(state, now);
  }
  finishChange(state, now);
  flush(state);
  payVote(state);
  payMatch(state, isWritten);
  applyDecided(state);
  orderSnapshot(state);
}

/** Sends what changed to the disk, in one write. */
function flush(state: RaftState): void {
  const { log, dirtySnapshot } = state;
  if (!state.isHardDirty && state.dirtyFrom === Infinity && dirtySnapshot === undefined) return;
  state.seq += 1;
  const hard = state.isHardDirty ? { term: state.term, vote: state.vote } : undefined;
  if (hard !== undefined) state.hardSeq = state.seq;
  const entries =
    state.dirtyFrom === Infinity ? [] : log.slice(state.dirtyFrom, log.lastIndex, Infinity);
  const first = entries[0]?.index ?? Infinity;
  if (dirtySnapshot?.isForeign === true) {
    log.writing(state.seq, 1, dirtySnapshot.snapshot.index + entries.length);
  } else log.writing(state.seq, first, entries.length > 0 ? log.lastIndex : 0);
  state.effects.push({
    type: 'persist',
    seq: state.seq,
    hard,
    entries,
    snapshot: dirtySnapshot,
  });
  state.isHardDirty = false;
  state.dirtyFrom = Infinity;
  state.dirtySnapshot = undefined;
}

function tick(state: RaftState, now: Millis): void {
  if (state.role !== 'leader') {
    if (now >= state.electionAt) preCampaign(state, now);
    return;
  }
  const { transfer } = state;
  if (transfer !== undefined && now >= transfer.until) state.transfer = undefined;
  if (now >= state.quorumAt) checkQuorum(state, now);
  if (now < state.heartbeatAt || state.progress.size === 0) return;
  const lagMs = now - state.heartbeatAt;
  broadcastHeartbeat(state, now);
  if (lagMs > state.timing.heartbeatMs) giveWay(state, now);
}

function deadlineOf(state: RaftState): Millis {
  if (state.role !== 'leader') return state.electionAt;
  if (state.progress.size === 0) return Infinity;
  return Math.min(state.heartbeatAt, state.quorumAt, state.transfer?.until ?? Infinity);
}

/** Sorts messages by their term first (etcd's raft.Step). */
function receive(state: RaftState, now: Millis, from: Seat, message: RaftMessage): void {
  const { type, term } = message;
  if (!Number.isSafeInteger(term) || from === state.self) return;
  if (term > state.term) {
    const isVote = type === 'preVote' || type === 'vote';
    // Whoever hears a leader does not help to depose it, unless the leader itself asked for that.
    if (isVote && !message.isTransfer && isInLease(state, now)) {
      // A pre-vote is refused aloud, so that a group of which not all know a leader cannot wait for ever.
      if (type === 'preVote') {
        send(state, from, { type: 'preVoteReply', term: state.term, isGranted: false });
      }
      return;
    }
    const isPromise = type === 'preVote' || (type === 'preVoteReply' && message.isGranted);
    if (!isPromise) {
      const isLeader = type === 'append' || type === 'heartbeat' || type === 'snapshot';
      becomeFollower(state, now, term, isLeader ? from : undefined);
    }
  }
  if (message.term < state.term) return answerStale(state, from, message);
  dispatch(state, now, from, message);
}

/** A leader of the past learns that it is one, else it would ask for ever; an old pre-vote is refused aloud. */
function answerStale(state: RaftState, from: Seat, message: RaftMessage): void {
  if (message.type === 'append' || message.type === 'heartbeat' || message.type === 'snapshot') {
    send(state, from, { type: 'appendReply', term: state.term, match: 0 });
  } else if (message.type === 'preVote') {
    send(state, from, { type: 'preVoteReply', term: state.term, isGranted: false });
  } else if (message.type === 'vote') {
    send(state, from, { type: 'voteReply', term: state.term, isGranted: false });
  }
}

function dispatch(state: RaftState, now: Millis, from: Seat, message: RaftMessage): void {
  const progress = state.progress.get(from);
  if (progress !== undefined) progress.heardAt = now;
  switch (message.type) {
    case 'preVote':
    case 'vote':
      return answerVote(state, now, from, message);
    case 'preVoteReply':
    case 'voteReply':
      return countVote(state, now, from, message);
    case 'append':
      return follow(state, now, from) ? takeAppend(state, from, message) : undefined;
    case 'heartbeat':
      if (!follow(state, now, from)) return;
      if (message.commit > state.log.lastIndex) return giveUp(state);
      learnCommit(state, message.commit);
      send(state, from, { type: 'heartbeatReply', term: state.term, round: message.round });
      return;
    case 'snapshot':
      return follow(state, now, from) ? takePiece(state, from, message) : undefined;
    case 'appendReply':
      return matched(state, now, from, message.match);
    case 'appendRefused':
      return refusedAppend(state, from, message);
    case 'heartbeatReply':
      return state.role === 'leader'
        ? heartbeatAnswered(state, now, from, message.round)
        : undefined;
    case 'snapshotReply':
      return pieceArrived(state, from, message);
    case 'timeoutNow':
      if (state.role === 'follower') campaign(state, now, true);
      return;
    default:
      return unreachable(message);
  }
}

/** Somebody leads this term. @returns false when that cannot be: two leaders in one term. */
function follow(state: RaftState, now: Millis, from: Seat): boolean {
  if (state.role === 'leader') return false;
  becomeFollower(state, now, state.term, from);
  return true;
}

/**
 * A leader's heartbeat names nothing as decided that this follower has not acknowledged to it, in this term, and no log
 * gets shorter within a term. So what is missing was lost here, by a disk that had called it durable. Whoever counted on
 * it must not be outvoted with this replica's help: it ends, and the group gives its node a new seat.
 */
function giveUp(state: RaftState): void {
  state.isSpent = true;
  state.electionAt = Infinity;
  // Nothing that this step has ordered before may leave any more.
  state.effects = [];
  note(state, 'raft.forgot');
  state.effects.push({ type: 'giveUp' });
}

function heartbeatAnswered(state: RaftState, now: Millis, from: Seat, round: number): void {
  const progress = state.progress.get(from);
  if (progress === undefined) return;
  confirmRound(state, now, from, round);
  // An answer to a probe, or a piece of a snapshot, may have been lost: it is sent again at the pace of heartbeats.
  progress.isWaiting = false;
  if (progress.mode === 'snapshot') return sendSnapshot(state, progress);
  if (progress.inFlight.length >= state.limits.inFlightMax) progress.inFlight.shift();
  if (progress.match < state.log.lastIndex) sendAppend(state, progress, true);
}

function viewOf(state: RaftState): RaftView {
  const { log } = state;
  return {
    self: state.self,
    role: state.role,
    term: state.term,
    leader: state.leader,
    commit: state.commit,
    applied: state.applied,
    firstIndex: log.firstIndex,
    lastIndex: log.lastIndex,
    stable: log.stable,
    snapshotIndex: log.snapshot?.index ?? 0,
    config: log.config,
    isConfigCommitted: log.configIndex <= state.commit,
    isSettled: isSettled(state),
    isTransferring: state.transfer !== undefined,
    progress: [...state.progress.values()].map(({ seat, match, mode, heardAt }) => ({
      seat,
      match,
      mode,
      heardAt,
    })),
  };
}
