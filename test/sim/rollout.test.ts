/** Thirty nodes take a version, or none does, whatever happens on the way. */

import { describe, expect, test } from 'vitest';
import { Fleet } from './rollout-fleet.ts';
import type { FleetOptions } from './rollout-fleet.ts';

const count = 30;
// ROLLOUT_SEEDS=100 is the long run.
const seeds = Number(process.env['ROLLOUT_SEEDS'] ?? 12);
const hour = 3_600_000;
const all = (version: string): string[] => Array.from({ length: count }, () => version);

function rolled(options: Omit<FleetOptions, 'count' | 'seed'>, seed = 1, ms = 2 * hour): Fleet {
  const fleet = new Fleet({ count, seed, ...options });
  fleet.begin('new');
  fleet.run(ms);
  return fleet;
}

describe('a rolling update of thirty nodes', () => {
  test('reaches everybody, canaries first, never more than a batch away at a time', () => {
    const fleet = rolled({ canary: 3, batch: 5 });
    expect(fleet.outcome).toBe('done');
    expect(fleet.versions()).toEqual(all('new'));
    const { firstTrialAt, canariesKeptAt, mostAway } = fleet.trace;
    expect(mostAway).toBeLessThanOrEqual(5);
    expect(firstTrialAt.size).toBe(count);
    const early = [...firstTrialAt].filter(([, at]) => at < canariesKeptAt).map(([at]) => at);
    expect(new Set(early)).toEqual(new Set([1, 2, 3]));
    // Whoever rolls out restarts when everybody else is done.
    expect(Math.max(...firstTrialAt.values())).toBe(firstTrialAt.get(0));
  });

  test.each(['sick', 'crashes', 'flaps'] as const)(
    'goes back everywhere when one node of the rest %s',
    (fitness) => {
      const fleet = rolled({ fitness: (at) => (at === 17 ? fitness : 'well') });
      expect(fleet.outcome).toBe('rolled-back');
      expect(fleet.versions()).toEqual(all('installed'));
      expect(fleet.reason).toContain('17: ');
      expect(fleet.trace.firstTrialAt.has(29), 'nobody begins after the failure').toBe(false);
    },
  );

  test('stops at the canaries when one of them fails: nobody else has tried it', () => {
    const fleet = rolled({ canary: 3, fitness: (at) => (at === 2 ? 'sick' : 'well') });
    expect(fleet.outcome).toBe('rolled-back');
    expect(fleet.versions()).toEqual(all('installed'));
    expect(new Set(fleet.trace.firstTrialAt.keys())).toEqual(new Set([1, 2, 3]));
  });

  test('goes back when a node dies in the middle and stays away; it goes back, too, once it returns', () => {
    const fleet = new Fleet({ count, seed: 5 });
    fleet.begin('new');
    fleet.run(45_000);
    const victim = fleet.host(7);
    expect(victim.running).toBeDefined();
    victim.stop(hour);
    fleet.run(hour / 2);
    expect(fleet.outcome).toBe('rolled-back');
    fleet.run(hour);
    expect(fleet.versions()).toEqual(all('installed'));
    expect(
      fleet
        .host(0)
        .rolloutView()
        ?.targets.every(({ state }) => state !== 'reverting'),
    ).toBe(true);
  });

  test('goes on where it was when whoever rolls out dies in the middle', () => {
    const fleet = new Fleet({ count, seed: 9 });
    fleet.begin('new');
    for (let times = 0; times < 6; times += 1) {
      fleet.run(20_000);
      if (fleet.host(0).running !== undefined) fleet.host(0).stop(30_000);
    }
    fleet.run(hour);
    expect(fleet.outcome).toBe('done');
    expect(fleet.versions()).toEqual(all('new'));
  });

  test('a second one begins where the first ended', () => {
    const fleet = rolled({});
    fleet.begin('newer', 2);
    fleet.run(hour);
    expect(fleet.outcome).toBe('done');
    expect(fleet.versions()).toEqual(all('newer'));
    fleet.begin('installed', 3);
    fleet.run(hour);
    expect(fleet.versions()).toEqual(all('installed'));
  });

  test('over many seeds of cut power and lost messages everybody ends at one version', () => {
    const outcomes = { done: 0, 'rolled-back': 0 };
    for (let seed = 1; seed <= seeds; seed += 1) {
      const fleet = rolled({ cut: 0.01, coordinatorCut: 0.002, loss: 0.1 }, seed, 4 * hour);
      expect(fleet.outcome, `seed ${seed}`).toBeDefined();
      outcomes[fleet.outcome ?? 'done'] += 1;
      const wanted = fleet.outcome === 'done' ? 'new' : 'installed';
      expect(fleet.versions(), `seed ${seed}: ${fleet.reason}`).toEqual(all(wanted));
    }
    expect(outcomes.done).toBeGreaterThan(seeds / 2);
  });

  test('over many seeds with a sick node, too, nobody keeps it', () => {
    for (let seed = 1; seed <= seeds; seed += 1) {
      const sick = seed % count;
      const fitness = (at: number): 'sick' | 'well' => (at === sick ? 'sick' : 'well');
      const fleet = rolled(
        { cut: 0.01, coordinatorCut: 0.002, loss: 0.1, fitness },
        seed,
        4 * hour,
      );
      expect(fleet.outcome, `seed ${seed}`).toBe('rolled-back');
      expect(fleet.versions(), `seed ${seed}: ${fleet.reason}`).toEqual(all('installed'));
    }
  });
});
