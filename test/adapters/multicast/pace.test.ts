/** Hellos come quickly when it matters, calmly otherwise, and never too many in all. */

import fc from 'fast-check';
import { expect, test } from 'vitest';

import { helloHoldMs, helloPauseMs } from '../../../src/adapters/multicast/pace.ts';

test('a small LAN bursts twice a second for 10 seconds, then every 5, then every 30 seconds', () => {
  expect([0, 9_999, 10_000, 59_999, 60_000].map((since) => helloPauseMs(since, 3, 0.5))).toEqual([
    500, 500, 5_000, 5_000, 30_000,
  ]);
});

test('a LAN of any size adds up to 25 hellos a second at most, jitter included', () => {
  fc.assert(
    fc.property(
      fc.nat(256),
      fc.nat(120_000),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      (count, since, chance) => {
        const nodes = count + 1;
        const perSecond = (nodes * 1_000) / helloPauseMs(since, count, chance);
        expect(perSecond).toBeLessThanOrEqual(25.001);
      },
    ),
    { examples: [[0, 0, 0]] },
  );
});

test('no pause is so long that two lost hellos make a node seem lost', () => {
  fc.assert(
    fc.property(
      fc.nat(256),
      fc.nat(1_000_000),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      (count, since, chance) => {
        expect(helloPauseMs(since, count, chance) * 3).toBeLessThan(helloHoldMs);
      },
    ),
  );
});
