import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createRandom } from '../../../src/kernel/random.ts';
import { backoffMs } from '../../../src/protocol/overlay/backoff.ts';

test('a back-off doubles from its least to its most, spread by half in both directions', () => {
  fc.assert(
    fc.property(fc.integer(), fc.nat(2_000), (seed, failures) => {
      const delay = backoffMs({ msMin: 500, msMax: 30_000 }, failures, createRandom(seed));
      const base = Math.min(30_000, 500 * 2 ** failures);
      expect(delay).toBeGreaterThanOrEqual(Math.floor(base / 2));
      expect(delay).toBeLessThanOrEqual(base * 1.5);
    }),
  );
});
