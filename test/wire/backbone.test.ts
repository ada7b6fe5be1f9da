/** The URL, the packets and the seal of a backbone. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { nodeIdFromHash } from '../../src/kernel/ids.ts';
import type { MeshId } from '../../src/kernel/ids.ts';
import { isBackboneHost, nearFirst } from '../../src/ports/backbone.ts';
import {
  decodeBackbonePacket,
  encodeBackbonePacket,
  helloHostsMax,
} from '../../src/wire/backbone-packet.ts';
import type { BackbonePacket } from '../../src/wire/backbone-packet.ts';
import { backboneOverheadBytes, backboneRooms } from '../../src/wire/backbone-seal.ts';
import { describeBackbone, parseBackboneUrl } from '../../src/wire/backbone-url.ts';

describe('the URL', () => {
  test.each([
    ['mqtt://site:p%40ss@broker.example:1884', ['broker.example', 1884, false, 'site', 'p@ss']],
    ['mqtt://10.0.0.7', ['10.0.0.7', 1883, false, undefined, undefined]],
    ['mqtts://u@[fd00::1]/', ['fd00::1', 8883, true, 'u', undefined]],
  ])('%s is read', (text, expected) => {
    const url = parseBackboneUrl(text);
    expect([url?.host, url?.port, url?.isTls, url?.username, url?.password]).toEqual(expected);
  });

  test.each([
    '',
    'broker:1883',
    'http://broker',
    'mqtt://',
    'mqtt://:secret@broker',
    'mqtt://broker/path',
    'mqtt://broker?x=1',
    'mqtt://a:%ff@broker',
    `mqtt://${'a'.repeat(1100)}`,
  ])('%j is none', (text) => {
    expect(parseBackboneUrl(text)).toBeUndefined();
  });

  test('is shown without user and password', () => {
    const shown = ['mqtt://site:secret@broker:1', 'mqtts://u:secret@[fd00::1]'].map((text) =>
      describeBackbone(parseBackboneUrl(text) as NonNullable<ReturnType<typeof parseBackboneUrl>>),
    );
    expect(shown).toEqual(['broker:1', '[fd00::1]:8883']);
  });
});

test('only an inbox is a host on a backbone: nothing that a broker would read as a filter', () => {
  const inbox = `${'0a'.repeat(16)}.backbone`;
  expect(isBackboneHost(inbox)).toBe(true);
  const others = [
    '#.backbone',
    '+.backbone',
    `${'0A'.repeat(16)}.backbone`,
    '.backbone',
    '10.0.0.1',
  ];
  for (const host of [...others, `${inbox}x`, `x${inbox}`])
    expect(isBackboneHost(host)).toBe(false);
  const near = { host: '10.0.0.1', port: 1 };
  const far = { host: inbox, port: 1 };
  expect(nearFirst([far, near])).toEqual([near, far]);
});

const hex = (bytes: number): fc.Arbitrary<string> =>
  fc
    .uint8Array({ minLength: bytes, maxLength: bytes })
    .map((one) => Buffer.from(one).toString('hex'));
const port = fc.integer({ min: 1, max: 65_535 });
const seq = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const body = fc.uint8Array({ minLength: 1, maxLength: 300 });
const of = { stream: hex(8), side: fc.constantFrom('dialler' as const, 'acceptor' as const) };
const packets: fc.Arbitrary<BackbonePacket> = fc.oneof(
  fc.record({
    kind: fc.constant('hello' as const),
    node: fc.uint8Array({ minLength: 16, maxLength: 16 }).map(nodeIdFromHash),
    port,
    asks: fc.boolean(),
    hosts: fc.array(fc.ipV4(), { maxLength: helloHostsMax }),
  }),
  fc.record({ kind: fc.constant('datagram' as const), inbox: hex(16), port, bytes: body }),
  fc.record({ kind: fc.constant('open' as const), stream: hex(8), inbox: hex(16), port }),
  fc.record({ kind: fc.constant('data' as const), ...of, seq, bytes: body }),
  fc.record({
    kind: fc.constant('credit' as const),
    ...of,
    bytes: fc.integer({ min: 0, max: 2 ** 48 - 1 }),
  }),
  fc.record({ kind: fc.constant('end' as const), ...of, seq }),
  fc.record({ kind: fc.constant('reset' as const), ...of }),
);

test('packets come back as they were, and any other bytes are none or read the same way', () => {
  fc.assert(
    fc.property(packets, (packet) => {
      expect(decodeBackbonePacket(encodeBackbonePacket(packet))).toEqual(packet);
    }),
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), fc.integer({ min: 0, max: 8 }), (bytes, kind) => {
      if (bytes.length > 0) bytes[0] = kind;
      const packet = decodeBackbonePacket(bytes);
      if (packet !== undefined) expect(encodeBackbonePacket(packet)).toEqual(bytes);
    }),
    { numRuns: 2_000 },
  );
});

describe('the seal', () => {
  const rooms = backboneRooms('ab'.repeat(16) as MeshId);
  const topic = rooms.topicOf('cd'.repeat(16));
  const plain = Uint8Array.of(1, 2, 3);

  test('opens once, for this mesh and under this topic', () => {
    const [ann, bob] = [rooms.createSeal(), rooms.createSeal()];
    const sealed = ann.seal(topic, plain);
    expect(sealed.length).toBe(plain.length + backboneOverheadBytes);
    expect(bob.open(rooms.all, sealed)).toBeUndefined();
    const other = backboneRooms('cd'.repeat(16) as MeshId).createSeal();
    expect(other.open(topic, sealed)).toBeUndefined();
    expect(bob.open(topic, sealed)).toEqual({ sender: ann.sender, plain });
    expect(bob.open(topic, sealed)).toBeUndefined();
  });

  test('two packets have nothing in common but their sender, and a changed bit opens nothing', () => {
    const [ann, bob] = [rooms.createSeal(), rooms.createSeal()];
    const [first, second] = [ann.seal(topic, plain), ann.seal(topic, plain)];
    expect(first.subarray(0, 16)).toEqual(second.subarray(0, 16));
    expect(first.subarray(22)).not.toEqual(second.subarray(22));
    for (let at = 0; at < first.length; at += 1) {
      const changed = first.slice();
      changed[at] = (changed[at] ?? 0) ^ 1;
      expect(bob.open(topic, changed)).toBeUndefined();
    }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        expect(bob.open(topic, bytes)).toBeUndefined();
      }),
    );
  });

  test('rooms of two meshes and inboxes of two nodes share nothing', () => {
    const others = backboneRooms('cd'.repeat(16) as MeshId);
    const [one, two] = [1, 2].map((seed) => nodeIdFromHash(new Uint8Array(16).fill(seed)));
    if (one === undefined || two === undefined) throw new Error('two nodes');
    const names = [
      rooms.all,
      others.all,
      rooms.inboxOf(one),
      rooms.inboxOf(two),
      others.inboxOf(one),
    ];
    expect(new Set(names).size).toBe(names.length);
    expect(rooms.all.split('/')[0]).not.toBe(others.all.split('/')[0]);
    expect(backboneRooms('ab'.repeat(16) as MeshId).inboxOf(one)).toBe(rooms.inboxOf(one));
  });
});
