/** The hello datagram is read back as written, and nothing else is read at all. */

import fc from 'fast-check';
import { expect, test } from 'vitest';

import { nodeIdFromHash } from '../../src/kernel/ids.ts';
import { createRandom } from '../../src/kernel/random.ts';
import { decodeHello, encodeHello, helloBytes } from '../../src/wire/hello.ts';
import type { Hello } from '../../src/wire/hello.ts';

const hello: fc.Arbitrary<Hello> = fc.record({
  node: fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => nodeIdFromHash(bytes)),
  meshTag: fc.bigInt(0n, 0xffff_ffff_ffff_ffffn).map((tag) => tag.toString(16).padStart(16, '0')),
  state: fc.constantFrom('member', 'unclaimed', 'open'),
  port: fc.integer({ min: 1, max: 65_535 }),
  nonce: fc.integer({ min: 0, max: 0xffff_ffff }),
  isGoodbye: fc.boolean(),
  isAnswer: fc.boolean(),
});

test('every hello is read back as it was written, in 36 bytes', () => {
  fc.assert(
    fc.property(hello, (said) => {
      const bytes = encodeHello(said);
      expect(bytes.length).toBe(helloBytes);
      expect(decodeHello(bytes)).toEqual(said);
    }),
  );
});

test('what is read is exactly what would be written: no two datagrams mean the same', () => {
  fc.assert(
    fc.property(
      hello,
      fc.nat(helloBytes - 1),
      fc.integer({ min: 1, max: 255 }),
      (said, at, flip) => {
        const bytes = encodeHello(said);
        bytes[at] = (bytes[at] ?? 0) ^ flip;
        const read = decodeHello(bytes);
        if (read !== undefined) expect(encodeHello(read)).toEqual(bytes);
      },
    ),
  );
});

test('every strict prefix and every longer datagram is refused', () => {
  const bytes = encodeHello({
    node: nodeIdFromHash(new Uint8Array(16)),
    meshTag: '00000000000000ff',
    state: 'open',
    port: 1,
    nonce: 7,
    isGoodbye: false,
    isAnswer: false,
  });
  for (let length = 0; length < helloBytes; length += 1) {
    expect(decodeHello(bytes.subarray(0, length))).toBeUndefined();
  }
  expect(decodeHello(new Uint8Array([...bytes, 0]))).toBeUndefined();
});

test('100 000 random and mutated datagrams never make the parser throw', () => {
  const random = createRandom(20_260_101);
  const template = encodeHello({
    node: nodeIdFromHash(new Uint8Array(16).fill(9)),
    meshTag: 'aaaaaaaaaaaaaaaa',
    state: 'member',
    port: 1883,
    nonce: 1,
    isGoodbye: false,
    isAnswer: false,
  });
  let readCount = 0;
  for (let round = 0; round < 100_000; round += 1) {
    const isMutant = round % 2 === 0;
    const bytes = isMutant ? template.slice() : new Uint8Array(random.below(80));
    const changes = isMutant ? 1 + random.below(3) : bytes.length;
    for (let change = 0; change < changes; change += 1) {
      bytes[random.below(bytes.length)] = random.below(256);
    }
    if (decodeHello(bytes) !== undefined) readCount += 1;
  }
  // Mutants of the ids and numbers are hellos too; were none read, the fuzz would test nothing.
  expect(readCount).toBeGreaterThan(10_000);
  expect(readCount).toBeLessThan(50_001);
});
