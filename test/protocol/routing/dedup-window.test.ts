import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createDedupWindow } from '../../../src/protocol/routing/dedup-window.ts';
import { ann, origins } from './arbitraries.ts';

describe('a dedup window', () => {
  test('says what a set of everything ever seen says, for any order of arrival', () => {
    const arrival = fc.tuple(fc.constantFrom(...origins), fc.integer({ min: 1, max: 3 }), seqs());
    fc.assert(
      fc.property(fc.array(arrival, { maxLength: 400 }), (arrivals) => {
        const window = createDedupWindow();
        const seen = new Set<string>();
        const high = new Map<string, { boot: number; seq: number }>();
        for (const [origin, boot, seq] of arrivals) {
          const latest = high.get(origin);
          const key = `${origin} ${boot} ${seq}`;
          let wanted = seen.has(key) ? 'duplicate' : 'new';
          if (latest !== undefined && boot < latest.boot) wanted = 'stale';
          if (latest?.boot === boot && latest.seq - seq >= 1024) wanted = 'stale';
          expect(window.admit(origin, boot, seq)).toBe(wanted);
          if (wanted === 'new') seen.add(key);
          const isHigher = latest === undefined || boot > latest.boot;
          if (isHigher || (boot === latest.boot && seq > latest.seq))
            high.set(origin, { boot, seq });
        }
      }),
    );
  });

  test('forgets the origin unused the longest when there are too many, and counts it', () => {
    const window = createDedupWindow(2);
    const [first, second, third] = origins as [typeof ann, typeof ann, typeof ann];
    window.admit(first, 1, 1);
    window.admit(second, 1, 1);
    window.admit(first, 1, 2);
    window.admit(third, 1, 1);
    expect(window.admit(first, 1, 2)).toBe('duplicate');
    expect(window.size()).toBe(2);
    expect(window.evictedCount()).toBe(1);
    expect(window.admit(second, 1, 1)).toBe('new');
  });

  test('keeps its place across 2^32', () => {
    const window = createDedupWindow();
    const base = 2 ** 32 - 3;
    for (let step = 0; step < 6; step += 1) expect(window.admit(ann, 1, base + step)).toBe('new');
    for (let step = 0; step < 6; step += 1) {
      expect(window.admit(ann, 1, base + step)).toBe('duplicate');
    }
  });
});

/** Mostly near each other, sometimes far ahead. */
function seqs(): fc.Arbitrary<number> {
  return fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: 1, max: 60 }) },
    { weight: 2, arbitrary: fc.integer({ min: 1000, max: 1100 }) },
    { weight: 1, arbitrary: fc.integer({ min: 1, max: 2 ** 48 - 1 }) },
  );
}
