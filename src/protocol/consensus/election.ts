/** Who leads: pre-vote, votes, transfer and stepping down (Raft 5.2 and 5.4.1; thesis 3.10, 6.4, 9.6). */

import type { Millis } from '../../kernel/core.ts';
import type { RaftMessage, Seat } from './messages.ts';
import { Progress } from './progress.ts';
import { hasQuorum, isVoter, receiversOf, tally, votersOf } from './quorum.ts';
import {
  announce,
  appendEntries,
  becomeFollower,
  isHardStable,
  note,
  resetElection,
  send,
} from './raft-state.ts';
import type { RaftState } from './raft-state.ts';
import { broadcastAppend } from './replication.ts';
import { staySteady } from './transfer.ts';

type VoteRequest = Extract<RaftMessage, { type: 'preVote' | 'vote' }>;

/** Asks whether it could win, without disturbing anybody: terms stay as they are (thesis 9.6). */
export function preCampaign(state: RaftState, now: Millis): void {
  resetElection(state, now);
  if (!isVoter(state.log.config, state.self)) return;
  note(state, 'raft.campaign');
  state.role = 'preCandidate';
  state.leader = undefined;
  state.votes.clear();
  state.votes.set(state.self, true);
  announce(state);
  if (tally(state.log.config, state.votes) === 'won') return campaign(state, now, false);
  askForVotes(state, 'preVote', state.term + 1, false);
}

/** Begins a new term and votes for itself. The requests leave when that vote is on disk. */
export function campaign(state: RaftState, now: Millis, isTransfer: boolean): void {
  if (!isVoter(state.log.config, state.self)) return;
  becomeFollower(state, now, state.term + 1, undefined);
  state.role = 'candidate';
  state.vote = state.self;
  state.isHardDirty = true;
  state.owedCampaign = { isTransfer };
  announce(state);
}

/** The own vote is on disk: it counts from now on, and others are asked for theirs. */
export function payCampaign(state: RaftState, now: Millis): void {
  const owed = state.owedCampaign;
  if (owed === undefined || state.role !== 'candidate' || !isHardStable(state)) return;
  state.owedCampaign = undefined;
  state.votes.clear();
  state.votes.set(state.self, true);
  if (tally(state.log.config, state.votes) === 'won') return becomeLeader(state, now);
  askForVotes(state, 'vote', state.term, owed.isTransfer);
}

/** The vote is on disk: the candidate may count on it. */
export function payVote(state: RaftState): void {
  if (state.owedVote === undefined || !isHardStable(state)) return;
  send(state, state.owedVote, { type: 'voteReply', term: state.term, isGranted: true });
  state.owedVote = undefined;
}

function askForVotes(
  state: RaftState,
  type: 'preVote' | 'vote',
  term: number,
  isTransfer: boolean,
): void {
  const { lastIndex, lastTerm } = state.log;
  for (const seat of votersOf(state.log.config)) {
    if (seat === state.self) continue;
    send(state, seat, { type, term, lastIndex, lastTerm, isTransfer });
  }
}

/** Whether a leader was heard so lately that no other may be wanted (thesis 6.4.1 and 9.6). */
export function isInLease(state: RaftState, now: Millis): boolean {
  if (state.role === 'leader') return true;
  return state.leader !== undefined && now - state.heardLeaderAt < state.timing.electionMsMin;
}

/**
 * Answers a request for a vote of the own term, or a pre-vote of any later one. A replica votes whether or not it
 * believes to be a voter: it may have been promoted without having heard of it.
 */
