/** Pauses double up to a calm pace and start afresh when something happens. */

import { expect, test } from 'vitest';

import { createDoublingTimer } from '../../../src/adapters/discovery/doubling-timer.ts';
import { createRandom } from '../../../src/kernel/random.ts';
import { createManualClock } from '../bonjour-lab/manual-clock.ts';

function ringsWithin(ms: number, seed: number, restartAt?: number): number[] {
  const clock = createManualClock();
  const rings: number[] = [];
  const timer = createDoublingTimer({
    clock,
    random: createRandom(seed),
    firstMs: 1_000,
    maxMs: 60_000,
    ring: () => rings.push(clock.now()),
  });
  timer.restart();
  clock.advance(restartAt ?? ms);
  if (restartAt !== undefined) {
    timer.restart();
    clock.advance(ms - restartAt);
  }
  timer.stop();
  clock.advance(1_000_000);
  return rings;
}

test('rings at once, after 1, 2, 4 … 60 seconds, each stretched by a tenth at most', () => {
  const rings = ringsWithin(300_000, 1);
  const pauses = rings.slice(1).map((at, index) => at - (rings[index] ?? 0));
  for (const [index, pause] of pauses.entries()) {
    const base = Math.min(60_000, 1_000 * 2 ** index);
    expect(pause).toBeGreaterThanOrEqual(base);
    expect(pause).toBeLessThanOrEqual(base * 1.1);
  }
  expect(pauses.length).toBeGreaterThan(8);
});

test('a restart rings now and begins with the shortest pause again', () => {
  const rings = ringsWithin(101_200, 2, 100_000);
  expect(rings.slice(-2)[0]).toBe(100_000);
  expect(rings.at(-1)).toBeLessThanOrEqual(101_100);
});

test('two devices switched on together drift apart', () => {
  expect(ringsWithin(300_000, 3)).not.toEqual(ringsWithin(300_000, 4));
});
