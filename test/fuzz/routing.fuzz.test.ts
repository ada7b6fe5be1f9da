import { describe, expect, test } from 'vitest';
import { unsetTopology } from '../../src/protocol/overlay/topology.ts';
import { createRandom } from '../../src/kernel/random.ts';
import type { Random } from '../../src/kernel/random.ts';
import { nodeIdFromHash } from '../../src/kernel/ids.ts';
import { topicProblem } from '../../src/kernel/topic.ts';
import type { ControlMessage } from '../../src/wire/control.ts';
import { decodeControl, encodeControl } from '../../src/wire/control.ts';
import { encodeEnvelope, readEnvelope } from '../../src/wire/envelope.ts';
import { createFrameWriter, readFrame } from '../../src/wire/frame.ts';

const runs = Number(process.env['FUZZ_RUNS'] ?? 20_000);
const seed = Number(process.env['FUZZ_SEED'] ?? 20);
const id = nodeIdFromHash(new Uint8Array(16).fill(3));
const passage = { to: id, id: 1, isFlood: false };

const envelope = encodeEnvelope({
  ttl: 16,
  class: 'event',
  retain: false,
  origin: id,
  boot: 1,
  seq: 9,
  skipped: 0,
  hlc: { wallMs: 1, count: 2 },
  topic: 'a/b/c',
  payload: new Uint8Array(20),
  passage,
});

const controls: ControlMessage[] = [
  {
    kind: 'hello',
    boot: 1,
    instance: 4,
    name: 'x',
    port: 1883,
    neighbours: [id],
    overlay: 'hyparview',
    topology: { ...unsetTopology('hyparview'), epoch: 3, by: id, hubs: [id] },
    mark: { epoch: 3, by: id },
  },
  { kind: 'topology', topology: unsetTopology('full-mesh') },
  { kind: 'overlay', bytes: new Uint8Array([1, 2, 3]) },
  {
    kind: 'letter',
    letter: {
      from: id,
      fromBoot: 1,
      ttl: 16,
      passage,
      body: { kind: 'ack', boot: 1, upTo: 7, ranges: [[9, 12]] },
    },
  },
  { kind: 'peers', peers: [{ node: id, addresses: [{ host: '::1', port: 7 }] }] },
  {
    kind: 'retained',
    entries: [
      { topic: 'a', hlc: { wallMs: 1, count: 1 }, origin: id, boot: 1, seq: 2, payload: envelope },
    ],
  },
];

function frameOf(count: number): Uint8Array {
  const writer = createFrameWriter();
  for (let at = 0; at < count; at += 1) writer.add(envelope);
  return writer.take() ?? new Uint8Array();
}

/** Noise, or a good input with some bytes changed, cut, or repeated. */
function mutate(random: Random, good: Uint8Array): Uint8Array {
  if (random.below(4) === 0) {
    return Uint8Array.from({ length: random.below(200) }, () => random.below(256));
  }
  const from = random.below(8) === 0 ? random.below(good.byteLength) : 0;
  const to = random.below(4) === 0 ? random.below(good.byteLength + 1) : good.byteLength;
  const bytes = good.slice(Math.min(from, to), to);
  for (let count = random.below(6); count > 0 && bytes.byteLength > 0; count -= 1) {
    bytes[random.below(bytes.byteLength)] = random.below(256);
  }
  return bytes;
}

function fuzz(goods: readonly Uint8Array[], read: (bytes: Uint8Array) => boolean): number {
  const random = createRandom(seed);
  let accepted = 0;
  for (let run = 0; run < runs; run += 1) {
    const bytes = mutate(random, goods[run % goods.length] ?? envelope);
    try {
      if (read(bytes)) accepted += 1;
    } catch (error) {
      throw new Error(`run ${run}: ${Buffer.from(bytes).toString('hex')}`, { cause: error });
    }
  }
  return accepted;
}

describe('no bytes from a link', { timeout: 600_000 }, () => {
  test('make readEnvelope throw, or give what no node may publish', () => {
    const accepted = fuzz([envelope], (bytes) => {
      const read = readEnvelope(bytes);
      if (read === undefined) return false;
      if (read.topic === '') {
        const { class: kind, payload, retain } = read;
        expect({ kind, retain, bytes: payload.length }).toEqual({
          kind: 'event',
          retain: false,
          bytes: 0,
        });
        return true;
      }
      expect(topicProblem(read.topic)).toBeUndefined();
      expect(encodeEnvelope(read)).toEqual(bytes);
      return true;
    });
    expect(accepted).toBeGreaterThan(0);
    expect(accepted).toBeLessThan(runs);
  });

  test('make readFrame throw, or give records that are not within them', () => {
    const accepted = fuzz([frameOf(1), frameOf(5)], (bytes) => {
      let total = 1;
      const isWhole = readFrame(bytes, (record) => {
        total += 3 + record.byteLength;
        readEnvelope(record);
      });
      expect(total).toBe(isWhole ? bytes.byteLength : 1);
      return isWhole;
    });
    expect(accepted).toBeGreaterThan(0);
    expect(accepted).toBeLessThan(runs);
  });

  test('make decodeControl throw, or give what it would not write', () => {
    const accepted = fuzz(controls.map(encodeControl), (bytes) => {
      const said = decodeControl(bytes);
      const read = said === 'unknown' ? undefined : said;
      if (read === undefined) return false;
      expect(decodeControl(encodeControl(read))).toEqual(read);
      return true;
    });
    expect(accepted).toBeGreaterThan(0);
    expect(accepted).toBeLessThan(runs);
  });
});
