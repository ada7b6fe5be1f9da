/** Changing who decides, while deciding: joint consensus through learners, one change at a time (Raft 6). */

import type { Millis } from '../../kernel/core.ts';

import type { Configuration } from './messages.ts';
import { Progress } from './progress.ts';
import { isSoundConfiguration, isVoter, receiversOf } from './quorum.ts';
import { appendEntries, becomeFollower, note, send } from './raft-state.ts';
import type { RaftState } from './raft-state.ts';
import type { MembershipChange, Refusal } from './raft-types.ts';
import { isSettled } from './read-index.ts';
import { broadcastAppend } from './replication.ts';
import { bestSuccessor } from './transfer.ts';

/** Asks for a change. It is in force as soon as it is in the log (thesis 4.1). */
export function askChange(
  state: RaftState,
  now: Millis,
  ref: number,
  change: MembershipChange,
): void {
  const reason = refusalOf(state, change);
  if (reason !== undefined) {
    state.effects.push({ type: 'refused', ref, reason });
    return;
  }
  const old = state.log.config;
  const isSame = sameSeats(old.voters, change.voters);
  const kept = new Set([...change.voters, ...change.learners, ...(isSame ? [] : old.voters)]);
  const known = new Map([...old.members, ...change.members].map((one) => [one.seat, one]));
  const members = [...kept].map((seat) => known.get(seat) ?? { seat, node: '' as never });
  const config: Configuration = {
    voters: change.voters,
    outgoing: isSame ? [] : old.voters,
    // A voter does not become a learner: it goes, and may learn under a new seat.
    learners: change.learners.filter((seat) => isSame || !old.voters.includes(seat)),
    members,
    lastSeat: Math.max(old.lastSeat, ...change.members.map(({ seat }) => seat)),
  };
  if (!isSoundConfiguration(config) || config.members.some(({ node }) => (node as string) === '')) {
    state.effects.push({ type: 'refused', ref, reason: 'bad-change' });
    return;
  }
  const index = appendConfig(state, now, config);
  state.effects.push({ type: 'accepted', ref, index, term: state.term });
}

function refusalOf(state: RaftState, change: MembershipChange): Refusal | undefined {
  if (state.role !== 'leader') return 'not-leader';
  if (state.transfer !== undefined) return 'transferring';
  // Two leaders could otherwise each change the same parent (Ongaro, raft-dev, 10 July 2015).
  if (!isSettled(state)) return 'change-pending';
  const { config, configIndex } = state.log;
  if (configIndex > state.commit || config.outgoing.length > 0) return 'change-pending';
  const { voters, learners, members } = change;
  // Two voters are worse than one: either one down stops both, and neither can be removed then.
  if (voters.length === 0 || voters.length === 2) return 'bad-change';
  if (new Set([...voters, ...learners]).size !== voters.length + learners.length)
    return 'bad-change';
  const known = new Set(config.members.map(({ seat }) => seat));
  const fresh = members.filter(({ seat }) => !known.has(seat));
  // A seat is given once for all time.
  if (fresh.some(({ seat }) => seat <= config.lastSeat)) return 'bad-change';
  const all = new Set([...known, ...fresh.map(({ seat }) => seat)]);
  if ([...voters, ...learners].some((seat) => !all.has(seat))) return 'bad-change';
  // Newcomers learn first: a voter without the log would hold up every decision.
  if (voters.some((seat) => !known.has(seat))) return 'bad-change';
  return undefined;
}

/** Takes a configuration into the log and follows it. */
function appendConfig(state: RaftState, now: Millis, config: Configuration): number {
  const index = state.log.lastIndex + 1;
  appendEntries(state, [{ index, term: state.term, type: 'config', config }]);
  followConfig(state, now);
  broadcastAppend(state);
  return index;
}

/** Keeps the leader's book of followers in line with the configuration. */
export function followConfig(state: RaftState, now: Millis): void {
  if (state.role !== 'leader') return;
  const wanted = new Set(receiversOf(state.log.config));
  for (const seat of state.progress.keys()) {
    if (!wanted.has(seat)) state.progress.delete(seat);
  }
  for (const seat of wanted) {
    if (seat === state.self || state.progress.has(seat)) continue;
    state.progress.set(seat, new Progress(seat, state.log.lastIndex, now));
  }
}

/** Once a joint configuration is decided the old half goes; once that is decided too, a leader outside steps down. */
export function finishChange(state: RaftState, now: Millis): void {
  if (state.role !== 'leader' || state.log.configIndex > state.commit || !isSettled(state)) return;
  const { config } = state.log;
  if (config.outgoing.length > 0) {
    const kept = new Set([...config.voters, ...config.learners]);
    appendConfig(state, now, {
      ...config,
      outgoing: [],
      members: config.members.filter(({ seat }) => kept.has(seat)),
    });
    return;
  }
  if (isVoter(config, state.self)) return;
  note(state, 'raft.removed');
  const heir = bestSuccessor(state, now - state.timing.electionMsMax);
  if (heir !== undefined) send(state, heir, { type: 'timeoutNow', term: state.term });
  becomeFollower(state, now, state.term, undefined);
}

function sameSeats(left: readonly number[], right: readonly number[]): boolean {
  return left.length === right.length && left.every((seat) => right.includes(seat));
}
