/** The hybrid clock respects cause and effect, whatever the wall clocks do. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compareHlc, createHybridClock } from '../../src/kernel/hlc.ts';
import type { Hlc } from '../../src/kernel/hlc.ts';

const walls = fc.integer({ min: 0, max: 4_000_000_000_000 });
const stamps: fc.Arbitrary<Hlc> = fc.record({
  wallMs: walls,
  count: fc.oneof(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0xfff0, max: 0x10010 })),
});

test('timestamps only grow, even when the wall clock runs backwards', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(walls, fc.tuple(walls, stamps))), (steps) => {
      const clock = createHybridClock();
      let before = clock.read();
      for (const step of steps) {
        if (typeof step === 'number') {
          const stamp = clock.tick(step);
          expect(compareHlc(stamp, before)).toBeGreaterThan(0);
          expect(clock.read()).toEqual(stamp);
        } else if (clock.observe(step[0], step[1]) === 'merged') {
          expect(compareHlc(clock.read(), before)).toBeGreaterThan(0);
        } else expect(clock.read()).toEqual(before);
        before = clock.read();
      }
    }),
  );
});

test('what follows a received timestamp is later than it', () => {
  fc.assert(
    fc.property(fc.array(walls), walls, stamps, (ticks, wallMs, remote) => {
      const clock = createHybridClock({ driftMsMax: Infinity });
      for (const tick of ticks) clock.tick(tick);
      expect(clock.observe(wallMs, remote)).toBe('merged');
      expect(compareHlc(remote, clock.read())).toBeLessThan(0);
      expect(compareHlc(clock.tick(0), remote)).toBeGreaterThan(0);
    }),
  );
});

test('timestamps stay at the wall clock while it runs ahead', () => {
  const clock = createHybridClock();
  clock.tick(100);
  expect(clock.tick(100)).toEqual({ wallMs: 100, count: 1 });
  expect(clock.tick(250)).toEqual({ wallMs: 250, count: 0 });
});

test('a full counter carries into the next millisecond', () => {
  const clock = createHybridClock({ restored: { wallMs: 100, count: 0xfffe } });
  expect(clock.tick(50)).toEqual({ wallMs: 100, count: 0xffff });
  expect(clock.tick(50)).toEqual({ wallMs: 101, count: 0 });
});

test('a restored clock starts above what it had reached', () => {
  fc.assert(
    fc.property(stamps, walls, (restored, wallMs) => {
      const clock = createHybridClock({ restored });
      expect(compareHlc(clock.tick(wallMs), restored)).toBeGreaterThan(0);
    }),
  );
});

describe('poison', () => {
  test('a timestamp from too far ahead is refused and leaves no trace', () => {
    const clock = createHybridClock({ driftMsMax: 60_000 });
    clock.tick(1_000_000);
    const before = clock.read();
    expect(clock.observe(1_000_000, { wallMs: 1_060_001, count: 0 })).toBe('too-far-ahead');
    expect(clock.read()).toEqual(before);
    expect(clock.observe(1_000_000, { wallMs: 1_060_000, count: 0 })).toBe('merged');
  });

  test('without an option a day ahead is the limit', () => {
    const clock = createHybridClock();
    expect(clock.observe(0, { wallMs: 86_400_001, count: 0 })).toBe('too-far-ahead');
    expect(clock.observe(0, { wallMs: 86_400_000, count: 0 })).toBe('merged');
  });

  test('a peer that is behind is lifted, not refused', () => {
    const clock = createHybridClock();
    clock.tick(1_000_000);
    expect(clock.observe(1_000_000, { wallMs: 0, count: 0 })).toBe('merged');
    expect(clock.read()).toEqual({ wallMs: 1_000_000, count: 1 });
  });

  test.each([NaN, Infinity, -1, 0.5, 2 ** 60])('%s in a timestamp is malformed', (value) => {
    const clock = createHybridClock({ driftMsMax: Infinity });
    clock.tick(5);
    expect(clock.observe(5, { wallMs: value, count: 0 })).toBe('malformed');
    expect(clock.observe(5, { wallMs: 5, count: value })).toBe('malformed');
    expect(clock.read()).toEqual({ wallMs: 5, count: 0 });
  });
});
