/** What Raft as in the paper does not have of this core, taken out again. */

import type { Mutation } from './mutants.ts';

/** Whose timeout is over campaigns at once (the thesis added pre-votes in 9.6). */
export const withoutPreVote: Mutation = {
  file: 'consensus/election.ts',
  from: "if (tally(state.log.config, state.votes) === 'won') return campaign(state, now, false);\n  ask",
  to: 'return campaign(state, now, false);\n  ask',
};

/** A follower votes although it heard a leader just now (thesis 6.4.1 forbids it). */
export const withoutLease: Mutation = {
  file: 'consensus/election.ts',
  from: 'return state.leader !== undefined && now - state.heardLeaderAt < state.timing.electionMsMin;',
  to: 'return now < 0;',
};

/** A candidate that has lost waits for the rest of its time, not for a fresh one. */
export const withoutFreshPatience: Mutation = {
  file: 'consensus/election.ts',
  from: "else if (result === 'lost') becomeFollower(state, now, state.term, undefined);",
  to: '',
};
