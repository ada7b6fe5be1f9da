import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createKeyring, ringKeysMax } from '../../../src/protocol/trust/keyring.ts';
import type {
  KeyringEffect,
  KeyringInput,
  KeyringView,
  RingKey,
} from '../../../src/protocol/trust/keyring.ts';
import { describeLaws } from '../../laws/laws.ts';

const keyOf = (epoch: number, commitment = `c${epoch}`): RingKey => ({
  epoch,
  commitment,
  key: new Uint8Array(32).fill(epoch),
});
const announce = (...keys: RingKey[]): KeyringInput => ({
  type: 'announced',
  epochs: keys.map(({ epoch, commitment }) => ({ number: epoch, commitment })),
});
const install = (key: RingKey): KeyringInput => ({ type: 'installed', key });
const config = { useAfterMs: 1000, keepMs: 4000, wantEveryMs: 2000 };

test('the first key is used at once, after it is on disk', () => {
  const ring = createKeyring(config);
  ring.step(0, announce(keyOf(1)));
  expect(ring.step(0, install(keyOf(1)))).toEqual([
    { type: 'persist', keys: [keyOf(1)] },
    { type: 'use', current: keyOf(1), others: [] },
  ]);
});

test('a later key opens first, seals after a while, and the one before it goes', () => {
  const ring = createKeyring(config);
  ring.step(0, announce(keyOf(1)));
  ring.step(0, install(keyOf(1)));
  ring.step(100, announce(keyOf(2), keyOf(1)));
  ring.step(100, install(keyOf(2)));
  expect(ring.view()).toEqual({ current: keyOf(1), others: [keyOf(2)] });
  expect(ring.deadline()).toBe(1100);
  ring.step(1100, { type: 'tick' });
  expect(ring.view()).toEqual({ current: keyOf(2), others: [keyOf(1)] });
  expect(ring.deadline()).toBe(5100);
  ring.step(5100, { type: 'tick' });
  expect(ring.view()).toEqual({ current: keyOf(2), others: [] });
  expect(ring.deadline()).toBe(Infinity);
});

test('a missing key is asked for until it comes', () => {
  const ring = createKeyring(config);
  const want = { type: 'want', epoch: 1, commitment: 'c1' };
  expect(ring.step(0, announce(keyOf(1)))).toEqual([want]);
  expect(ring.step(1999, { type: 'tick' })).toEqual([]);
  expect(ring.step(2000, { type: 'tick' })).toEqual([want]);
  ring.step(2500, install(keyOf(1)));
  expect(ring.deadline()).toBe(Infinity);
});

test('a key that no admin announced is not taken', () => {
  const ring = createKeyring(config);
  ring.step(0, announce(keyOf(1)));
  ring.step(0, install(keyOf(1, 'forged')));
  ring.step(0, install(keyOf(2, 'c1')));
  expect(ring.view()).toEqual({ current: undefined, others: [] });
});

test('two keys of one epoch number, announced by two admins while apart, are both held for a while', () => {
  const ring = createKeyring(config);
  const [left, right] = [keyOf(2, 'left'), keyOf(2, 'right')];
  ring.step(0, announce(left));
  ring.step(0, install(left));
  ring.step(10, announce(right, left));
  ring.step(10, install(right));
  ring.step(1010, { type: 'tick' });
  expect(ring.view()).toEqual({ current: right, others: [left] });
});

test('no more keys than the limit are held, and never without the one in use', () => {
  const ring = createKeyring({ ...config, keepMs: 1e9 });
  for (let epoch = 1; epoch <= 20; epoch += 1) {
    ring.step(epoch * 2000, announce(keyOf(epoch), keyOf(epoch - 1)));
    ring.step(epoch * 2000, install(keyOf(epoch)));
    ring.step(epoch * 2000 + 1000, { type: 'tick' });
    expect(ring.view().current).toEqual(keyOf(epoch));
    expect(ring.view().others.length).toBeLessThan(ringKeysMax);
  }
});

const keys = fc.integer({ min: 1, max: 5 }).map((epoch) => keyOf(epoch));

describeLaws<KeyringInput, KeyringEffect, KeyringView>('the keyring', {
  create: () => createKeyring(config),
  inputs: fc.oneof(
    fc.array(keys, { maxLength: 4 }).map((given) => announce(...given)),
    keys.map(install),
    fc.constant<KeyringInput>({ type: 'tick' }),
  ),
  hostile: fc.oneof(
    fc.constantFrom(NaN, -1, 2 ** 60).map((epoch) => install(keyOf(epoch))),
    fc
      .array(fc.constantFrom(NaN, Infinity, 0), { maxLength: 100 })
      .map((epochs) => announce(...epochs.map((epoch) => keyOf(epoch)))),
  ),
  effectsPerStepMax: 3,
});
