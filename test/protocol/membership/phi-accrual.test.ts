/** Phi accrual as its paper describes it (Hayashibara et al. 2004, section 4), from the detector that nodes run. */

import { describe, expect, test } from 'vitest';
import { createRandom } from '../../../src/kernel/random.ts';
import type { Random } from '../../../src/kernel/random.ts';
import { PhiAccrual } from '../../../src/protocol/membership/phi-accrual.ts';

/** A normal draw (Box and Muller). */
function normal(random: Random, mean: number, deviation: number): number {
  const radius = Math.sqrt(-2 * Math.log(1 - random.unit()));
  return mean + deviation * radius * Math.cos(2 * Math.PI * random.unit());
}

/** Gaps of heartbeats of which every one is sent after `interval`, and a share is lost. */
function lossy(random: Random, interval: number, deviation: number, loss: number): number {
  let gap = normal(random, interval, deviation);
  while (random.unit() < loss) gap += interval;
  return gap;
}

/** Of how many heartbeats the detector had been sure, by threshold, that they would not come. */
function mistakes(
  gapOf: (random: Random) => number,
  thresholds: readonly number[],
  pauseMs = 0,
): number[] {
  const random = createRandom(1);
  const detector = new PhiAccrual({ deviationMsMin: 1, pauseMs });
  for (let at = 0; at < 1_000; at += 1) detector.heard(gapOf(random));
  const count = 200_000;
  const wrong = thresholds.map(() => 0);
  for (let at = 0; at < count; at += 1) {
    const gap = gapOf(random);
    // It grows while nothing comes: what it says last is the most it says.
    const phi = detector.phi(gap);
    thresholds.forEach((threshold, index) => {
      if (phi > threshold) wrong[index] = (wrong[index] ?? 0) + 1;
    });
    detector.heard(gap);
  }
  return wrong.map((one) => one / count);
}

describe('V-F1: the chance of a mistake', () => {
  test('is 10 to the minus phi where gaps are normal: 1.0e-1, 1.0e-2, 1.1e-3', () => {
    const [one = 0, two = 0, three = 0, eight] = mistakes(
      (random) => normal(random, 1_000, 50),
      [1, 2, 3, 8],
    );
    expect(one).toBeGreaterThan(0.095);
    expect(one).toBeLessThan(0.105);
    expect(two).toBeGreaterThan(0.009);
    expect(two).toBeLessThan(0.011);
    expect(three).toBeGreaterThan(0.0008);
    expect(three).toBeLessThan(0.0013);
    expect(eight).toBe(0);
  });

  test('is that of losing a heartbeat where 1 % are lost, whatever the threshold', () => {
    const rates = mistakes((random) => lossy(random, 1_000, 20, 0.01), [1, 2, 3, 8]);
    for (const rate of rates) {
      expect(rate).toBeGreaterThan(0.008);
      expect(rate).toBeLessThan(0.012);
    }
  });

  test('is none after a pause of three intervals, on a cable and on Wi-Fi with its bursts', () => {
    const wifi = (random: Random): number => {
      const burst = random.unit() < 0.02 ? -400 * Math.log(1 - random.unit()) : 0;
      return lossy(random, 1_000, 20, 0.01) + burst;
    };
    expect(mistakes((random) => lossy(random, 1_000, 20, 0.01), [8], 3_000)).toEqual([0]);
    const [rate = 1] = mistakes(wifi, [8], 3_000);
    expect(rate).toBeLessThan(1e-4);
    const [hasty = 0] = mistakes(wifi, [8]);
    expect(hasty).toBeGreaterThan(0.005);
  });
});

test('phi of a silence is -log10 of the normal tail, far out too', () => {
  const detector = new PhiAccrual({ deviationMsMin: 1, pauseMs: 0 });
  for (let at = 0; at < 500; at += 1) detector.heard(at % 2 === 0 ? 950 : 1_050);
  // Tails of 0, 1, 2, 3, 6 and 40 standard deviations.
  for (const [deviations, tail] of [
    [0, -Math.log10(0.5)],
    [1, -Math.log10(0.15865525)],
    [2, -Math.log10(0.02275013)],
    [3, -Math.log10(0.001349898)],
    [6, -Math.log10(9.865876e-10)],
    [40, 349.437],
  ] as const) {
    expect(detector.phi(1_000 + 50 * deviations)).toBeCloseTo(tail, 3);
  }
  expect(detector.phi(800)).toBeCloseTo(0, 4);
});

test('it forgets what is older than its window, and knows nothing at first', () => {
  const detector = new PhiAccrual({ window: 100, deviationMsMin: 10, pauseMs: 0 });
  expect(detector.phi(60_000)).toBe(0);
  expect(detector.quantile(0.99)).toBe(0);
  for (let at = 0; at < 100; at += 1) detector.heard(1_000);
  expect(detector.phi(1_100)).toBeGreaterThan(8);
  for (let at = 0; at < 100; at += 1) detector.heard(5_000.1);
  expect(detector.phi(1_100)).toBeLessThan(0.01);
  expect(detector.phi(5_000.1)).toBeCloseTo(-Math.log10(0.5), 3);
  expect(detector.quantile(0.99)).toBe(5_000.1);
});
