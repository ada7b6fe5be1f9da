import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createReplayWindow, replayWindowBits } from '../../src/wire/replay-window.ts';

test('the window agrees with a set that remembers everything, for any order of numbers', () => {
  const near = fc.integer({ min: -40, max: 40 });
  const far = fc.integer({ min: -1500, max: 1500 });
  fc.assert(
    fc.property(fc.array(fc.oneof(near, far), { maxLength: 300 }), (steps) => {
      const window = createReplayWindow();
      const seen = new Set<number>();
      let newest = -1;
      let at = 5000;
      for (const step of steps) {
        at = Math.max(0, at + step);
        const isFresh = at > newest || (newest - at < replayWindowBits && !seen.has(at));
        expect(window.isFresh(at)).toBe(isFresh);
        if (!isFresh) continue;
        window.accept(at);
        seen.add(at);
        newest = Math.max(newest, at);
      }
    }),
  );
});

test('a leap of any size forgets what cannot be told apart', () => {
  const window = createReplayWindow();
  window.accept(1);
  window.accept(2 ** 40 - 1);
  expect(window.isFresh(1)).toBe(false);
  expect(window.isFresh(2 ** 40 - 1)).toBe(false);
  expect(window.isFresh(2 ** 40 - 2)).toBe(true);
});

test('accepting a number from before the window changes nothing', () => {
  const window = createReplayWindow();
  window.accept(10_000);
  window.accept(10_000 - replayWindowBits);
  expect(window.isFresh(10_000)).toBe(false);
  expect(window.isFresh(9_999)).toBe(true);
});
