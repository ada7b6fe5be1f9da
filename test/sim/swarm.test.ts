/** The swarm finds what it must find, and stays silent where nothing is wrong. */

import { expect, onTestFinished, test, vi } from 'vitest';
import { convergence } from './checkers/convergence.ts';
import { noStorm } from './checkers/no-storm.ts';
import { silentWhenDown } from './checkers/silent-when-down.ts';
import { harshMenu } from './draw-faults.ts';
import { heartbeatAdapter } from './heartbeat.ts';
import type { Beat, HeartbeatInput, HeartbeatView } from './heartbeat.ts';
import { keptSeeds } from './seeds.ts';
import { expectNoFailures, seedsFor, swarm } from './swarm.ts';
import type { Checker, Scenario } from './swarm.ts';
import type { Host } from './world.ts';

interface Subject {
  readonly hosts: readonly Host<HeartbeatInput, HeartbeatView>[];
}

function heartbeats(via: 'datagram' | 'link', timeoutMs: number): Scenario<Beat, Subject> {
  return {
    name: `heartbeats by ${via}`,
    hostCounts: [2, 3, 5, 8],
    safetyMs: 30_000,
    livenessMs: 30_000,
    menu: harshMenu,
    build(world, draw) {
      const names = Array.from({ length: draw.hostCount }, (_, at) => `host-${at}`);
      const hosts = names.map((self) => {
        const peers = names.filter((name) => name !== self);
        const config = { self, peers, periodMs: 200, timeoutMs, isDurable: true };
        return world.addHost(self, heartbeatAdapter(config, via), draw.nextHost());
      });
      return { hosts };
    },
  };
}

/** Everybody running hears everybody. */
const allUp = convergence<Beat, Subject>('all are up', (world, id) => {
  const { up } = world.host(id).view() as HeartbeatView;
  return [...up, id].sort().join(' ');
});

/** A beat counter on a kept disk never goes back. */
const countsGrow: Checker<Beat, Subject> = {
  name: 'counts grow',
  watch(_, { hosts }) {
    const highest = new Map<string, number>();
    return {
      always() {
        for (const host of hosts) {
          if (host.phase() === 'down') continue;
          const { count } = host.view();
          const before = highest.get(host.id) ?? 0;
          if (count < before - 1) return `${host.id} went from ${before} back to ${count}`;
          highest.set(host.id, count);
        }
        return undefined;
      },
    };
  },
};

const checkers = [allUp, noStorm<Beat, Subject>(20), silentWhenDown<Beat, Subject>()];

test.each(['datagram', 'link'] as const)('detectors by %s come through every storm', (via) => {
  // A link may be silent for its own timeout (15 s), and for one more attempt after the storm.
  const scenario = heartbeats(via, 20_000);
  const seeds = seedsFor(60, keptSeeds(scenario.name));
  const report = swarm({ scenario, seeds, checkers });
  expectNoFailures(report);
  expect(report.messageCount).toBeGreaterThan(seeds.length * 200);
});

test('a detector that is too hasty is found, with the seed that shows it', () => {
  const scenario = heartbeats('datagram', 400);
  const report = swarm({ scenario, seeds: seedsFor(3, []), checkers });
  expect(report.failures.length).toBeGreaterThan(0);
  expect(() => expectNoFailures(report)).toThrow(/seed \d+ at \d+ ms: .*replay with SEED=\d+/);
});

test('losing what was promised to last is found', () => {
  const menu = { ...harshMenu, kinds: ['crash'] as const, diskFates: ['lost'] as const };
  const scenario = { ...heartbeats('datagram', 15_000), menu };
  const report = swarm({ scenario, seeds: [1, 2, 3, 4, 5], checkers: [countsGrow] });
  expect(report.failures.some(({ problem }) => problem.includes('counts grow'))).toBe(true);
  const honest = { ...scenario, menu: { ...menu, diskFates: ['kept'] as const } };
  expectNoFailures(swarm({ scenario: honest, seeds: [1, 2, 3, 4, 5], checkers: [countsGrow] }));
});

test('a scenario that draws on ambient chance is found by replaying it', () => {
  const fair = heartbeats('datagram', 15_000);
  const scenario: Scenario<Beat, Subject> = {
    ...fair,
    build(world, draw) {
      world.at(Math.random() * 1_000, () => world.trace.add(world.now, '', 'unfair', null));
      return fair.build(world, draw);
    },
  };
  const report = swarm({ scenario, seeds: [1], checkers });
  expect(report.failures[0]?.problem).toContain('another trace');
});

test('as many seeds are run as were asked for; only SEED_MOST keeps a scenario to its own few', () => {
  onTestFinished(() => void vi.unstubAllEnvs());
  for (const name of ['SEED', 'SEED_BASE', 'SEED_COUNT', 'SEED_MOST']) {
    vi.stubEnv(name, undefined);
  }
  expect(seedsFor(3, [99])).toEqual([99, 1, 2, 3]);
  vi.stubEnv('SEED_BASE', '500');
  vi.stubEnv('SEED_MOST', '2');
  expect(seedsFor(1, [])).toEqual([500]);
  expect(seedsFor(3, [99])).toEqual([99, 500, 501]);
  vi.stubEnv('SEED_MOST', undefined);
  vi.stubEnv('SEED_COUNT', '1000');
  expect(seedsFor(20, [])).toHaveLength(1000);
  vi.stubEnv('SEED_COUNT', 'many');
  expect(() => seedsFor(20, [])).toThrow(RangeError);
  vi.stubEnv('SEED', '7');
  expect(seedsFor(20, [99])).toEqual([7]);
});
