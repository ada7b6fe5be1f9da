/** Membership under every weather: 200 seeds of a storm and its calm, and 60 of a merely lossy network. */

import { expect, test } from 'vitest';
import { addSwimHost, simNodeId } from './membership.ts';
import type { SwimHost, SwimLetter } from './membership.ts';
import {
  boundedPackets,
  everybodyAlive,
  monotoneBeliefs,
  neverWronglyDead,
  noFalseCloneAlarm,
} from './checkers/membership.ts';
import type { SwimMesh } from './checkers/membership.ts';
import { noStorm } from './checkers/no-storm.ts';
import { silentWhenDown } from './checkers/silent-when-down.ts';
import { harshMenu } from './draw-faults.ts';
import { keptSeeds } from './seeds.ts';
import { expectNoFailures, seedsFor, swarm, swarmPatienceMs } from './swarm.ts';
import type { Scenario } from './swarm.ts';

const bytesMax = 1_400 - 40;

const storm: Scenario<SwimLetter, SwimMesh> = {
  name: 'membership storm',
  hostCounts: [3, 5, 20],
  safetyMs: 60_000,
  // Two push-pull intervals.
  livenessMs: 60_000,
  steadyMs: 3_000,
  menu: harshMenu,
  world: { kindOf: (letter) => (letter instanceof Uint8Array ? 'bytes' : letter.kind) },
  build: (world, draw) => {
    const ids = Array.from({ length: draw.hostCount }, (_, at) => simNodeId(at + 1));
    const hosts = new Map<string, SwimHost>();
    ids.forEach((id, at) => {
      const seed = ids[at === 0 ? 1 : 0];
      const host = draw.nextHost();
      hosts.set(
        id,
        addSwimHost(
          world,
          id,
          { seeds: seed === undefined ? [] : [seed] },
          // Verdicts are deferred past a poll phase in production; the draw decides everything else.
          { ...host, lateTick: 'after-messages' },
        ),
      );
    });
    return hosts;
  },
};

test(
  'whatever happens, beliefs are monotone and the mesh comes together again',
  () => {
    const report = swarm<SwimLetter, SwimMesh>({
      scenario: storm,
      seeds: seedsFor(200, keptSeeds(storm.name)),
      checkers: [
        monotoneBeliefs(),
        boundedPackets(bytesMax),
        everybodyAlive(),
        noFalseCloneAlarm(),
        silentWhenDown(),
        noStorm(40),
      ],
    });
    expectNoFailures(report);
    expect(report.virtualMs / report.runCount).toBeGreaterThan(60_000);
  },
  swarmPatienceMs(),
);

const drizzle: Scenario<SwimLetter, SwimMesh> = {
  ...storm,
  name: 'membership drizzle',
  safetyMs: 60_000,
  menu: { ...harshMenu, kinds: ['jump-wall'], lossRateMax: 0.05, reorderRateMax: 0.1 },
};

test(
  'loss up to 5 % never buries anybody who runs',
  () => {
    const report = swarm<SwimLetter, SwimMesh>({
      scenario: drizzle,
      seeds: seedsFor(60, keptSeeds(drizzle.name)),
      checkers: [neverWronglyDead(), monotoneBeliefs(), everybodyAlive(), noStorm(20)],
    });
    expectNoFailures(report);
  },
  swarmPatienceMs(),
);
