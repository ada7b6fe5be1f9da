/** Seeded chance is uniform, replayable and independent between streams. */

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createRandom, sample, shuffle } from '../../src/kernel/random.ts';

/** Pearson's statistic against a flat distribution. */
function chiSquare(counts: readonly number[]): number {
  const expected = counts.reduce((sum, count) => sum + count, 0) / counts.length;
  return counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
}

function tally(cells: number, draws: number, draw: () => number): number[] {
  const counts = Array.from({ length: cells }, () => 0);
  for (let at = 0; at < draws; at += 1) {
    const cell = draw();
    counts[cell] = (counts[cell] ?? NaN) + 1;
  }
  return counts;
}

// 99.9 % of fair generators stay below this with 99 degrees of freedom.
const chiSquareMax99 = 148.2;

test('below is uniform, also for neighbouring seeds', () => {
  for (const seed of [0, 1, 2, -1, 0x7fffffff]) {
    const random = createRandom(seed);
    expect(chiSquare(tally(100, 100_000, () => random.below(100)))).toBeLessThan(chiSquareMax99);
  }
  let seed = 0;
  const firsts = tally(100, 100_000, () => createRandom((seed += 1)).below(100));
  expect(chiSquare(firsts)).toBeLessThan(chiSquareMax99);
});

test('pairs of successive draws are uniform', () => {
  const random = createRandom(5);
  const counts = tally(100, 100_000, () => random.below(10) * 10 + random.below(10));
  expect(chiSquare(counts)).toBeLessThan(chiSquareMax99);
});

test('a split stream shares no pattern with its parent or its sisters', () => {
  const parent = createRandom(9);
  const [left, right] = [parent.split(), parent.split()];
  for (const [one, other] of [
    [left, right],
    [parent, left],
    [parent, right],
  ] as const) {
    const counts = tally(100, 100_000, () => one.below(10) * 10 + other.below(10));
    expect(chiSquare(counts)).toBeLessThan(chiSquareMax99);
  }
});

test('draws of a split stream do not shift its parent', () => {
  const draws = (inBetween: number): number[] => {
    const parent = createRandom(3);
    const child = parent.split();
    for (let at = 0; at < inBetween; at += 1) child.unit();
    return Array.from({ length: 20 }, () => parent.unit());
  };
  expect(draws(0)).toEqual(draws(1_000));
});

test('a draw lies within its bounds and is whole', () => {
  fc.assert(
    fc.property(fc.integer(), fc.integer({ min: 1, max: 2 ** 31 }), (seed, bound) => {
      const random = createRandom(seed);
      const drawn = random.below(bound);
      expect(Number.isInteger(drawn) && drawn >= 0 && drawn < bound).toBe(true);
      const unit = random.unit();
      expect(unit >= 0 && unit < 1).toBe(true);
    }),
  );
});

test.each([1, 0, -5, 0.5, NaN, -Infinity])('a bound of %s gives 0', (bound) => {
  expect(createRandom(1).below(bound)).toBe(0);
});

test('the same seed gives the same stream', () => {
  const stream = (): number[] => {
    const random = createRandom(77);
    return Array.from({ length: 100 }, () => random.unit());
  };
  expect(stream()).toEqual(stream());
});

test('every order of a shuffle is equally likely', () => {
  const random = createRandom(11);
  const orders = new Map<string, number>();
  for (let at = 0; at < 24_000; at += 1) {
    const order = shuffle(random, ['a', 'b', 'c', 'd']).join('');
    orders.set(order, (orders.get(order) ?? 0) + 1);
  }
  expect(orders.size).toBe(24);
  // 99.9 % with 23 degrees of freedom.
  expect(chiSquare([...orders.values()])).toBeLessThan(49.7);
});

test('a sample holds distinct items, as many as there are, and leaves the source alone', () => {
  fc.assert(
    fc.property(fc.integer(), fc.uniqueArray(fc.integer()), fc.nat(20), (seed, items, count) => {
      const source = [...items];
      const picked = sample(createRandom(seed), items, count);
      expect(items).toEqual(source);
      expect(picked.length).toBe(Math.min(count, items.length));
      expect(new Set(picked).size).toBe(picked.length);
      expect(picked.every((item) => source.includes(item))).toBe(true);
    }),
  );
});

test('every item is equally likely to be sampled', () => {
  const random = createRandom(13);
  const items = Array.from({ length: 10 }, (_, at) => at);
  const counts = tally(10, 0, () => 0);
  for (let at = 0; at < 20_000; at += 1) {
    for (const item of sample(random, items, 3)) counts[item] = (counts[item] ?? NaN) + 1;
  }
  // 99.9 % with 9 degrees of freedom; picks without replacement spread even less.
  expect(chiSquare(counts)).toBeLessThan(27.9);
});
