/** Every rule that consensus stands on, broken one at a time: the checkers of the storm must notice each. */

import { describe, expect, test } from 'vitest';
import type { Machine } from '../../src/protocol/consensus/machine.ts';
import type { createRaft } from '../../src/protocol/consensus/raft.ts';
import {
  electionSafety,
  leaderCompleteness,
  linearizable,
  logMatching,
  monotoneCommit,
  stateMachineSafety,
} from './checkers/raft.ts';
import type { RaftSubject } from './checkers/raft.ts';
import { bugScripts } from '../protocol/consensus/bug-scripts.ts';
import { withCore } from '../protocol/consensus/stage.ts';
import { loadMutant } from './mutants.ts';
import type { Mutation } from './mutants.ts';
import { withoutLease, withoutPreVote } from './paper-core.ts';
import type { GroupKnobs, RaftLetter } from './raft.ts';
import { crashes, deposals, lostEnds, raftStorm, rot } from './raft-storm.ts';
import type { StormOptions } from './raft-storm.ts';
import { swarm } from './swarm.ts';

/** Seeds tried until one shows the bug. */
const seedsMax = 60;

const weathers: Readonly<Record<'all' | 'crashes' | 'deposals', StormOptions>> = {
  all: { name: 'consensus storm' },
  crashes,
  deposals,
};

/** Runs seeds until a checker complains. @returns what it said, or nothing */
function hunt(
  weather: StormOptions,
  knobs: Partial<GroupKnobs>,
  shownBy: readonly number[] = [],
): string | undefined {
  const scenario = raftStorm({ ...weather, knobs: { ...weather.knobs, ...knobs } });
  const { failures } = swarm<RaftLetter, RaftSubject>({
    scenario,
    seeds: [...shownBy, ...Array.from({ length: seedsMax }, (_, at) => at + 1)],
    checkers: [
      electionSafety(),
      logMatching(),
      leaderCompleteness(),
      stateMachineSafety(),
      monotoneCommit(),
      linearizable(),
    ],
    isHunt: true,
  });
  const [failure] = failures;
  return failure && `seed ${failure.seed}: ${failure.problem}`;
}

interface Mutant extends Mutation {
  readonly name: string;
  /** Where it shows: in a storm, or in one of the stories of known bugs. */
  readonly oracle: keyof typeof weathers | 'stories';
  /** A seed that showed it, tried first. */
  readonly shownBy?: readonly number[];
}

const election = 'consensus/election.ts';
const membership = 'consensus/membership.ts';
const replication = 'consensus/replication.ts';
const reads = 'consensus/read-index.ts';

