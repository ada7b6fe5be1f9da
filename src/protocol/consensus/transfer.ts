/** Handing leadership over on purpose (thesis 3.10), also because this machine has become too slow to lead. */

import type { Millis } from '../../kernel/core.ts';
import type { Seat } from './messages.ts';
import type { Progress } from './progress.ts';
import { note, send } from './raft-state.ts';
import type { RaftState } from './raft-state.ts';

/** For so many election timeouts nobody gives up a lead for lag that it has just got, or has just given up. */
const steadyFactor = 20;

/** Stays for a while: where all share a busy machine, handing the lead around only adds to its load. */
export function staySteady(state: RaftState, now: Millis): void {
  state.steadyUntil = now + steadyFactor * state.timing.electionMsMax;
}

/** Hands leadership to a voter: no proposals until it is over, one election timeout at most (thesis 3.10). */
export function transferTo(state: RaftState, now: Millis, to: Seat): void {
  const progress = state.progress.get(to);
  if (state.role !== 'leader' || progress === undefined || state.transfer?.to === to) return;
  if (!state.log.config.voters.includes(to)) return;
  note(state, 'raft.transfer');
  state.transfer = { to, until: now + state.timing.electionMsMax, isTold: false };
  pushTransfer(state);
}

/** Tells the successor to begin, once it has the whole log. */
export function pushTransfer(state: RaftState): void {
  const { transfer } = state;
  if (transfer === undefined || transfer.isTold) return;
  if (state.progress.get(transfer.to)?.match !== state.log.lastIndex) return;
  transfer.isTold = true;
  send(state, transfer.to, { type: 'timeoutNow', term: state.term });
}

/** The leader's loop is late: somebody with more time should lead. */
export function giveWay(state: RaftState, now: Millis): void {
  if (state.role !== 'leader' || now < state.steadyUntil || state.transfer !== undefined) return;
  const since = now - state.timing.electionMsMax;
  const best = bestSuccessor(state, since);
  if (best === undefined) return;
  staySteady(state, now);
  note(state, 'raft.lagging');
  transferTo(state, now, best);
}

/** The voter with the longest log among those heard lately. */
export function bestSuccessor(state: RaftState, since: Millis): Seat | undefined {
  let best: Progress | undefined;
  for (const progress of state.progress.values()) {
    if (!state.log.config.voters.includes(progress.seat) || progress.heardAt < since) continue;
    if (best === undefined || progress.match > best.match) best = progress;
  }
  return best?.seat;
}
