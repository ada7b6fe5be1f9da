/** What others say over mDNS is read with suspicion: total, bounded, and nothing but hints. */

import { createRequire } from 'node:module';

import fc from 'fast-check';
import { expect, test } from 'vitest';

import { isPlausiblePacket } from '../../../src/adapters/bonjour/guarded-bonjour.ts';
import {
  beaconRecords,
  checkService,
  readAnswers,
  readKnownAnswers,
  readQuestions,
} from '../../../src/adapters/bonjour/records.ts';
import { createRandom } from '../../../src/kernel/random.ts';
import { beaconOf } from '../../contract/rung.ts';
import { beaconPacket, queryPacket } from '../bonjour-lab/mdns-packet.ts';

/** The decoder that bonjour-service brings along. */
const codec = createRequire(createRequire(import.meta.url).resolve('multicast-dns'))(
  'dns-packet',
) as { decode(bytes: Buffer): unknown; encode(packet: object): Buffer };

const here = beaconOf('here');

function respond(records: readonly object[], additionals: readonly object[] = []): unknown {
  return codec.decode(codec.encode({ type: 'response', answers: records, additionals }));
}

test('what a node publishes is what another one reads', () => {
  const read = readAnswers(respond(beaconRecords(here, ['10.0.0.1', '10.0.0.2'])));
  expect(read.goodbyes).toEqual([]);
  expect(read.heard).toEqual([{ ...here, holdMs: 150_000, hosts: ['10.0.0.1', '10.0.0.2'] }]);
});

test('nothing but version, id, tag, state and port is told', () => {
  const records = beaconRecords(here, []);
  const txt = records.find((record) => record.type === 'TXT')?.data;
  const keys = Array.isArray(txt) ? txt.map((entry) => String(entry).split('=')[0]) : [];
  expect(keys).toEqual(['v', 'id', 'tag', 'st', 'port']);
  expect(records.every((record) => record.ttl <= 150)).toBe(true);
});

test('a goodbye is read as a goodbye and not as a sighting', () => {
  const records = beaconRecords(here, ['10.0.0.1']).map((record) => ({ ...record, ttl: 0 }));
  expect(readAnswers(respond(records))).toEqual({ heard: [], goodbyes: [here.node] });
});

test('address records of other hosts, link-local and excess ones are no hints', () => {
  const host = `${here.node}.local`;
  const records = [
    ...beaconRecords(here, ['10.0.0.1']),
    { name: 'other.local', type: 'A', ttl: 120, data: '10.0.0.66' },
    { name: host, type: 'AAAA', ttl: 120, data: 'fe80::1' },
    { name: host, type: 'AAAA', ttl: 120, data: 'fd00::1' },
    ...[2, 3, 4, 5, 6].map((at) => ({ name: host, type: 'A', ttl: 120, data: `10.0.0.${at}` })),
  ];
  expect(readAnswers(respond(records)).heard[0]?.hosts).toEqual([
    '10.0.0.1',
    '10.0.0.2',
    '10.0.0.3',
    '10.0.0.4',
    'fd00::1',
  ]);
});

test.each([
  ['another id than its name', { id: beaconOf('x').node }],
  ['an unknown version', { v: '2' }],
  ['a bad tag', { tag: 'xyz' }],
  ['a bad state', { st: 'admin' }],
  ['port 0', { port: '0' }],
  ['a port that is no number', { port: '1e9' }],
])('a TXT record with %s says nothing', (_, wrong) => {
  const name = `${here.node}._mycel._tcp.local`;
  const good = { v: '1', id: here.node, tag: here.meshTag, st: here.state, port: '1883' };
  const txt = (fields: object): object => ({
    name,
    type: 'TXT',
    ttl: 120,
    data: Object.entries(fields).map(([key, value]) => `${key}=${String(value)}`),
  });
  expect(readAnswers(respond([txt(good)])).heard.length).toBe(1);
  expect(readAnswers(respond([txt({ ...good, ...wrong })])).heard).toEqual([]);
});