const mutants: readonly Mutant[] = [
  {
    name: 'old terms are decided by counting',
    oracle: 'stories',
    file: replication,
    from: 'if (index <= state.commit || state.log.termAt(index) !== state.term) return;',
    to: 'if (index <= state.commit) return;',
  },
  {
    name: 'a vote is not written down',
    oracle: 'stories',
    file: 'consensus/raft.ts',
    from: '{ term: state.term, vote: state.vote } : undefined;',
    to: '{ term: state.term, vote: 0 } : undefined;',
  },
  {
    name: 'a vote leaves before it is on disk',
    oracle: 'stories',
    file: election,
    from: 'if (state.owedVote === undefined || !isHardStable(state)) return;',
    to: 'if (state.owedVote === undefined) return;',
  },
  {
    name: 'an older log is voted for',
    oracle: 'crashes',
    file: election,
    from: 'const isGood = state.log.isBehindOrEqual(lastIndex, lastTerm);',
    to: 'const isGood = true; void lastIndex; void lastTerm;',
  },
  {
    name: 'a follower vouches for what is not on its disk',
    oracle: 'crashes',
    shownBy: [7],
    file: replication,
    from: 'const match = Math.min(owedMatch, state.log.stable);',
    to: 'const match = owedMatch;',
  },
  {
    name: 'a leader counts what is not on its disk',
    oracle: 'crashes',
    shownBy: [38],
    file: replication,
    from: 'seat === state.self ? state.log.stable :',
    to: 'seat === state.self ? state.log.lastIndex :',
  },
  {
    name: 'entries are taken without looking at what is before them',
    oracle: 'crashes',
    file: replication,
    from: 'if (prevIndex >= state.commit && state.log.termAt(prevIndex) !== prevTerm) {',
    to: 'if (prevIndex > state.log.lastIndex) {',
  },
  {
    name: 'heartbeats call decided what was not compared',
    oracle: 'crashes',
    file: reads,
    from: 'const commit = Math.min(match, state.commit);',
    to: 'const { commit } = state; void match;',
  },
  {
    name: 'reads are answered without asking who leads',
    oracle: 'stories',
    file: reads,
    from: 'if (!hasQuorum(state.log.config, isHere)) return;',
    to: 'void hasQuorum; void isHere;',
  },
  {
    name: 'a new leader answers before it knows what is decided',
    oracle: 'deposals',
    shownBy: [13],
    file: reads,
    from: "return state.role === 'leader' && state.log.termAt(state.commit) === state.term;",
    to: "return state.role === 'leader';",
  },
  {
    name: 'half of the voters are a majority',
    oracle: 'all',
    file: 'consensus/quorum.ts',
    from: 'return seats.filter(holds).length > seats.length / 2;',
    to: 'return seats.filter(holds).length >= Math.floor(seats.length / 2);',
  },
  {
    name: 'during a change one half decides',
    oracle: 'stories',
    file: 'consensus/quorum.ts',
    from: '(config.outgoing.length === 0 || isMajority(config.outgoing, holds))',
    to: 'true',
  },
  {
    name: 'whoever refuses what it had acknowledged is asked again at once',
    oracle: 'stories',
    file: 'consensus/progress.ts',
    from: "if (this.mode === 'probe' && prevIndex <= this.match) return 'stuck';",
    to: '',
  },
  {
    name: 'a replica does not notice that it lost what it had acknowledged',
    oracle: 'stories',
    file: 'consensus/raft.ts',
    from: 'if (message.commit > state.log.lastIndex) return giveUp(state);',
    to: 'void giveUp;',
  },
  { name: 'no pre-vote', oracle: 'stories', ...withoutPreVote },
  { name: 'nobody sticks to a leader that is heard', oracle: 'stories', ...withoutLease },
  {
    name: 'members change before the term has decided anything',
    oracle: 'stories',
    file: membership,
    from: "if (!isSettled(state)) return 'change-pending';",
    to: '',
  },
  {
    name: 'two voters',
    oracle: 'stories',
    file: membership,
    from: "if (voters.length === 0 || voters.length === 2) return 'bad-change';",
    to: '',
  },
  {
    name: 'a removed leader leads on',
    oracle: 'stories',
    file: membership,
    from: 'if (isVoter(config, state.self)) return;',
    to: 'if (now > 0) return;',
  },
  {
    name: 'a seat is given twice',
    oracle: 'stories',
    file: membership,
    from: "if (fresh.some(({ seat }) => seat <= config.lastSeat)) return 'bad-change';",
    to: 'void fresh;',
  },
  {
    name: 'proposals are taken during a transfer',
    oracle: 'stories',
    file: replication,
    from: ": state.transfer !== undefined\n          ? 'transferring'\n          :",
    to: ':',
  },
  {
    name: 'a learner elects itself',
    oracle: 'stories',
    file: election,
    from: '  resetElection(state, now);\n  if (!isVoter(state.log.config, state.self)) return;',
    to: '  resetElection(state, now);',
  },
];

/** Whether a story of a known bug does not end well with this core. */
function isToldBy(core: typeof createRaft): boolean {
  return Object.values(bugScripts).some((script) => {
    try {
      withCore(core, script);
      return false;
    } catch {
      return true;
    }
  });
}

test('a machine that does a repeated request again is noticed', async () => {
  const { Machine: Forgetful } = await loadMutant<{ Machine: typeof Machine }>(
    'consensus/machine.ts',
    {
      file: 'consensus/machine.ts',
      from: 'const outcome = known ?? this.#run(index, command);',
      to: 'const outcome = this.#run(index, command);',
    },
  );
  expect(hunt(crashes, { createMachine: () => new Forgetful() })).toBeDefined();
}, 60_000);

test('a disk that says "done" before it is, is noticed', () => {
  expect(hunt(crashes, { isBarrierDropped: true })).toBeDefined();
}, 60_000);

test('a log that is written once only, on a disk that rots where it was written last, is noticed', () => {
  expect(hunt({ ...rot, disk: { ...rot.disk, isSingle: true } }, {})).toBeDefined();
}, 60_000);

test('an end of a log that is taken for torn although it was durable is noticed', () => {
  expect(hunt({ ...lostEnds, disk: { ...lostEnds.disk, isMarkIgnored: true } }, {})).toBeDefined();
}, 60_000);

test('without any of these the same hunt finds nothing', () => {
  expect(hunt({ ...crashes, safetyMs: 5_000 }, {})).toBeUndefined();
}, 60_000);

describe('one line wrong in the core', () => {
  test.for(mutants)('$name', { timeout: 60_000 }, async (mutant) => {
    const core = await loadMutant<{ createRaft: typeof createRaft }>('consensus/raft.ts', mutant);
    if (mutant.oracle === 'stories') return expect(isToldBy(core.createRaft)).toBe(true);
    const knobs = { createRaft: core.createRaft };
    const found = hunt(weathers[mutant.oracle], knobs, mutant.shownBy);
    expect(found).toBeDefined();
  });
});
