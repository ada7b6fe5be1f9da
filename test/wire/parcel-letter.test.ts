/** Letters with a parcel, written by hand: the same bytes as CBOR's, and nothing read that CBOR would read otherwise. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { nodeIdFromHash } from '../../src/kernel/ids.ts';
import { protocolNameMax } from '../../src/kernel/parcel.ts';
import type { Letter } from '../../src/protocol/routing/messages.ts';
import { decodeCbor, encodeCbor } from '../../src/wire/cbor.ts';
import { decodeControl, encodeControl } from '../../src/wire/control.ts';
import { idBytes } from '../../src/wire/node-id.ts';
import { decodeParcelLetter, encodeParcelLetter } from '../../src/wire/parcel-letter.ts';

const tag = 3;
const ids = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((hash) => nodeIdFromHash(hash));
const u48 = fc.oneof(
  fc.constantFrom(0, 23, 24, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, 2 ** 48 - 1),
  fc.integer({ min: 0, max: 2 ** 48 - 1 }),
);
const ascii = fc
  .array(fc.integer({ min: 0, max: 127 }), { minLength: 1, maxLength: protocolNameMax })
  .map((codes) => String.fromCharCode(...codes));
const letters: fc.Arbitrary<Letter & { body: { kind: 'parcel' } }> = fc.record({
  from: ids,
  fromBoot: u48,
  ttl: fc.nat(255),
  passage: fc.record({ to: ids, id: u48, isFlood: fc.boolean() }),
  body: fc.record({
    kind: fc.constant('parcel' as const),
    protocol: ascii,
    bytes: fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.uint8Array({ maxLength: 400 })),
  }),
});

/** As the library writes it. */
function byLibrary({ from, fromBoot, ttl, passage, body }: Letter): Uint8Array {
  if (body.kind !== 'parcel') throw new Error('only parcels');
  const { protocol, bytes } = body;
  const head = [tag, idBytes(from), fromBoot, ttl, idBytes(passage.to), passage.id];
  return encodeCbor([...head, passage.isFlood ? 1 : 0, protocol, bytes]).slice();
}

describe('letters with a parcel', () => {
  test('are the bytes that CBOR makes of them, and come back', () => {
    fc.assert(
      fc.property(letters, (letter) => {
        const written = encodeParcelLetter(tag, letter);
        expect(written).toEqual(byLibrary(letter));
        expect(decodeParcelLetter(tag, written ?? new Uint8Array(0))).toEqual(letter);
        expect(decodeControl(encodeControl({ kind: 'letter', letter }))).toEqual({
          kind: 'letter',
          letter,
        });
      }),
      { numRuns: 2_000 },
    );
  });

  test('read from damaged bytes are what CBOR reads there', () => {
    fc.assert(
      fc.property(
        letters,
        fc.array(fc.tuple(fc.nat(90), fc.nat(255)), { minLength: 1, maxLength: 3 }),
        fc.nat(3),
        (letter, damages, cut) => {
          const bytes = byLibrary(letter);
          for (const [at, value] of damages) if (at < bytes.length) bytes[at] = value;
          const damaged = bytes.slice(0, bytes.length - cut);
          const read = decodeParcelLetter(tag, damaged);
          if (read === undefined) return;
          const [, from, boot, ttl, to, id, flood, protocol, parcel] = decodeCbor(
            damaged,
          ) as unknown[];
          expect([from, boot, ttl, to, id, flood, protocol, parcel]).toEqual([
            idBytes(read.from),
            read.fromBoot,
            read.ttl,
            idBytes(read.passage.to),
            read.passage.id,
            read.passage.isFlood ? 1 : 0,
            read.body.kind === 'parcel' ? read.body.protocol : '',
            read.body.kind === 'parcel' ? read.body.bytes : '',
          ]);
        },
      ),
      { numRuns: 5_000 },
    );
  });

  test('whose protocol is not ASCII are left to CBOR, and arrive', () => {
    const id = nodeIdFromHash(new Uint8Array(16));
    const letter: Letter = {
      from: id,
      fromBoot: 1,
      ttl: 3,
      passage: { to: id, id: 1, isFlood: false },
      body: { kind: 'parcel', protocol: 'grüße', bytes: new Uint8Array([1]) },
    };
    expect(encodeParcelLetter(tag, letter)).toBeUndefined();
    expect(decodeControl(encodeControl({ kind: 'letter', letter }))).toEqual({
      kind: 'letter',
      letter,
    });
  });
});
