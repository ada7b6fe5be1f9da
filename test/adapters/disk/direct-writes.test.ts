import { expect, test } from 'vitest';
import { DirectWrites } from '../../../src/adapters/disk/direct-writes.ts';

/** Asks for `count` writes, `everyMs` apart, that take `tookMs` when they are waited for. @returns how many were */
function write(direct: DirectWrites, count: number, everyMs: number, tookMs: number): number {
  let waited = 0;
  for (let at = 0; at < count; at += 1) {
    now += everyMs;
    if (!direct.mayWait(now)) continue;
    waited += 1;
    direct.took(tookMs);
  }
  return waited;
}
let now = 0;

test('a fast disk is waited for', () => {
  expect(write(new DirectWrites(), 1_000, 2, 0.2)).toBe(1_000);
});

test('the loop waits for the disk a quarter of the time at most, whatever is asked of it', () => {
  const waited = write(new DirectWrites(), 10_000, 0.3, 0.2);
  const passedMs = 10_000 * 0.3;
  expect(waited * 0.2).toBeLessThanOrEqual(passedMs * 0.25 + 5 + 0.2);
  expect(waited * 0.2).toBeGreaterThan(passedMs * 0.24);
});

test('a slow disk is tried once, and again after 64, 128, 256… writes, at last after every 4096', () => {
  const direct = new DirectWrites();
  const waited: number[] = [];
  for (let at = 0; at < 20_000; at += 1) {
    now += 100;
    if (!direct.mayWait(now)) continue;
    waited.push(at);
    direct.took(12);
  }
  const pauses = waited.slice(1).map((at, index) => at - (waited[index] as number) - 1);
  expect(waited[0]).toBe(0);
  expect(pauses).toEqual([64, 128, 256, 512, 1024, 2048, 4096, 4096, 4096]);
});

test('a disk that becomes slow is left after its fourth slow write, and after the first long one', () => {
  const slow = new DirectWrites();
  expect(write(slow, 100, 10, 0.2)).toBe(100);
  expect(write(slow, 60, 100, 3)).toBe(4);
  const stalled = new DirectWrites();
  expect(write(stalled, 100, 10, 0.2)).toBe(100);
  expect(write(stalled, 60, 10_000, 800)).toBe(1);
});

test('a disk that has become fast again is waited for again, and is trusted as at first', () => {
  const direct = new DirectWrites();
  expect(write(direct, 60, 100, 12)).toBe(1);
  expect(write(direct, 200, 10, 0.2)).toBe(200 - 5);
  expect(write(direct, 60, 1_000, 30)).toBe(1);
  // 59 writes of the pause of 64 are over.
  expect(write(direct, 6, 1_000, 0.2)).toBe(1);
});
