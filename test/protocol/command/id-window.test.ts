import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createIdWindow, idWindowMax } from '../../../src/protocol/command/id-window.ts';

test('says what a set of everything ever seen says, however far numbers come out of order', () => {
  const steps = fc.array(
    fc.tuple(fc.integer({ min: 0, max: 5_000 }), fc.integer({ min: 0, max: 9_000 })),
    {
      maxLength: 300,
    },
  );
  fc.assert(
    fc.property(steps, (jumps) => {
      const window = createIdWindow();
      const seen = new Set<number>();
      let high = 1;
      expect(window.admit(1)).toBe(true);
      seen.add(1);
      for (const [forward, back] of jumps) {
        high += forward;
        const id = Math.max(1, high - back);
        const isNear = Math.max(...seen) - id < idWindowMax;
        // A number that is too old to tell must never pass; one inside the window passes once.
        if (isNear) expect(window.admit(id)).toBe(!seen.has(id));
        else expect(window.admit(id)).toBe(false);
        if (isNear) seen.add(id);
      }
    }),
    { numRuns: 100 },
  );
});

test('refuses what is no whole number', () => {
  const window = createIdWindow();
  expect([NaN, -1, 1.5, Infinity, 2 ** 53].map((id) => window.admit(id))).toEqual([
    false,
    false,
    false,
    false,
    false,
  ]);
});

test('begins wherever the first number is', () => {
  const window = createIdWindow();
  expect(window.admit(1_000_000)).toBe(true);
  expect(window.admit(1_000_000)).toBe(false);
  expect(window.admit(999_999)).toBe(true);
  expect(window.admit(1)).toBe(false);
});
