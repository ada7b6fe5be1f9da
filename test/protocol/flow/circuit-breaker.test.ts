/** The breaker opens on bad runs, waits longer each time, and closes with the first piece of a trial's answer. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { createBreaker } from '../../../src/protocol/flow/circuit-breaker.ts';

describe('a breaker', () => {
  test('opens after three failures in a row, for five seconds', () => {
    const breaker = createBreaker();
    for (const at of [0, 1, 2]) breaker.failed(at);
    expect(breaker.state(2)).toEqual({ phase: 'open', until: 5_002 });
    expect(breaker.admit(5_001)).toBe(false);
    expect(breaker.admit(5_002)).toBe(true);
    expect(breaker.admit(5_003)).toBe(false);
  });

  test('opens when half of at least five lately failed', () => {
    const breaker = createBreaker();
    breaker.succeeded(0);
    breaker.failed(1);
    breaker.succeeded(2);
    breaker.failed(3);
    expect(breaker.isReady(3)).toBe(true);
    breaker.failed(4);
    expect(breaker.isReady(4)).toBe(false);
  });

  test('forgets what is older than its window', () => {
    const breaker = createBreaker();
    for (const at of [0, 1]) breaker.failed(at);
    breaker.succeeded(2);
    for (const at of [40_000, 40_001]) breaker.failed(at);
    expect(breaker.isReady(40_001)).toBe(true);
  });

  test('closes with the first piece of a trial, and doubles its time when the trial fails', () => {
    const breaker = createBreaker();
    for (const at of [0, 0, 0]) breaker.failed(at);
    expect(breaker.admit(5_000)).toBe(true);
    breaker.failed(5_100);
    expect(breaker.state(5_100)).toEqual({ phase: 'open', until: 15_100 });
    expect(breaker.admit(15_100)).toBe(true);
    breaker.began(15_200);
    expect(breaker.state(15_200)).toEqual({ phase: 'closed' });
    // The end of that answer still counts.
    for (const at of [15_300, 15_301, 15_302]) breaker.failed(at);
    expect(breaker.state(15_302).phase).toBe('open');
  });

  test('a trial that was cancelled lets the next one try', () => {
    const breaker = createBreaker();
    for (const at of [0, 0, 0]) breaker.failed(at);
    breaker.admit(5_000);
    breaker.abandoned(5_001);
    expect(breaker.admit(5_002)).toBe(true);
  });

  test('a hint that the target is back lets one trial through at once, and no more', () => {
    const breaker = createBreaker();
    breaker.hint(0);
    expect(breaker.state(0)).toEqual({ phase: 'closed' });
    for (const at of [10, 10, 10]) breaker.failed(at);
    expect([breaker.isReady(1_000), breaker.state(1_000)]).toEqual([
      false,
      { phase: 'open', until: 5_010 },
    ]);
    breaker.hint(1_000);
    expect(breaker.admit(1_000)).toBe(true);
    // While it is tried, another hint says nothing new.
    breaker.hint(1_001);
    expect([breaker.admit(1_001), breaker.state(1_001)]).toEqual([
      false,
      { phase: 'trial', since: 1_000 },
    ]);
    // The hint was wrong: it stays open twice as long as before.
    breaker.failed(1_100);
    expect(breaker.state(1_100)).toEqual({ phase: 'open', until: 11_100 });
    breaker.hint(2_000);
    expect(breaker.admit(2_000)).toBe(true);
    breaker.began(2_001);
    expect(breaker.state(2_001)).toEqual({ phase: 'closed' });
  });

  test('what the target itself asked for is never shortened', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 10_000 }), { minLength: 1 }), (blocks) => {
        const breaker = createBreaker();
        let until = 0;
        for (const [at, forMs] of blocks.entries()) {
          breaker.block(at, forMs);
          until = Math.max(until, at + forMs);
        }
        expect(breaker.isReady(until - 0.5)).toBe(until - 0.5 >= until);
        expect(breaker.isReady(until)).toBe(true);
      }),
    );
  });

  test('lets exactly one through at a time while it tries, whatever happened before', () => {
    const event = fc.constantFrom('failed', 'succeeded', 'began', 'abandoned', 'hint');
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(9_000), event), { maxLength: 60 }), (history) => {
        const breaker = createBreaker();
        let now = 0;
        for (const [afterMs, what] of history) {
          now += afterMs;
          breaker[what as 'failed'](now);
        }
        for (const at of [1, 2, 3]) breaker.failed(now + at);
        const until = now + 1_000_000;
        expect([breaker.admit(until), breaker.admit(until), breaker.admit(until + 1)]).toEqual([
          true,
          false,
          false,
        ]);
      }),
    );
  });
});
