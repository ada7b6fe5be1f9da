/** Lifeguard's ordering (arXiv 1707.00788, tables IV to VI), measured on the production core with its parts switched off. */

import { expect, test } from 'vitest';
import type { NodeId } from '../../src/kernel/ids.ts';
import { createRandom, sample } from '../../src/kernel/random.ts';
import { swimProfiles } from '../../src/protocol/membership/profiles.ts';
import type { Lifeguard, SwimEffect } from '../../src/protocol/membership/swim-types.ts';
import { addSwimHost, simNodeId } from './membership.ts';
import type { SwimLetter } from './membership.ts';
import { conditions, createWorld } from './world.ts';

const memberCount = 12;
const none: Lifeguard = { lhaProbe: false, lhaSuspicion: false, buddy: false };
const configurations: Readonly<Record<string, Lifeguard>> = {
  swim: none,
  buddy: { ...none, buddy: true },
  lhaProbe: { ...none, lhaProbe: true },
  lhaSuspicion: { ...none, lhaSuspicion: true },
  lifeguard: { lhaProbe: true, lhaSuspicion: true, buddy: true },
};

/** Some members stand still for `blockMs`, run for `gapMs`, and so on. */
interface Distress {
  readonly memberCount: number;
  readonly blockMs: number;
  readonly gapMs: number;
}

const grid: readonly Distress[] = [1, 3].flatMap((count) =>
  [5_700, 6_500, 7_500, 12_000].flatMap((blockMs) =>
    [2, 8].map((gapMs) => ({ memberCount: count, blockMs, gapMs })),
  ),
);

/** Deaths of members in good health, announced by anybody within 200 s (the paper's FP). */
function falseDeaths(lifeguard: Lifeguard, distress: Distress, seed: number): number {
  const world = createWorld<SwimLetter>({
    seed,
    stepsPerMsMax: 50_000,
    network: conditions.wifi,
  });
  const profile = { ...swimProfiles.wired, suspicionMult: 5 };
  const ids = Array.from({ length: memberCount }, (_, at) => simNodeId(at + 1));
  for (const [at, id] of ids.entries()) {
    addSwimHost(
      world,
      id,
      {
        profile,
        seeds: ids.slice(Math.max(0, at - 2), at),
        config: { lifeguard, sparesPingers: false },
        reportsLag: false,
      },
      // The paper's processes know nothing of their own stalls: timers fire before messages are read.
      { lateTick: 'before-messages' },
    );
  }
  world.runFor(15_000);
  const distressed = sample<NodeId>(createRandom(seed), ids, distress.memberCount);
  let deaths = 0;
  world.observe((_, __, effect) => {
    const seen = effect as SwimEffect;
    if (seen.type !== 'announce' || seen.member.state !== 'dead') return;
    if (!distressed.includes(seen.member.node)) deaths += 1;
  });
  for (const host of distressed) {
    const { blockMs, gapMs } = distress;
    for (let at = world.now; at < 195_000; at += blockMs + gapMs) {
      world.at(at, { type: 'block', host, forMs: blockMs });
    }
  }
  world.runFor(200_000);
  return deaths;
}

test('each part helps, all together bring false deaths below a twentieth', () => {
  const total: Record<string, number> = {};
  for (const [name, lifeguard] of Object.entries(configurations)) {
    total[name] = grid.reduce((sum, distress, at) => {
      return sum + falseDeaths(lifeguard, distress, 100 + at);
    }, 0);
  }
  const { swim = 0, buddy = 0, lhaProbe = 0, lhaSuspicion = 0, lifeguard = 0 } = total;
  expect(lifeguard).toBeLessThan(lhaSuspicion);
  expect(lhaSuspicion).toBeLessThan(lhaProbe);
  expect(lhaProbe).toBeLessThan(buddy);
  expect(buddy).toBeLessThanOrEqual(swim);
  expect(lifeguard / swim).toBeLessThanOrEqual(0.05);
}, 300_000);
