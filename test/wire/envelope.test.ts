import { messageBytesMax, partBytes, payloadBytesMax } from '../../src/kernel/large-message.ts';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { nodeIdFromHash } from '../../src/kernel/ids.ts';
import { isReservedTopic, topicProblem } from '../../src/kernel/topic.ts';
import type { Envelope } from '../../src/protocol/routing/messages.ts';
import {
  addressEnvelope,
  emptiedPart,
  encodeEnvelope,
  isEnvelopeUnder,
  readEnvelope,
  withheldEnvelope,
  writeTtl,
} from '../../src/wire/envelope.ts';
import { isPartEnvelope } from '../../src/wire/envelope-part.ts';

const u48 = fc.integer({ min: 0, max: 2 ** 48 - 1 });
const ids = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((hash) => nodeIdFromHash(hash));
const topics = fc
  .oneof(fc.string({ minLength: 1, maxLength: 80, unit: 'binary' }), fc.constantFrom('a', 'a/b'))
  .filter((topic) => topicProblem(topic) === undefined && !isReservedTopic(topic));

/** Anything a router may send. */
const envelopes: fc.Arbitrary<Envelope> = fc
  .record({
    ttl: fc.nat(255),
    class: fc.constantFrom('signal' as const, 'event' as const),
    retain: fc.boolean(),
    origin: ids,
    boot: u48,
    seq: fc.integer({ min: 1, max: 2 ** 48 - 1 }),
    skipped: u48,
    hlc: fc.record({ wallMs: u48, count: fc.nat(0xffff) }),
    topic: topics,
    payload: fc.uint8Array({ maxLength: 300 }),
    passage: fc.option(fc.record({ to: ids, id: u48, isFlood: fc.boolean() }), { nil: undefined }),
    share: fc.option(fc.constantFrom('$share/g/#', '$share/grüße/a/+', '$share/g//'), {
      nil: undefined,
    }),
  })
  .map((envelope) => ({
    ...envelope,
    class:
      envelope.passage === undefined || envelope.share !== undefined
        ? envelope.class
        : ('event' as const),
    retain: envelope.retain && envelope.share === undefined,
  }))
  .map((envelope) => ({
    ...envelope,
    skipped: envelope.class === 'signal' ? 0 : envelope.skipped % envelope.seq,
  }));

const sample: Envelope = {
  ttl: 16,
  class: 'event',
  retain: true,
  origin: nodeIdFromHash(new Uint8Array(16).fill(5)),
  boot: 3,
  seq: 2 ** 40 + 1,
  skipped: 2 ** 33,
  hlc: { wallMs: 1_700_000_000_000, count: 9 },
  topic: 'küche/temp',
  payload: Uint8Array.of(1, 2, 3),
  passage: undefined,
};

describe('a part of a large message', () => {
  const part = { index: 1, totalBytes: 2 * partBytes - 3, isSignal: true };
  const carrier: Envelope = {
    ...sample,
    retain: false,
    channel: 'own',
    share: '$share/g/#',
    payload: new Uint8Array(partBytes - 3).fill(7),
    part,
  };
  const passage = { to: nodeIdFromHash(new Uint8Array(16).fill(9)), id: 4, isFlood: true };

  test('is read as it was written, addressed or not', () => {
    const raw = encodeEnvelope(carrier);
    expect(isPartEnvelope(raw)).toBe(true);
    expect(readEnvelope(raw)).toEqual({ ...carrier, passage: undefined });
    const addressed = addressEnvelope(raw, passage, 16);
    expect(isPartEnvelope(addressed)).toBe(true);
    expect(readEnvelope(addressed)).toEqual({ ...carrier, ttl: 16, passage });
  });

  test('of no size that a sender would cut is refused', () => {
    const bad = [
      { ...part, index: 0 },
      { ...part, index: 2 },
      { ...part, totalBytes: 2 * partBytes },
      { index: 0, totalBytes: payloadBytesMax, isSignal: false },
      { index: 170, totalBytes: messageBytesMax + 1, isSignal: false },
    ];
    for (const one of bad) {
      const raw = encodeEnvelope({ ...carrier, part: one });
      expect(readEnvelope(raw), JSON.stringify(one)).toBe(undefined);
    }
    expect(readEnvelope(encodeEnvelope({ ...carrier, class: 'signal', skipped: 0 }))).toBe(
      undefined,
    );
    expect(readEnvelope(encodeEnvelope({ ...carrier, share: undefined, retain: true }))).toBe(
      undefined,
    );
  });

  test('is an empty place in its stream for a node of an older version, which passes it on only to whom it is for', () => {
    const raw = encodeEnvelope(carrier);
    const empty = { ...carrier, channel: undefined, share: undefined, part: undefined, topic: '' };
    const none = { ...empty, payload: new Uint8Array(0), passage: undefined };
    expect(readEnvelope(emptiedPart(raw))).toEqual({ ...none, ttl: 0 });
    const addressed = emptiedPart(addressEnvelope(raw, passage, 16));
    expect(readEnvelope(addressed)).toEqual({ ...none, ttl: 16, passage });
    // What earlier versions refuse: the flag they do not know.
    for (const bytes of [emptiedPart(raw), addressed]) expect((bytes[1] ?? 0) & 0xc0).toBe(0);
  });
});

