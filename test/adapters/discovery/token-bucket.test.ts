/** Floods are cut to the allowance, per source and in all. */

import { expect, test } from 'vitest';

import {
  createSourceGate,
  createTokenBucket,
} from '../../../src/adapters/discovery/token-bucket.ts';

test('a bucket gives its burst at once and its rate ever after', () => {
  const bucket = createTokenBucket({ perSecond: 2, burst: 5 });
  let taken = 0;
  for (let at = 0; at < 100; at += 1) if (bucket.take(0)) taken += 1;
  expect(taken).toBe(5);
  for (let now = 0; now <= 60_000; now += 10) if (bucket.take(now)) taken += 1;
  expect(taken).toBe(5 + 120);
});

test('a clock that steps back gives nothing away', () => {
  const bucket = createTokenBucket({ perSecond: 1_000, burst: 1 });
  expect(bucket.take(1_000)).toBe(true);
  expect(bucket.take(0)).toBe(false);
});

test('a flooding source is held to its allowance while others get through', () => {
  const gate = createSourceGate({ perSecond: 10, burst: 10 }, { perSecond: 1_000, burst: 1_000 });
  let flood = 0;
  for (let at = 0; at < 10_000; at += 1) if (gate.admit(0, 'flooder')) flood += 1;
  expect(flood).toBe(10);
  expect(gate.admit(0, 'neighbour')).toBe(true);
  expect(gate.refusedCount()).toBe(9_990);
});

test('forged sources together are held to the allowance of the LAN', () => {
  const gate = createSourceGate({ perSecond: 10, burst: 10 }, { perSecond: 50, burst: 50 });
  let flood = 0;
  for (let at = 0; at < 10_000; at += 1)
    if (gate.admit(0, `10.0.${at >> 8}.${at & 255}`)) flood += 1;
  expect(flood).toBe(50);
});
