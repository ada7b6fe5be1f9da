/** The log goes from the leader to everybody: appends, their answers, and what is decided (Raft 5.3, 5.4.2). */

import type { Millis } from '../../kernel/core.ts';

import { entryBytes } from './messages.ts';
import type { Entry, RaftMessage, Seat } from './messages.ts';
import type { Progress } from './progress.ts';
import { quorumIndex } from './quorum.ts';
import { appendEntries, isHardStable, note, send } from './raft-state.ts';
import type { RaftState } from './raft-state.ts';
import { acceptedForReads } from './read-index.ts';
import { sendSnapshot } from './snapshot.ts';
import { pushTransfer } from './transfer.ts';

type Append = Extract<RaftMessage, { type: 'append' }>;

/** Commands in one input at most; the caller splits more. */
export const proposalsMax = 512;

/** Takes commands into the log. */
export function propose(
  state: RaftState,
  items: readonly { readonly ref: number; readonly data: Uint8Array }[],
): void {
  const entries: Entry[] = [];
  const accepted: number[] = [];
  let undecided = undecidedBytes(state);
  for (const { ref, data } of items.slice(0, proposalsMax)) {
    const reason =
      state.role !== 'leader'
        ? 'not-leader'
        : state.transfer !== undefined
          ? 'transferring'
          : data.length > state.limits.messageBytesMax
            ? 'too-large'
            : undecided + data.length > state.limits.uncommittedBytesMax
              ? 'overloaded'
              : undefined;
    if (reason !== undefined) {
      state.effects.push({ type: 'refused', ref, reason });
      continue;
    }
    const index = state.log.lastIndex + 1 + entries.length;
    const entry: Entry = { index, term: state.term, type: 'command', data };
    undecided += entryBytes(entry);
    entries.push(entry);
    accepted.push(ref);
  }
  for (const { ref } of items.slice(proposalsMax)) {
    state.effects.push({ type: 'refused', ref, reason: 'overloaded' });
  }
  entries.forEach(({ index, term }, at) => {
    state.effects.push({ type: 'accepted', ref: accepted[at] as number, index, term });
  });
  if (entries.length === 0) return;
  appendEntries(state, entries);
  broadcastAppend(state);
}

function undecidedBytes(state: RaftState): number {
  let bytes = 0;
  for (let index = state.log.lastIndex; index > state.commit; index -= 1) {
    const entry = state.log.at(index);
    if (entry !== undefined) bytes += entryBytes(entry);
  }
  return bytes;
}

/** Sends what is new to everybody who can take it. */
export function broadcastAppend(state: RaftState): void {
  for (const progress of state.progress.values()) sendAppend(state, progress, false);
}

/** Sends entries to one follower until it is paused. `mayBeEmpty`: once even without entries, to find where it is. */
export function sendAppend(state: RaftState, progress: Progress, mayBeEmpty: boolean): void {
  let isEmptyAllowed = mayBeEmpty || progress.mode === 'probe';
  while (!progress.isPaused(state.limits.inFlightMax)) {
    const prevIndex = progress.next - 1;
    const prevTerm = state.log.termAt(prevIndex);
    if (prevTerm === undefined || progress.next < state.log.firstIndex) {
      return sendSnapshot(state, progress);
    }
    const { lastIndex } = state.log;
    const entries = state.log.slice(progress.next, lastIndex, state.limits.messageBytesMax);
    const last = entries.at(-1)?.index;
    if (last === undefined && !isEmptyAllowed) return;
    isEmptyAllowed = false;
    send(state, progress.seat, {
      type: 'append',
      term: state.term,
      prevIndex,
      prevTerm,
      commit: state.commit,
      entries,
    });
    if (progress.mode === 'probe') progress.isWaiting = true;
    else if (last === undefined) return;
    else {
      progress.next = last + 1;
      progress.inFlight.push(last);
    }
  }
}

