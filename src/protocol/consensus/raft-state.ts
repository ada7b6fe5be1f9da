/** The state of one replica, and the few moves that every part of the core makes. */

import type { Millis } from '../../kernel/core.ts';
import type { Random } from '../../kernel/random.ts';
import { ReplicaLog } from './log.ts';
import type { Entry, RaftMessage, Seat, Snapshot } from './messages.ts';
import type { Progress } from './progress.ts';
import type {
  RaftConfig,
  RaftEffect,
  RaftLimits,
  RaftNote,
  RaftRole,
  RaftTiming,
} from './raft-types.ts';

const limitsDefault: RaftLimits = {
  messageBytesMax: 65_536,
  inFlightMax: 32,
  uncommittedBytesMax: 1_048_576,
  snapshotEntries: 1000,
  snapshotBytes: 1_048_576,
  trailingEntries: 256,
};

/** A read that waits. `round` 0: for the first decision of the term, before it may be given one. */
export interface WaitingRead {
  readonly ref: number;
  index: number;
  round: number;
}

/** A snapshot of the leader, as far as it has come. */
export interface IncomingSnapshot {
  readonly index: number;
  readonly term: number;
  readonly data: Uint8Array;
  offset: number;
}

/** The state. */
export interface RaftState {
  readonly self: Seat;
  readonly random: Random;
  readonly limits: RaftLimits;
  readonly log: ReplicaLog;
  timing: RaftTiming;
  term: number;
  vote: Seat;
  role: RaftRole;
  leader: Seat | undefined;
  commit: number;
  applied: number;

  electionAt: Millis;
  heardLeaderAt: Millis;
  heartbeatAt: Millis;
  quorumAt: Millis;
  /** The hint of a broken link is used once per leader; after a failed round the normal patience counts. */
  isHintSpent: boolean;
  /** The election timer runs short because of such a hint. */
  isHinted: boolean;
  /** No voluntary transfer before this. */
  steadyUntil: Millis;

  readonly votes: Map<Seat, boolean>;
  readonly progress: Map<Seat, Progress>;
  transfer: { readonly to: Seat; readonly until: Millis; isTold: boolean } | undefined;

  readRound: number;
  /** The round that is out, unanswered by a quorum. */
  isRoundOpen: boolean;
  reads: WaitingRead[];
  incoming: IncomingSnapshot | undefined;
  /** A snapshot of the own state machine was ordered. */
  isSnapshotOrdered: boolean;

  /** The last write's number, the last one that changed term or vote, and the last one that is done. */
  seq: number;
  hardSeq: number;
  persistedSeq: number;
  isHardDirty: boolean;
  /** Entries from here on are not on their way to the disk yet; Infinity: all are. */
  dirtyFrom: number;
  dirtySnapshot: { snapshot: Snapshot; keepFrom: number; isForeign: boolean } | undefined;
  /** Answers that wait for the disk: what was accepted of the leader's log, a vote, an own campaign. */
  owedMatch: number | undefined;
  owedVote: Seat | undefined;
  owedCampaign: { readonly isTransfer: boolean } | undefined;

  /** It forgot what it had promised: it says nothing any more. */
  isSpent: boolean;

  effects: RaftEffect[];
}

/** Builds it from what the disk held. */
export function createRaftState(config: RaftConfig, random: Random): RaftState {
  const { hard, snapshot, entries } = config.restored;
  const log = new ReplicaLog(snapshot, entries);
  const known = snapshot?.index ?? 0;
  return {
    self: config.self,
    random,
    limits: { ...limitsDefault, ...config.limits },
    log,
    timing: config.timing,
    term: hard.term,
    vote: hard.vote,
    role: 'follower',
    leader: undefined,
    commit: known,
    applied: known,
    electionAt: -Infinity,
    heardLeaderAt: -Infinity,
    heartbeatAt: Infinity,
    quorumAt: Infinity,
    isHintSpent: false,
    isHinted: false,
    steadyUntil: -Infinity,
    votes: new Map(),
    progress: new Map(),
    transfer: undefined,
    readRound: 0,
    isRoundOpen: false,
    reads: [],
    incoming: undefined,
    isSnapshotOrdered: false,
    seq: 0,
    hardSeq: 0,
    persistedSeq: 0,
    isHardDirty: false,
    dirtyFrom: Infinity,
    dirtySnapshot: undefined,
    owedMatch: undefined,
    owedVote: undefined,
    owedCampaign: undefined,
    isSpent: false,
    effects: [],
  };
}

/** Sends a message. */
export function send(state: RaftState, to: Seat, message: RaftMessage): void {
  state.effects.push({ type: 'send', to, message });
}

/** Notes something. */
export function note(state: RaftState, code: RaftNote): void {
  state.effects.push({ type: 'note', code });
}

/** Whether term and vote, as they are, are on disk. */
export function isHardStable(state: RaftState): boolean {
  return !state.isHardDirty && state.persistedSeq >= state.hardSeq;
}

/** Draws the next election timeout. It is drawn anew at every reset (Raft 5.2). */
export function resetElection(state: RaftState, now: Millis): void {
  const { electionMsMin, electionMsMax } = state.timing;
  const spread = Math.max(0, electionMsMax - electionMsMin);
  state.electionAt = now + electionMsMin + state.random.unit() * spread;
  state.isHinted = false;
}

/** Appends to the own log, to be written at the end of the step. */
export function appendEntries(state: RaftState, entries: readonly Entry[]): void {
  const first = entries[0];
  if (first === undefined) return;
  state.log.append(entries);
  state.dirtyFrom = Math.min(state.dirtyFrom, first.index);
}

/** Becomes a follower, of a newer term or of this one. */
export function becomeFollower(
  state: RaftState,
  now: Millis,
  term: number,
  leader: Seat | undefined,
): void {
  const before = { role: state.role, term: state.term, leader: state.leader };
  if (term > state.term) {
    state.term = term;
    state.vote = 0;
    state.isHardDirty = true;
    state.owedVote = undefined;
    state.owedMatch = undefined;
  }
  state.owedCampaign = undefined;
  leaveOffice(state);
  state.role = 'follower';
  if (leader !== state.leader) state.incoming = undefined;
  state.leader = leader;
  if (leader !== undefined) {
    state.heardLeaderAt = now;
    state.isHintSpent = false;
  }
  resetElection(state, now);
  const isNews = before.role !== 'follower' || before.leader !== leader || before.term !== term;
  if (isNews) announce(state);
}

/** Tells who leads. */
export function announce(state: RaftState): void {
  const { role, term, leader } = state;
  state.effects.push({ type: 'announce', role, term, leader });
}

/** Ends what only a leader or a candidate has. */
function leaveOffice(state: RaftState): void {
  state.votes.clear();
  state.progress.clear();
  state.transfer = undefined;
  state.heartbeatAt = Infinity;
  state.quorumAt = Infinity;
  state.isRoundOpen = false;
  for (const { ref } of state.reads) {
    state.effects.push({ type: 'refused', ref, reason: 'not-leader' });
  }
  state.reads = [];
}
