/** Consensus in every weather: what is decided stays decided, and once the storm is over the group goes on. */

import { expect, test } from 'vitest';
import {
  electionSafety,
  goesOn,
  leaderCompleteness,
  linearizable,
  logMatching,
  monotoneCommit,
  stateMachineSafety,
} from './checkers/raft.ts';
import type { RaftSubject } from './checkers/raft.ts';
import { silentWhenDown } from './checkers/silent-when-down.ts';
import type { RaftLetter } from './raft.ts';
import { crashes, deposals, lostEnds, raftStorm, rot } from './raft-storm.ts';
import { keptSeeds } from './seeds.ts';
import { expectNoFailures, seedsFor, swarm, swarmPatienceMs } from './swarm.ts';

const storm = raftStorm();

const safety = () => [
  electionSafety(),
  logMatching(),
  leaderCompleteness(),
  stateMachineSafety(),
  monotoneCommit(),
  linearizable(),
];

test(
  'whatever happens, a group decides one history, and goes on when it can',
  () => {
    const report = swarm<RaftLetter, RaftSubject>({
      scenario: storm,
      seeds: seedsFor(20, keptSeeds(storm.name)),
      checkers: [silentWhenDown(), goesOn(), ...safety()],
    });
    expectNoFailures(report);
    expect(report.virtualMs / report.runCount).toBeGreaterThan(30_000);
  },
  swarmPatienceMs(),
);

// Where promises are broken most easily; the same weather shows what is wrong with cores that do one thing wrong.
test.each([crashes, deposals, rot, lostEnds])(
  '$name: what was promised is kept',
  (options) => {
    const scenario = raftStorm(options);
    const seeds = seedsFor(4, keptSeeds(scenario.name));
    expectNoFailures(swarm<RaftLetter, RaftSubject>({ scenario, seeds, checkers: safety() }));
  },
  swarmPatienceMs(),
);