describe('an envelope that its receiver may not read', () => {
  const receiver = nodeIdFromHash(new Uint8Array(16).fill(9));

  test('keeps its place in the stream of its origin, and nothing else', () => {
    fc.assert(
      fc.property(envelopes, (envelope) => {
        const withheld = withheldEnvelope(encodeEnvelope(envelope), receiver);
        const { passage, topic, payload, share: _, ...rest } = envelope;
        const isOnItsWay = passage !== undefined && passage.to !== receiver;
        if (envelope.class === 'signal' || isOnItsWay) {
          expect(withheld).toBeUndefined();
          return;
        }
        const empty = { topic: '', payload: new Uint8Array(0), retain: false };
        expect(readEnvelope(withheld ?? new Uint8Array())).toEqual({ ...rest, passage, ...empty });
        const text = Buffer.from(withheld ?? []).toString('latin1');
        if (topic.length > 12) expect(text).not.toContain(Buffer.from(topic).toString('latin1'));
        if (payload.length > 12) {
          expect(text).not.toContain(Buffer.from(payload).toString('latin1'));
        }
      }),
    );
  });

  test('is told by the first letters of its topic', () => {
    fc.assert(
      fc.property(envelopes, fc.boolean(), (envelope, isOpen) => {
        const topic = isOpen ? `guest/${envelope.topic}` : envelope.topic;
        const raw = encodeEnvelope({ ...envelope, topic });
        expect(isEnvelopeUnder(raw, 'guest/')).toBe(topic.startsWith('guest/'));
      }),
    );
  });
});

describe('the envelope format', () => {
  test('reads back what it wrote, for every envelope', () => {
    fc.assert(
      fc.property(envelopes, (envelope) => {
        expect(readEnvelope(encodeEnvelope(envelope))).toEqual(envelope);
      }),
    );
  });

  test('writes the same bytes again from what it read', () => {
    fc.assert(
      fc.property(envelopes, (envelope) => {
        const bytes = encodeEnvelope(envelope);
        const read = readEnvelope(bytes);
        expect(read && encodeEnvelope(read)).toEqual(bytes);
      }),
    );
  });

  test('costs 46 bytes beside topic and payload', () => {
    expect(encodeEnvelope({ ...sample, topic: 'a', payload: new Uint8Array() })).toHaveLength(47);
  });

  test('refuses every truncation that cuts into head or topic', () => {
    const bytes = encodeEnvelope(sample);
    for (let size = 0; size < 46 + 11; size += 1) {
      expect(readEnvelope(bytes.subarray(0, size)), `${size}`).toBeUndefined();
    }
  });

  test('refuses unknown flags, an addressed signal, seq 0 and a topic no user may publish to', () => {
    const broken = (change: (bytes: Uint8Array) => void): Envelope | undefined => {
      const bytes = encodeEnvelope({ ...sample, topic: 'mycel/x' });
      change(bytes);
      return readEnvelope(bytes);
    };
    expect(broken(() => undefined)?.topic).toBe('mycel/x');
    expect(broken((bytes) => (bytes[1] = 16))).toBeUndefined();
    expect(broken((bytes) => (bytes[1] = 4))).toBeUndefined();
    expect(broken((bytes) => (bytes[1] = 9))).toBeUndefined();
    expect(broken((bytes) => bytes.fill(0, 24, 30))).toBeUndefined();
    expect(broken((bytes) => bytes.fill(0xff, 40, 46))).toBeUndefined();
    expect(broken((bytes) => (bytes[46] = 0x23))).toBeUndefined();
    expect(broken((bytes) => (bytes[46] = 0x00))).toBeUndefined();
    expect(broken((bytes) => (bytes[46] = 0xff))).toBeUndefined();
    const reserved = encodeEnvelope({ ...sample, topic: 'amycel/x' });
    reserved.set(new TextEncoder().encode('$mycel/x'), 46);
    expect(readEnvelope(reserved)).toBeUndefined();
  });

  test('does not copy the payload', () => {
    const bytes = encodeEnvelope(sample);
    const read = readEnvelope(bytes);
    expect(read?.payload.buffer).toBe(bytes.buffer);
  });

  test('gives plain arrays, whose slice is a copy, and leaves earlier ones alone', () => {
    const first = encodeEnvelope(sample);
    const before = first.slice();
    encodeEnvelope({ ...sample, seq: 7, topic: 'other' });
    expect(Buffer.isBuffer(first)).toBe(false);
    expect(first).toEqual(before);
  });

  test('writes into memory it is given when it fits, and elsewhere when not', () => {
    const into = new Uint8Array(200);
    const bytes = encodeEnvelope(sample, into);
    expect(bytes.buffer).toBe(into.buffer);
    expect(readEnvelope(bytes)).toEqual(sample);
    expect(encodeEnvelope(sample, new Uint8Array(20)).byteLength).toBe(bytes.byteLength);
  });

  test('rewrites the ttl in place and nothing else', () => {
    const bytes = encodeEnvelope(sample);
    writeTtl(bytes, 4);
    expect(readEnvelope(bytes)).toEqual({ ...sample, ttl: 4 });
  });

  test('addresses a copy, also one that was addressed before', () => {
    const to = nodeIdFromHash(new Uint8Array(16).fill(9));
    const passage = { to, id: 12, isFlood: false };
    const addressed = addressEnvelope(encodeEnvelope(sample), passage, 8);
    expect(readEnvelope(addressed)).toEqual({ ...sample, ttl: 8, passage });
    const again = addressEnvelope(addressed, { ...passage, id: 13, isFlood: true }, 16);
    expect(readEnvelope(again)?.passage).toEqual({ to, id: 13, isFlood: true });
  });

  test('throws by name for what no node would read', () => {
    const big = { ...sample, payload: new Uint8Array(payloadBytesMax + 1) };
    expect(() => encodeEnvelope(big)).toThrow(/MYCEL_TOO_LARGE/);
    expect(() => encodeEnvelope({ ...sample, topic: 'a/#' })).toThrow(/MYCEL_BAD_TOPIC/);
  });
});
