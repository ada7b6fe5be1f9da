import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parcelBytesMax } from '../../src/kernel/parcel.ts';
import { callNameMax, confirmsMax, pieceBytesMax } from '../../src/kernel/call.ts';
import type { CommandMessage } from '../../src/protocol/command/messages.ts';
import { decodeCommand, encodeCommand } from '../../src/wire/command-codec.ts';

const number = fc.oneof(fc.nat(300), fc.maxSafeNat());
const name = fc
  .string({ minLength: 1, maxLength: 60, unit: 'grapheme' })
  .filter((text) => text.length <= callNameMax);
const piece = fc.record({
  seq: number,
  bytes: fc.uint8Array({ minLength: 1, maxLength: 200 }),
  isItemEnd: fc.constant(true),
  isEnd: fc.boolean(),
  isError: fc.boolean(),
});
const named = { callerBoot: number, id: number };
const flag = fc.boolean();
const credit = fc.record({ next: number, upTo: number });
const kind = <Kind extends string>(one: Kind) => fc.constant(one);
const messages: fc.Arbitrary<CommandMessage> = fc.oneof(
  fc.record({ kind: kind('who'), callerBoot: number }),
  fc.record({
    kind: kind('request'),
    ...named,
    boot: number,
    method: name,
    key: fc.option(name, { nil: undefined }),
    deadlineMs: number,
    isStream: flag,
    piece: piece.map((one) => ({ ...one, seq: 0 })),
    confirmed: fc.array(number, { maxLength: confirmsMax }),
  }),
  fc.record({ kind: fc.constantFrom('feed' as const, 'reply' as const), ...named, piece }),
  fc.record({
    kind: fc.constantFrom('accept' as const, 'grant' as const),
    ...named,
    credit,
    isAsking: flag,
  }),
  fc.record({ kind: fc.constantFrom('cancel' as const, 'working' as const), ...named }),
  fc.record({
    kind: kind('confirm'),
    callerBoot: number,
    confirmed: fc.array(number, { maxLength: confirmsMax }),
  }),
  fc.record({ kind: kind('here'), callerBoot: number, boot: number }),
  fc.record({
    kind: kind('refused'),
    ...named,
    reason: fc.constantFrom(
      'boot' as const,
      'lost' as const,
      'busy' as const,
      'too-large' as const,
    ),
    boot: number,
  }),
);

test('what is written is read', () => {
  fc.assert(
    fc.property(messages, (message) => {
      expect(decodeCommand(encodeCommand(message))).toEqual(message);
    }),
    { numRuns: 500 },
  );
});

test('whatever is read would be written the same way, and nothing throws', () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 80 }),
    fc.tuple(messages, fc.nat(), fc.integer({ min: 0, max: 255 })).map(([message, at, value]) => {
      const changed = encodeCommand(message);
      changed[at % changed.length] = value;
      return changed;
    }),
    fc.tuple(messages, fc.nat()).map(([message, cut]) => {
      const whole = encodeCommand(message);
      return whole.subarray(0, cut % whole.length);
    }),
  );
  fc.assert(
    fc.property(bytes, (given) => {
      const message = decodeCommand(given);
      if (message !== undefined) expect(encodeCommand(message)).toEqual(new Uint8Array(given));
    }),
    { numRuns: 2_000 },
  );
});

test('the largest message is a parcel', () => {
  const bytes = encodeCommand({
    kind: 'request',
    callerBoot: Number.MAX_SAFE_INTEGER,
    id: Number.MAX_SAFE_INTEGER,
    boot: Number.MAX_SAFE_INTEGER,
    method: '\u20ac'.repeat(callNameMax),
    key: '\u20ac'.repeat(callNameMax),
    deadlineMs: Number.MAX_SAFE_INTEGER,
    isStream: true,
    piece: {
      seq: 0,
      bytes: new Uint8Array(pieceBytesMax),
      isItemEnd: true,
      isEnd: true,
      isError: false,
    },
    confirmed: Array.from({ length: confirmsMax }, () => Number.MAX_SAFE_INTEGER),
  });
  expect(bytes.byteLength).toBeLessThanOrEqual(parcelBytesMax);
  expect(decodeCommand(bytes)).toBeDefined();
});
