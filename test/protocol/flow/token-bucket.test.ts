/** A token bucket never lets more through than its rate and its burst, and says truly how long to wait. */

import fc from 'fast-check';
import { expect, test } from 'vitest';

import { createTokenBucket } from '../../../src/protocol/flow/token-bucket.ts';

const steps = fc.array(fc.record({ afterMs: fc.nat(20_000), amount: fc.nat(12) }), {
  maxLength: 80,
});

test('over any span no more passes than burst and rate allow', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 600 }),
      fc.integer({ min: 12, max: 50 }),
      steps,
      (perMinute, burst, history) => {
        const bucket = createTokenBucket({ perMinute, burst });
        let now = 0;
        let passed = 0;
        for (const { afterMs, amount } of history) {
          now += afterMs;
          if (bucket.take(now, amount) === 0) passed += amount;
          expect(passed).toBeLessThanOrEqual(burst + (now / 60_000) * perMinute + 1e-3);
        }
      },
    ),
  );
});

test('after the wait that it names it lets the same amount through', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 600 }), steps, (perMinute, history) => {
      const bucket = createTokenBucket({ perMinute, burst: 12 });
      let now = 0;
      for (const { afterMs, amount } of history) {
        now += afterMs;
        const wait = bucket.take(now, amount);
        if (wait === 0) continue;
        now += wait;
        expect(bucket.take(now, amount)).toBe(0);
      }
    }),
  );
});

test('more than the burst goes when it is full, and is paid off', () => {
  const bucket = createTokenBucket({ perMinute: 60, burst: 10 });
  expect(bucket.take(0, 30)).toBe(0);
  expect(bucket.level(0)).toBe(-20);
  expect(bucket.take(0, 1)).toBe(21_000);
});

test('a correction gives back or takes, and never overfills', () => {
  const bucket = createTokenBucket({ perMinute: 60, burst: 10 });
  bucket.take(0, 8);
  bucket.correct(0, -20);
  expect(bucket.level(0)).toBe(10);
  bucket.correct(0, 15);
  expect(bucket.level(0)).toBe(-5);
});
