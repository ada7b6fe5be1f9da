/** Many items at once: exact and greedy assignment, bundles, batches (V-A3 to V-A6), against brute force. */

import { describe, expect, test } from 'vitest';
import { createRandom } from '../../../src/kernel/random.ts';
import type { Random } from '../../../src/kernel/random.ts';
import {
  assignByAuction,
  assignExactly,
  assignGreedily,
} from '../../../src/protocol/agreement/assignment.ts';
import {
  allotBundles,
  allotBundlesBySearch,
  allotBundlesGreedily,
} from '../../../src/protocol/agreement/combinatorial.ts';
import type { BundleOffer } from '../../../src/protocol/agreement/combinatorial.ts';
import {
  allotSequentially,
  insertionPathLength,
} from '../../../src/protocol/agreement/single-item.ts';

const table = (n: number, draw: () => number): number[][] =>
  Array.from({ length: n }, () => Array.from({ length: n }, draw));
const exponential = (random: Random): number => -Math.log(1 - random.unit());

function permutations(n: number): number[][] {
  if (n === 0) return [[]];
  return permutations(n - 1).flatMap((rest) =>
    Array.from({ length: n }, (_, at) => [...rest.slice(0, at), n - 1, ...rest.slice(at)]),
  );
}

describe('assignment', () => {
  test('the exact solver finds what trying everything finds', () => {
    const random = createRandom(1);
    const orders = permutations(6);
    for (let run = 0; run < 50; run += 1) {
      const costs = table(6, () => random.below(20));
      const brute = Math.min(
        ...orders.map((order) =>
          order.reduce((sum, column, row) => sum + (costs[row]?.[column] ?? 0), 0),
        ),
      );
      const found = assignExactly(costs);
      expect(found.total).toBe(brute);
      expect(new Set(found.columnOf).size).toBe(6);
    }
  });

  test('more nodes than tasks leave some idle, more tasks than nodes are the caller to cut', () => {
    expect(assignExactly([[5, 1, 3]]).columnOf).toEqual([1]);
    expect(assignExactly([[1], [2]]).columnOf).toEqual([-1, -1]);
    expect(assignExactly([])).toMatchObject({ columnOf: [], total: 0 });
    expect(assignByAuction([[1], [2]], 0.1).columnOf).toEqual([-1, -1]);
  });

  test.each([
    [10, 300],
    [20, 120],
  ])(
    'V-A3: random costs, n = %i: the optimum is sum 1/k², greedy and one by one are H_n',
    (n, runs) => {
      const random = createRandom(n);
      const sums = { exact: 0, greedy: 0, online: 0 };
      for (let run = 0; run < runs; run += 1) {
        const costs = table(n, () => exponential(random));
        sums.exact += assignExactly(costs).total;
        sums.greedy += assignGreedily(costs).total;
        sums.online += oneByOne(costs);
      }
      const harmonic = (power: number): number =>
        Array.from({ length: n }, (_, k) => 1 / (k + 1) ** power).reduce((a, b) => a + b, 0);
      expect(Math.abs(sums.exact / runs - harmonic(2))).toBeLessThan(0.12);
      expect(Math.abs(sums.greedy / runs - harmonic(1))).toBeLessThan(0.4);
      expect(Math.abs(sums.online / runs - harmonic(1))).toBeLessThan(0.4);
    },
  );

  test('V-A4: the auction is exact for whole numbers when epsilon is below 1/n', () => {
    const random = createRandom(4);
    let bids = 0;
    for (let run = 0; run < 300; run += 1) {
      const costs = table(20, () => random.below(100));
      const auctioned = assignByAuction(costs, 1 / 21);
      expect(auctioned.total).toBe(assignExactly(costs).total);
      bids += auctioned.bidCount;
    }
    expect(bids / 300).toBeLessThan(1_000);
  });
});

/** Each task in turn goes to the best node that is free. */
function oneByOne(costs: readonly (readonly number[])[]): number {
  const taken = new Set<number>();
  let total = 0;
  for (const row of costs) {
    const [best] = row
      .map((cost, at) => ({ cost, at }))
      .filter(({ at }) => !taken.has(at))
      .sort((a, b) => a.cost - b.cost);
    if (best === undefined) continue;
    taken.add(best.at);
    total += best.cost;
  }
  return total;
}

