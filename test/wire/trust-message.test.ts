import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { encodeCbor } from '../../src/wire/cbor.ts';
import {
  decodeTrustMessage,
  encodeTrustMessage,
  trustEntriesMax,
} from '../../src/wire/trust-message.ts';
import type { TrustMessage } from '../../src/wire/trust-message.ts';

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const hex = (length: number) => bytes(length).map((raw) => Buffer.from(raw).toString('hex'));
const counter = fc.nat({ max: 2 ** 31 });

const messages: fc.Arbitrary<TrustMessage> = fc.oneof(
  fc
    .array(fc.record({ author: hex(32), seq: counter, hash: hex(32), isFrozen: fc.boolean() }), {
      maxLength: 8,
    })
    .map((heads) => ({ kind: 'heads' as const, heads })),
  fc
    .array(fc.record({ author: hex(32), fromSeq: counter }), { maxLength: 8 })
    .map((wants) => ({ kind: 'pull' as const, wants })),
  fc
    .array(fc.uint8Array({ maxLength: 64 }), { maxLength: 8 })
    .map((entries) => ({ kind: 'entries' as const, entries })),
  fc.array(counter, { maxLength: 8 }).map((epochs) => ({ kind: 'keys-wanted' as const, epochs })),
  fc
    .array(fc.record({ epoch: counter, sealed: bytes(80) }), { maxLength: 8 })
    .map((keys) => ({ kind: 'keys' as const, keys })),
  fc
    .uint8Array({ maxLength: 64 })
    .map((certificate) => ({ kind: 'certificate' as const, certificate })),
  fc.uint8Array({ maxLength: 64 }).map((entry) => ({ kind: 'rumour' as const, entry })),
  fc.record({ kind: fc.constant('heard' as const), hash: hex(32), wasNew: fc.boolean() }),
);

describe('trust messages', () => {
  test('come back as they went', () => {
    fc.assert(
      fc.property(messages, (message) => {
        expect(decodeTrustMessage(encodeTrustMessage(message))).toEqual(message);
      }),
    );
  });

  test('are refused when they are longer than agreed', () => {
    const entries = Array.from({ length: trustEntriesMax + 1 }, () => new Uint8Array(1));
    expect(decodeTrustMessage(encodeTrustMessage({ kind: 'entries', entries }))).toBeUndefined();
    const entry = new Uint8Array(2000);
    expect(decodeTrustMessage(encodeTrustMessage({ kind: 'rumour', entry }))).toBeUndefined();
  });

  test.each([
    [[9, []]],
    [[1]],
    [[1, [[new Uint8Array(31), 1, new Uint8Array(32), false]]]],
    [[4, [-1]]],
    [[4, [1.5]]],
    [[5, [[1, new Uint8Array(33)]]]],
    [[8, new Uint8Array(32), 1]],
    ['text'],
    [{ 0: 1 }],
  ])('%j is refused', (value) => {
    expect(decodeTrustMessage(encodeCbor(value))).toBeUndefined();
  });

  test('random bytes never throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (raw) => {
        decodeTrustMessage(raw);
      }),
      { numRuns: 5000 },
    );
  });

  test('a message with one byte changed is read as something valid or refused, never thrown', () => {
    fc.assert(
      fc.property(messages, fc.nat(), fc.nat({ max: 255 }), (message, at, byte) => {
        const raw = encodeTrustMessage(message).slice();
        raw[at % raw.length] = byte;
        decodeTrustMessage(raw);
      }),
      { numRuns: 2000 },
    );
  });
});