export function answerVote(state: RaftState, now: Millis, from: Seat, message: VoteRequest): void {
  const { type, term, lastIndex, lastTerm } = message;
  const isGood = state.log.isBehindOrEqual(lastIndex, lastTerm);
  if (type === 'preVote') {
    const isGranted = isGood && term > state.term && !isInLease(state, now);
    // Somebody has taken the hint. To follow it, too, would split the vote, and then all wait for the long timeout.
    if (isGranted && state.isHinted) resetElection(state, now);
    send(state, from, { type: 'preVoteReply', term: isGranted ? term : state.term, isGranted });
    return;
  }
  const isFree = state.vote === from || (state.vote === 0 && state.leader === undefined);
  if (!isGood || !isFree) {
    send(state, from, { type: 'voteReply', term: state.term, isGranted: false });
    return;
  }
  if (state.vote !== from) {
    state.vote = from;
    state.isHardDirty = true;
  }
  resetElection(state, now);
  state.owedVote = from;
}

/** Counts an answer. */
export function countVote(
  state: RaftState,
  now: Millis,
  from: Seat,
  message: Extract<RaftMessage, { type: 'preVoteReply' | 'voteReply' }>,
): void {
  const isPre = message.type === 'preVoteReply';
  if (state.role !== (isPre ? 'preCandidate' : 'candidate')) return;
  if (!isVoter(state.log.config, from) || state.owedCampaign !== undefined) return;
  // A grant of an older round says nothing about this one.
  if (isPre && message.isGranted && message.term !== state.term + 1) return;
  if (!state.votes.has(from)) state.votes.set(from, message.isGranted);
  const result = tally(state.log.config, state.votes);
  if (result === 'won' && isPre) campaign(state, now, false);
  else if (result === 'won') becomeLeader(state, now);
  // Lost: the term stays, the timer runs, and a newer leader or a new round ends this.
  else if (result === 'lost') becomeFollower(state, now, state.term, undefined);
}

function becomeLeader(state: RaftState, now: Millis): void {
  state.role = 'leader';
  state.leader = state.self;
  state.isHintSpent = false;
  state.votes.clear();
  state.incoming = undefined;
  staySteady(state, now);
  note(state, 'raft.elected');
  announce(state);
  // Only an entry of the own term may be counted; what is older is decided with it (Raft 5.4.2).
  const index = state.log.lastIndex + 1;
  appendEntries(state, [{ index, term: state.term, type: 'noop' }]);
  for (const seat of receiversOf(state.log.config)) {
    if (seat !== state.self) state.progress.set(seat, new Progress(seat, index, now));
  }
  state.heartbeatAt = now + state.timing.heartbeatMs;
  state.quorumAt = now + state.timing.electionMsMax;
  state.electionAt = Infinity;
  broadcastAppend(state);
}

/** A leader that has not heard a majority for an election timeout leads nobody (thesis 6.2). */
export function checkQuorum(state: RaftState, now: Millis): void {
  const since = now - state.timing.electionMsMax;
  const isHeard = (seat: Seat): boolean =>
    seat === state.self || (state.progress.get(seat)?.heardAt ?? -Infinity) >= since;
  if (hasQuorum(state.log.config, isHeard)) {
    state.quorumAt = now + state.timing.heartbeatMs;
    return;
  }
  note(state, 'raft.lost-quorum');
  becomeFollower(state, now, state.term, undefined);
}

/**
 * The link to the leader broke. When its process died, everybody's did, and a pre-vote wins at once. The voters begin in
 * the order of their seats: whoever comes first has won, as a rule, before the next one's time.
 */
export function hint(state: RaftState, now: Millis, seat: Seat): void {
  if (state.role !== 'follower' || state.leader !== seat || state.isHintSpent) return;
  note(state, 'raft.hint');
  state.isHintSpent = true;
  state.leader = undefined;
  announce(state);
  const { hintStepMs } = state.timing;
  const heirs = votersOf(state.log.config).filter((voter) => voter !== seat);
  const rank = Math.max(0, heirs.sort((left, right) => left - right).indexOf(state.self));
  // Not at once: whoever has not yet noticed that the leader is gone refuses.
  const waitMs = hintStepMs * (rank + 0.25 + state.random.unit() / 4);
  if (now + waitMs >= state.electionAt) return;
  state.electionAt = now + waitMs;
  state.isHinted = true;
}
