/** The numbers of packets are right, and what mqtt-packet keeps of them for ever is little. */

import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { writeNumbersLightly } from '../../../src/adapters/mqtt/packet-numbers.ts';

await writeNumbersLightly();
const { default: mqttPacket } = await import('mqtt-packet');

/** The chunks that one QoS 0 publish of so many bytes after its fixed header is written as. */
function chunksOf(remainingLength: number): Buffer[] {
  const stream = new PassThrough();
  const chunks: Buffer[] = [];
  stream.write = (chunk: Buffer) => chunks.push(chunk) > 0;
  const payload = Buffer.alloc(remainingLength - 3, 1);
  mqttPacket.writeToStream(
    { cmd: 'publish', topic: 'a', payload, qos: 0, retain: false, dup: false },
    stream,
  );
  return chunks;
}

/** MQTT 3.1.1, 2.2.3. */
function decoded(bytes: Uint8Array): number {
  return bytes.reduce((sum, byte, at) => sum + (byte & 127) * 128 ** at, 0);
}

test('every length is written as MQTT says, and the kept ones share one small slab', () => {
  const slabs = new Set<ArrayBufferLike>();
  const lengths = Array.from({ length: 16_381 }, (_, at) => at + 3);
  for (const length of lengths) {
    const chunk = chunksOf(length)[1] ?? Buffer.alloc(0);
    expect(decoded(chunk)).toBe(length);
    expect(chunk.length).toBe(length < 128 ? 1 : 2);
    slabs.add(chunk.buffer);
  }
  expect([...slabs].map((slab) => slab.byteLength)).toEqual([32_768]);
});

test.each([16_384, 2_097_151, 2_097_152, 3_000_000])(
  'a length of %i, which is not kept, is right too',
  (length) => {
    expect(decoded(chunksOf(length)[1] ?? Buffer.alloc(0))).toBe(length);
  },
);
