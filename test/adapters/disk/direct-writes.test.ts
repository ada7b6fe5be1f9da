import { expect, test } from 'vitest';
import { DirectWrites } from '../../../src/adapters/disk/direct-writes.ts';

let now = 0;

/** Asks for `count` writes, `everyMs` apart, each of which takes as long as `tookMs` says. @returns how many the loop waited for */
function write(
  direct: DirectWrites,
  count: number,
  everyMs: number,
  tookMs: (at: number) => number,
): number {
  let waited = 0;
  for (let at = 0; at < count; at += 1) {
    now += everyMs;
    const isWaited = direct.mayWait(now);
    if (isWaited) waited += 1;
    direct.took(tookMs(at), isWaited);
  }
  return waited;
}

/** A disk that was measured to be fast. */
function trusted(): DirectWrites {
  const direct = new DirectWrites();
  expect(write(direct, 32, 2, () => 0.2)).toBe(0);
  return direct;
}

test('a fast disk is waited for once 32 writes by the pool have shown that it is one', () => {
  expect(write(trusted(), 1_000, 2, () => 0.2)).toBe(1_000);
});

test('the loop waits for the disk a quarter of the time at most, whatever is asked of it', () => {
  const direct = trusted();
  const waited = write(direct, 10_000, 0.3, () => 0.2);
  const passedMs = 10_000 * 0.3;
  expect(waited * 0.2).toBeLessThanOrEqual(passedMs * 0.25 + 5 + 0.2);
  expect(waited * 0.2).toBeGreaterThan(passedMs * 0.24);
});

test('a slow disk is never waited for', () => {
  expect(write(new DirectWrites(), 20_000, 100, () => 12)).toBe(0);
  expect(write(new DirectWrites(), 20_000, 100, () => 1.1)).toBe(0);
});

test('a busy machine makes some writes slow: the disk is still fast as long as half of them are not', () => {
  expect(write(trusted(), 300, 50, (at) => (at % 3 === 0 ? 9 : 0.3))).toBe(300);
  expect(write(trusted(), 300, 50, (at) => (at % 3 === 0 ? 0.3 : 9))).toBeLessThan(32);
});

test('a disk that becomes slow is left when half of the latest were slow, and after its second stall', () => {
  expect(write(trusted(), 60, 100, () => 3)).toBe(16);
  const stalled = trusted();
  expect(write(stalled, 60, 10_000, () => 800)).toBe(2);
});

test('a stall is paid for: the loop waits no more until four times as long has passed', () => {
  const direct = trusted();
  expect(write(direct, 1, 100, () => 800)).toBe(1);
  expect(write(direct, 31, 100, () => 0.2)).toBe(0);
  expect(write(direct, 100, 100, () => 0.2)).toBe(100);
});

test('a disk that has become fast again is waited for again when half of the latest were fast', () => {
  const direct = new DirectWrites();
  expect(write(direct, 60, 100, () => 12)).toBe(0);
  expect(write(direct, 17, 100, () => 0.2)).toBe(0);
  expect(write(direct, 100, 100, () => 0.2)).toBe(100);
});