/** A follower has everything up to `match` on disk. */
export function matched(state: RaftState, now: Millis, from: Seat, match: number): void {
  const progress = state.progress.get(from);
  if (state.role !== 'leader' || progress === undefined) return;
  if (match > state.log.lastIndex) return;
  const isNews = progress.acknowledged(match);
  if (progress.mode === 'probe') progress.becomeReplicate();
  else if (progress.mode === 'snapshot' && progress.match >= (progress.sending?.index ?? 0)) {
    progress.becomeReplicate();
  }
  if (isNews) decide(state, now);
  sendAppend(state, progress, false);
  pushTransfer(state);
}

/** A follower's log is another one at `prevIndex`. */
export function refusedAppend(
  state: RaftState,
  from: Seat,
  message: Extract<RaftMessage, { type: 'appendRefused' }>,
): void {
  const progress = state.progress.get(from);
  if (state.role !== 'leader' || progress === undefined) return;
  // Skips whole terms: the last own entry that is not newer than the follower's.
  const hint = state.log.hintFor(message.hintIndex, message.hintTerm);
  const refusal = progress.refused(message.prevIndex, hint.index + 1);
  if (refusal === 'moved') return sendAppend(state, progress, true);
  // An old refusal come late, or a follower that lost what it had acknowledged: then it would refuse for ever, and as
  // fast as it is asked. It is asked again at the pace of heartbeats, and by one of them it finds out itself.
  if (refusal === 'stuck') note(state, 'raft.refused-acknowledged');
}

/** Decides what a majority has on disk, if it is of the own term: older entries never by counting (Raft figure 8). */
export function decide(state: RaftState, now: Millis): void {
  if (state.role !== 'leader') return;
  const index = quorumIndex(state.log.config, (seat) =>
    seat === state.self ? state.log.stable : (state.progress.get(seat)?.match ?? 0),
  );
  if (index <= state.commit || state.log.termAt(index) !== state.term) return;
  state.commit = index;
  acceptedForReads(state, now);
}

/** What a follower does with the leader's entries. */
export function takeAppend(state: RaftState, from: Seat, message: Append): void {
  const { prevIndex, prevTerm, entries } = message;
  // What is decided is equal everywhere, so only what comes after it has to be compared.
  if (prevIndex >= state.commit && state.log.termAt(prevIndex) !== prevTerm) {
    const hint = state.log.hintFor(prevIndex, prevTerm);
    const refusal = { prevIndex, hintIndex: hint.index, hintTerm: hint.term };
    send(state, from, { type: 'appendRefused', term: state.term, ...refusal });
    return;
  }
  const undecided = entries.filter(({ index }) => index > state.commit);
  const at = undecided.findIndex(({ index, term }) => state.log.termAt(index) !== term);
  if (at >= 0) {
    const first = undecided[at] as Entry;
    if (first.index > state.log.lastIndex + 1) {
      note(state, 'raft.conflict-with-committed');
      return;
    }
    appendEntries(state, undecided.slice(at));
  }
  const last = Math.max(state.commit, prevIndex + entries.length);
  learnCommit(state, Math.min(message.commit, last));
  state.owedMatch = Math.max(state.owedMatch ?? 0, last);
}

/** The leader says what is decided. */
export function learnCommit(state: RaftState, commit: number): void {
  state.commit = Math.max(state.commit, Math.min(commit, state.log.lastIndex));
}

/** Answers the leader for what is on disk by now. `isNews`: a write has just been done, so a part of it is worth telling. */
export function payMatch(state: RaftState, isNews: boolean): void {
  const { owedMatch, leader } = state;
  if (owedMatch === undefined || leader === undefined || !isHardStable(state)) return;
  const match = Math.min(owedMatch, state.log.stable);
  if (match < owedMatch && !isNews) return;
  if (match === owedMatch) state.owedMatch = undefined;
  send(state, leader, { type: 'appendReply', term: state.term, match });
}

/** Orders the application of what is decided and durable here. */
export function applyDecided(state: RaftState): void {
  const upTo = Math.min(state.commit, state.log.stable);
  if (upTo <= state.applied) return;
  const entries: Entry[] = [];
  for (let index = state.applied + 1; index <= upTo; index += 1) {
    const entry = state.log.at(index);
    if (entry === undefined) break;
    entries.push(entry);
  }
  state.applied += entries.length;
  if (entries.length > 0) state.effects.push({ type: 'apply', entries });
}