test('a TTL of hours or of a second is brought within limits', () => {
  const holdOf = (ttl: number): number | undefined =>
    readAnswers(codec.decode(beaconPacket(here, ttl))).heard[0]?.holdMs;
  expect([1, 60, 28_800].map(holdOf)).toEqual([10_000, 60_000, 300_000]);
});

test.each([
  [{ type: 'HTTP' }, 'type'],
  [{ type: '-x' }, 'type'],
  [{ name: 'a.b' }, 'name'],
  [{ name: 'ä'.repeat(32) }, 'name'],
  [{ port: 0 }, 'port'],
  [{ txt: { key: 'x'.repeat(256) } }, 'txt'],
  [{ txt: { 'a=b': 'c' } }, 'txt'],
])('the service %j is refused, naming the field', (wrong, field) => {
  const good = { type: 'http', name: 'dashboard', port: 80 };
  expect(() => checkService(good)).not.toThrow();
  expect(() => checkService({ ...good, ...wrong })).toThrow(`'${field}'`);
});

test('whatever a decoded packet holds, reading it does not throw', () => {
  fc.assert(
    fc.property(fc.anything({ withNullPrototype: true }), fc.anything(), (answers, other) => {
      const record = { name: 'x._mycel._tcp.local', type: 'TXT', ttl: 1, data: other };
      const pointer = { name: '_mycel._tcp.local', type: 'PTR', ttl: 0, data: other };
      const packets = [
        answers,
        { answers, questions: answers },
        { answers: [record, pointer, other] },
      ];
      for (const packet of packets) {
        readAnswers(packet);
        readQuestions(packet);
        readKnownAnswers(packet);
      }
    }),
    { numRuns: 2_000 },
  );
});

test('a header that claims more records than fit is refused; the decoder alone builds thousands', () => {
  // One TXT record whose string is longer than the record, and 60 000 claimed authorities.
  const hostile =
    '0000800000000001ea6000001c6162636465666768696a6b6c6d6e6f707172737475767778797a6162' +
    '065f6d7963656c045f746370056c6f63616c000010000100cf0001007f03763d31';
  const bytes = Buffer.from(hostile, 'hex');
  expect(codec.decode(bytes)).toMatchObject({ authorities: { length: 60_000 } });
  expect(isPlausiblePacket(bytes)).toBe(false);
  for (const good of [beaconPacket(here, 120), queryPacket('_mycel._tcp.local', 9)]) {
    expect(isPlausiblePacket(good)).toBe(true);
  }
});

test('100 000 random and mutated packets are decoded or refused, and read without a throw', () => {
  const random = createRandom(20_260_102);
  const templates = [
    beaconPacket(here, 120),
    queryPacket('_mycel._tcp.local', 3),
    codec.encode({ type: 'response', answers: beaconRecords(here, ['10.0.0.1']) }),
  ];
  const counts = { decoded: 0, heard: 0 };
  for (let round = 0; round < 100_000; round += 1) {
    const template = templates[round % 4];
    const bytes = template === undefined ? Buffer.alloc(random.below(120)) : Buffer.from(template);
    const changes = template === undefined ? bytes.length : 1 + random.below(4);
    for (let change = 0; change < changes; change += 1) {
      bytes[random.below(bytes.length)] = random.below(256);
    }
    if (!isPlausiblePacket(bytes)) continue;
    let packet: unknown;
    try {
      packet = codec.decode(bytes);
    } catch {
      // The decoder throws on garbage; the fence around the socket is there for that.
      continue;
    }
    counts.decoded += 1;
    counts.heard += readAnswers(packet).heard.length;
    readQuestions(packet);
    readKnownAnswers(packet);
  }
  expect(counts.decoded).toBeGreaterThan(10_000);
  expect(counts.heard).toBeGreaterThan(1_000);
});
