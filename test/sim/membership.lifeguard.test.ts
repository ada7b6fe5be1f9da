/** Lifeguard's ordering (arXiv 1707.00788, tables IV to VI), measured on the production core with its parts switched off. */

import { expect, test } from 'vitest';
import type { NodeId } from '../../src/kernel/ids.ts';
import { createRandom, sample } from '../../src/kernel/random.ts';
import { swimProfiles } from '../../src/protocol/membership/profiles.ts';
import type { Lifeguard, SwimEffect } from '../../src/protocol/membership/swim-types.ts';
import { addSwimHost, simNodeId } from './membership.ts';
import type { SwimLetter } from './membership.ts';
import { conditions, createWorld } from './world.ts';

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
  /**
   * How they stand still. `muffle` is the paper's way: what they send and receive waits, and their timers run on.
   * `block` is ours: nothing of a process with one loop runs, and expired timers come before messages.
   */
  readonly kind: 'muffle' | 'block';
  readonly members: number;
  readonly distressed: number;
  readonly blockMs: number;
  readonly gapMs: number;
  /** How long they are in distress, and how long they are watched after that. */
  readonly forMs: number;
  readonly calmMs: number;
}

/** Deaths of members in good health, announced by anybody (the paper's FP). */
function falseDeaths(lifeguard: Lifeguard, distress: Distress, seed: number): number {
  const { kind, members, blockMs, gapMs, forMs, calmMs } = distress;
  const world = createWorld<SwimLetter>({
    seed,
    stepsPerMsMax: 50_000,
    network: kind === 'block' ? conditions.wifi : conditions.lan,
  });
  const profile = { ...swimProfiles.wired, suspicionMult: 5 };
  const ids = Array.from({ length: members }, (_, at) => simNodeId(at + 1));
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
      {
        lateTick: 'before-messages',
        ...(kind === 'block' ? {} : { socketBufferMax: Infinity }),
      },
    );
  }
  world.runFor(15_000);
  const distressed = sample<NodeId>(createRandom(seed), ids, distress.distressed);
  let deaths = 0;
  world.observe((_, __, effect) => {
    const seen = effect as SwimEffect;
    if (seen.type !== 'announce' || seen.member.state !== 'dead') return;
    if (!distressed.includes(seen.member.node)) deaths += 1;
  });
  const end = world.now + forMs;
  for (const host of distressed) {
    for (let at = world.now; at < end; at += blockMs + gapMs) {
      world.at(at, { type: kind, host, forMs: blockMs });
    }
  }
  world.runFor(forMs + calmMs);
  return deaths;
}

/** False deaths over a grid, for each configuration. */
function totals(grid: readonly Distress[]): Record<string, number> {
  const total: Record<string, number> = {};
  for (const [name, lifeguard] of Object.entries(configurations)) {
    total[name] = grid.reduce((sum, distress, at) => {
      return sum + falseDeaths(lifeguard, distress, 100 + at);
    }, 0);
  }
  return total;
}

function expectPaperOrder(total: Readonly<Record<string, number>>): void {
  const { swim = 0, buddy = 0, lhaProbe = 0, lhaSuspicion = 0, lifeguard = 0 } = total;
  expect(lifeguard).toBeLessThan(lhaSuspicion);
  expect(lhaSuspicion).toBeLessThan(lhaProbe);
  expect(lhaProbe).toBeLessThan(buddy);
  expect(buddy).toBeLessThanOrEqual(swim);
  expect(lifeguard / swim).toBeLessThanOrEqual(0.05);
}

const paper = { kind: 'muffle', forMs: 40_000, calmMs: 0 } as const;

test.each([
  { ...paper, members: 64, distressed: 4, blockMs: 32_768, gapMs: 64 },
  { ...paper, members: 64, distressed: 8, blockMs: 16_384, gapMs: 1 },
  { ...paper, members: 64, distressed: 8, blockMs: 32_768, gapMs: 1_024 },
])(
  'sockets that starve: $distressed of $members, $blockMs ms at a time, $gapMs ms between',
  (distress) => {
    expectPaperOrder(totals([distress]));
  },
  300_000,
);

// The paper's size and more of its values: half an hour. LIFEGUARD=whole.
test.runIf(process.env['LIFEGUARD'] === 'whole')(
  'sockets that starve: 128 members, 1 to 32 of them, over two minutes',
  () => {
    const grid = [1, 4, 16, 32].flatMap((distressed) =>
      [8_192, 16_384, 32_768].flatMap((blockMs) =>
        [1, 64, 1_024].map((gapMs) => ({
          ...paper,
          members: 128,
          distressed,
          blockMs,
          gapMs,
          forMs: 120_000,
        })),
      ),
    );
    const total = totals(grid);
    console.info(total);
    expectPaperOrder(total);
  },
  7_200_000,
);

test('loops that stand still: each part helps, all together bring false deaths below a twentieth', () => {
  const grid = [1, 3].flatMap((distressed) =>
    [5_700, 6_500, 7_500, 12_000].flatMap((blockMs) =>
      [2, 8].map((gapMs) => ({
        kind: 'block' as const,
        members: 12,
        distressed,
        blockMs,
        gapMs,
        forMs: 180_000,
        calmMs: 20_000,
      })),
    ),
  );
  expectPaperOrder(totals(grid));
}, 300_000);
