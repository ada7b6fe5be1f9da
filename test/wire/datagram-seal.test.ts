import { expect, test } from 'vitest';
import { utf8 } from '../../src/wire/bytes.ts';
import {
  createDatagramSeal,
  datagramOverheadBytes,
  shortIdOf,
} from '../../src/wire/datagram-seal.ts';
import type { DatagramSeal, EpochKeys } from '../../src/wire/datagram-seal.ts';
import { generateNodeKeys, nodeIdOf, randomBytes } from '../../src/wire/keys.ts';

const ann = nodeIdOf(generateNodeKeys().edPublic);
const bob = nodeIdOf(generateNodeKeys().edPublic);

function keysOf(epoch = 1): EpochKeys {
  return { current: { epoch, key: randomBytes(32) }, others: [] };
}

function seal(
  node = ann,
  bootCounter = 1,
  keys: EpochKeys | (() => EpochKeys) = keysOf(),
): DatagramSeal {
  return createDatagramSeal({
    node,
    bootCounter,
    keys: typeof keys === 'function' ? keys : () => keys,
  });
}

test('a member opens what a member sealed, knows its short id, and 35 bytes were added', () => {
  const keys = keysOf(70_000);
  const bytes = seal(ann, 1, keys).seal(utf8('alive'));
  expect(bytes).toHaveLength(5 + datagramOverheadBytes);
  expect(seal(bob, 1, keys).open(Buffer.from(bytes))).toEqual({
    sender: shortIdOf(ann),
    plain: utf8('alive'),
    epoch: 70_000,
  });
});

test('any changed bit is refused', () => {
  const keys = keysOf();
  const bytes = seal(ann, 1, keys).seal(utf8('alive'));
  const receiver = seal(bob, 1, keys);
  for (let bit = 0; bit < bytes.length * 8; bit += 1) {
    const changed = bytes.slice();
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    const outcome = receiver.open(changed);
    const at = bit >> 3;
    const expected = at === 0 ? 'version' : at < 3 ? 'epoch' : 'tag';
    expect(outcome).toEqual({ refusal: expected });
  }
  expect(receiver.open(bytes)).toHaveProperty('plain');
});

test('a replay is refused, also after the sender restarted', () => {
  const keys = keysOf();
  const receiver = seal(bob, 1, keys);
  const old = seal(ann, 1, keys).seal(utf8('one'));
  expect(receiver.open(old)).toHaveProperty('plain');
  expect(receiver.open(old)).toEqual({ refusal: 'replay' });
  expect(receiver.open(seal(ann, 2, keys).seal(utf8('two')))).toHaveProperty('plain');
  expect(receiver.open(old)).toEqual({ refusal: 'replay' });
  const unseen = seal(ann, 1, keys);
  unseen.seal(utf8('x'));
  expect(receiver.open(unseen.seal(utf8('late, from before the restart')))).toEqual({
    refusal: 'replay',
  });
});

test('replays are refused also when the keys are handed out as fresh copies', () => {
  const keys = keysOf();
  const copies = (): EpochKeys => ({
    current: { epoch: keys.current.epoch, key: keys.current.key.slice() },
    others: [],
  });
  const receiver = seal(bob, 1, copies);
  const bytes = seal(ann, 1, copies).seal(utf8('one'));
  expect(receiver.open(bytes)).toHaveProperty('plain');
  expect(receiver.open(bytes)).toEqual({ refusal: 'replay' });
});

test('datagrams that overtake one another all arrive once', () => {
  const keys = keysOf();
  const sender = seal(ann, 1, keys);
  const receiver = seal(bob, 1, keys);
  const sent = Array.from({ length: 200 }, () => sender.seal(utf8('x'))).toReversed();
  expect(sent.filter((bytes) => 'plain' in receiver.open(bytes))).toHaveLength(200);
  expect(sent.filter((bytes) => 'plain' in receiver.open(bytes))).toHaveLength(0);
});

test('a stranger’s key opens nothing and is told from damage by its epoch', () => {
  const bytes = seal(ann, 1, keysOf(1)).seal(utf8('x'));
  expect(seal(bob, 1, keysOf(1)).open(bytes)).toEqual({ refusal: 'tag' });
  expect(seal(bob, 1, keysOf(2)).open(bytes)).toEqual({ refusal: 'epoch' });
});

test('during a rotation the previous key still opens, and no longer once it is removed', () => {
  const first = { epoch: 1, key: randomBytes(32) };
  const second = { epoch: 2, key: randomBytes(32) };
  const sender = seal(ann, 1, { current: first, others: [] });
  let keys: EpochKeys = { current: second, others: [first] };
  const receiver = seal(bob, 1, () => keys);
  expect(receiver.open(sender.seal(utf8('x')))).toHaveProperty('epoch', 1);
  keys = { current: second, others: [] };
  expect(receiver.open(sender.seal(utf8('x')))).toEqual({ refusal: 'epoch' });
});

test('two keys of the same epoch number, made by two admins while apart, both open', () => {
  const left = { epoch: 5, key: randomBytes(32) };
  const right = { epoch: 5, key: randomBytes(32) };
  const receiver = seal(bob, 1, { current: left, others: [right] });
  expect(
    receiver.open(seal(ann, 1, { current: right, others: [] }).seal(utf8('x'))),
  ).toHaveProperty('plain');
  expect(receiver.open(seal(ann, 2, { current: left, others: [] }).seal(utf8('x')))).toHaveProperty(
    'plain',
  );
});

test('what a rogue member did to a sender’s window ends with the epoch', () => {
  const first = keysOf(1);
  const rotated: EpochKeys = { current: { epoch: 2, key: randomBytes(32) }, others: [] };
  let keys = first;
  const receiver = seal(bob, 1, () => keys);
  // The rogue speaks as ann from the far future: ann is mute towards bob while this epoch lasts.
  expect(receiver.open(seal(ann, 2 ** 24 - 1, first).seal(utf8('rogue')))).toHaveProperty('plain');
  expect(receiver.open(seal(ann, 3, first).seal(utf8('ann')))).toEqual({ refusal: 'replay' });
  keys = rotated;
  expect(receiver.open(seal(ann, 3, rotated).seal(utf8('ann')))).toHaveProperty('plain');
});

test('a node’s own datagrams, reflected, are refused; those of a clone with another count are seen', () => {
  const keys = keysOf();
  const self = seal(ann, 1, keys);
  expect(self.open(self.seal(utf8('x')))).toEqual({ refusal: 'replay' });
  expect(self.open(seal(ann, 2, keys).seal(utf8('clone')))).toHaveProperty(
    'sender',
    shortIdOf(ann),
  );
});

test('no two datagrams of a node share a nonce, across restarts', () => {
  const keys = keysOf();
  const nonces = new Set<string>();
  for (let boot = 0; boot < 5; boot += 1) {
    const sender = seal(ann, boot, keys);
    for (let count = 0; count < 300; count += 1) {
      nonces.add(Buffer.from(sender.seal(utf8('x')).subarray(11, 19)).toString('hex'));
    }
  }
  expect(nonces.size).toBe(1500);
});

test('what is too short to be a datagram is refused as such', () => {
  const receiver = seal();
  for (let length = 0; length < datagramOverheadBytes; length += 1) {
    expect(receiver.open(new Uint8Array(length))).toEqual({ refusal: 'short' });
  }
});