describe('batches', () => {
  interface Place {
    readonly name: string;
    readonly x: number;
    readonly y: number;
  }
  const distance = (a: Place, b: Place): number => Math.hypot(a.x - b.x, a.y - b.y);

  /** Shortest open paths over every set of stops, by dynamic programming (Held, Karp 1962). */
  function bestPaths(start: Place, stops: readonly Place[]): Float64Array {
    const size = 1 << stops.length;
    const ending = Array.from({ length: size }, () =>
      new Float64Array(stops.length).fill(Infinity),
    );
    const best = new Float64Array(size).fill(Infinity);
    best[0] = 0;
    for (let set = 1; set < size; set += 1) {
      for (let last = 0; last < stops.length; last += 1) {
        if ((set & (1 << last)) === 0) continue;
        const rest = set ^ (1 << last);
        let length = rest === 0 ? distance(start, stops[last] as Place) : Infinity;
        for (let before = 0; before < stops.length; before += 1) {
          if ((rest & (1 << before)) === 0) continue;
          const leg = distance(stops[before] as Place, stops[last] as Place);
          length = Math.min(length, (ending[rest]?.[before] ?? Infinity) + leg);
        }
        (ending[set] as Float64Array)[last] = length;
        best[set] = Math.min(best[set] as number, length);
      }
    }
    return best;
  }

  test('V-A5: two robots and ten targets stay near the optimum, and within twice of it', () => {
    const random = createRandom(5);
    const place = (name: string): Place => ({ name, x: random.unit(), y: random.unit() });
    let ratios = 0;
    let worst = 0;
    const runs = 25;
    for (let run = 0; run < runs; run += 1) {
      const robots = new Map(['r0', 'r1'].map((name) => [name, place(name)]));
      const targets = Array.from({ length: 10 }, (_, at) => place(`t${at}`));
      const cost = (robot: string, path: readonly Place[]): number =>
        insertionPathLength(robots.get(robot) as Place, path, distance);
      const allotted = allotSequentially(targets, [...robots.keys()], {
        nameOf: ({ name }) => name,
        costOf: cost,
      });
      const total = [...allotted.bundles].reduce(
        (sum, [robot, path]) => sum + cost(robot, path),
        0,
      );
      const [first, second] = [...robots.values()].map((robot) => bestPaths(robot, targets));
      let optimum = Infinity;
      for (let set = 0; set < 1024; set += 1) {
        optimum = Math.min(optimum, (first?.[set] ?? 0) + (second?.[1023 ^ set] ?? 0));
      }
      expect(allotted.rounds).toBe(10);
      ratios += total / optimum;
      worst = Math.max(worst, total / optimum);
    }
    expect(ratios / runs).toBeLessThan(1.08);
    expect(ratios / runs).toBeGreaterThanOrEqual(1);
    expect(worst).toBeLessThan(2);
  });

  test('bidding the whole bundle keeps the longest one shorter than bidding what is added', () => {
    const random = createRandom(6);
    const longest = { sum: 0, max: 0 };
    for (let run = 0; run < 60; run += 1) {
      const place = (name: string): Place => ({ name, x: random.unit(), y: random.unit() });
      const robots = new Map(['r0', 'r1', 'r2'].map((name) => [name, place(name)]));
      const targets = Array.from({ length: 9 }, (_, at) => place(`t${at}`));
      const cost = (robot: string, path: readonly Place[]): number =>
        insertionPathLength(robots.get(robot) as Place, path, distance);
      for (const aim of ['sum', 'max'] as const) {
        const { bundles } = allotSequentially(targets, [...robots.keys()], {
          nameOf: ({ name }) => name,
          costOf: cost,
          aim,
        });
        longest[aim] += Math.max(...[...bundles].map(([robot, path]) => cost(robot, path)));
      }
    }
    expect(longest.max).toBeLessThan(longest.sum);
  });
});

describe('bundles', () => {
  function draw(random: Random, items: number, offers: number): BundleOffer[] {
    return Array.from({ length: offers }, (_, at) => {
      const size = 1 + random.below(Math.min(4, items));
      const chosen = new Set(Array.from({ length: size }, () => `i${random.below(items)}`));
      const amount = [...chosen].reduce((sum) => sum + random.unit(), 0) * (0.8 + random.unit());
      return { bidder: `b${at}`, items: [...chosen], amount };
    });
  }

  function isSoldOnce(offers: readonly BundleOffer[], taken: readonly number[]): boolean {
    const sold = taken.flatMap((at) => offers[at]?.items ?? []);
    return new Set(sold).size === sold.length;
  }

  function tryAll(offers: readonly BundleOffer[]): number {
    let best = 0;
    for (let set = 0; set < 1 << offers.length; set += 1) {
      const taken = offers.flatMap((_, at) => ((set & (1 << at)) === 0 ? [] : [at]));
      if (!isSoldOnce(offers, taken)) continue;
      best = Math.max(
        best,
        taken.reduce((sum, at) => sum + (offers[at]?.amount ?? 0), 0),
      );
    }
    return best;
  }

  test('the exact winners are those that trying everything finds', () => {
    const random = createRandom(7);
    for (let run = 0; run < 40; run += 1) {
      const offers = draw(random, 6, 10);
      const found = allotBundles(offers);
      expect(found.isExact).toBe(true);
      expect(found.total).toBeCloseTo(tryAll(offers), 9);
      expect(isSoldOnce(offers, found.taken)).toBe(true);
    }
  });

  test('V-A6: greedy stays above 1/sqrt(m) of the optimum, and exchanges bring it closer', () => {
    const random = createRandom(8);
    const shares = { greedy: 0, searched: 0 };
    let worst = 1;
    for (let run = 0; run < 100; run += 1) {
      const offers = draw(random, 10, 60);
      const best = allotBundles(offers).total;
      const greedy = allotBundlesGreedily(offers).total / best;
      const searched = allotBundlesBySearch(offers).total / best;
      expect(searched).toBeGreaterThanOrEqual(greedy - 1e-9);
      worst = Math.min(worst, greedy);
      shares.greedy += greedy / 100;
      shares.searched += searched / 100;
    }
    expect(worst).toBeGreaterThan(1 / Math.sqrt(10));
    expect(shares.greedy).toBeGreaterThan(0.85);
    expect(shares.searched).toBeGreaterThan(0.95);
  });

  test('offers without items or without a price above 0 are no offers, large auctions are not exact', () => {
    const nonsense = [
      { bidder: 'a', items: [], amount: 5 },
      { bidder: 'b', items: ['x'], amount: Number.NaN },
      { bidder: 'c', items: ['x', 'x'], amount: 1 },
    ];
    expect(allotBundles(nonsense)).toEqual({ taken: [2], total: 1, isExact: true });
    const many = draw(createRandom(9), 40, 150);
    const found = allotBundles(many);
    expect(found.isExact).toBe(false);
    expect(isSoldOnce(many, found.taken)).toBe(true);
  });
});
