import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { messageBytesMax, partBytes, payloadBytesMax } from '../../../src/kernel/large-message.ts';
import type { Envelope, Part } from '../../../src/protocol/routing/messages.ts';
import {
  createJoiner,
  cut,
  joiningBytesMax,
  stalledMs,
  withoutTorn,
} from '../../../src/protocol/routing/parts.ts';
import type { Joiner } from '../../../src/protocol/routing/parts.ts';
import { ann, eventOf, origins } from './arbitraries.ts';

interface Watched {
  readonly joiner: Joiner;
  readonly said: string[];
}

function watch(): Watched {
  const said: string[] = [];
  const joiner = createJoiner({
    torn: () => void said.push('torn'),
    again: (_now, origin, boot, seq) =>
      void said.push(`again ${origins.indexOf(origin)} ${boot} ${seq}`),
  });
  return { joiner, said };
}

const bytesOf = (size: number): Uint8Array =>
  Uint8Array.from({ length: size }, (_, at) => (at * 31 + (at >>> 8)) & 255);

const publicationOf = (payload: Uint8Array) =>
  ({ topic: 't', payload, qos: 1, retain: false, hlc: { wallMs: 0, count: 0 } }) as const;

/** The events that a large message of one origin becomes. */
function eventsOf(size: number, first: number, origin = ann, boot = 1): Envelope[] {
  return cut(publicationOf(new Uint8Array(size))).map(({ payload, part }, at) => ({
    ...eventOf(origin, first + at, boot),
    payload,
    part,
  }));
}

/** A first part that promises so many bytes and need not be made for it. */
function promise(at: number, totalBytes: number, seq = 1): Envelope {
  const part: Part = { index: 0, totalBytes, isSignal: false };
  return { ...eventOf(origins[at] ?? ann, seq), payload: new Uint8Array(10), part };
}

describe('cutting', () => {
  test('a message of any size and putting its parts together gives the message', () => {
    const sizes = fc.oneof(
      fc.integer({ min: payloadBytesMax - 1, max: 3 * partBytes + 1 }),
      fc.constantFrom(2 * partBytes, 3 * partBytes, 3 * partBytes - 1),
    );
    fc.assert(
      fc.property(sizes, fc.boolean(), (size, isSignal) => {
        const { joiner, said } = watch();
        const whole = bytesOf(size);
        const parts = cut({ ...publicationOf(whole), isSignal });
        const taken = parts.map(({ payload, part }, at) =>
          joiner.take(0, { ...eventOf(ann, 5 + at), payload, part }),
        );
        const isLarge = size > payloadBytesMax;
        expect(parts.length).toBe(isLarge ? Math.ceil(size / partBytes) : 1);
        expect(taken.slice(0, -1).every((one) => one === undefined)).toBe(true);
        const last = taken.at(-1);
        expect(last?.class).toBe(isLarge && isSignal ? 'signal' : 'event');
        expect(last?.part).toBe(undefined);
        expect(Buffer.compare(last?.payload ?? whole.subarray(1), whole)).toBe(0);
        expect(joiner.heldBytes()).toBe(0);
        expect(said).toEqual([]);
      }),
      { numRuns: 20 },
    );
  });

  test('the largest message has 171 parts and is put together', () => {
    const { joiner } = watch();
    const parts = eventsOf(messageBytesMax, 1);
    expect(parts.length).toBe(171);
    const taken = parts.map((one) => joiner.take(0, one));
    expect(taken.at(-1)?.payload.byteLength).toBe(messageBytesMax);
  });
});

describe('a joiner', () => {
  test('never gives out what is not whole, whatever is missing', () => {
    const stream = [
      ...eventsOf(3 * partBytes, 1),
      eventOf(ann, 4),
      ...eventsOf(2 * partBytes, 5),
      ...eventsOf(4 * partBytes, 7),
      eventOf(ann, 11),
    ];
    fc.assert(
      fc.property(fc.array(fc.boolean(), { minLength: 11, maxLength: 11 }), (comes) => {
        const { joiner, said } = watch();
        const came = stream.filter((_, at) => comes[at]);
        const sizes = came.flatMap((one) => joiner.take(0, one)?.payload.byteLength ?? []);
        const has = (from: number, to: number): boolean => comes.slice(from, to).every(Boolean);
        const wanted = [
          ...(has(0, 3) ? [3 * partBytes] : []),
          ...(has(3, 4) ? [1] : []),
          ...(has(4, 6) ? [2 * partBytes] : []),
          ...(has(6, 10) ? [4 * partBytes] : []),
          ...(has(10, 11) ? [1] : []),
        ];
        expect(sizes).toEqual(wanted);
        // After a whole message of its own nothing of an earlier one is kept.
        if (comes[10] === true) expect(joiner.heldBytes()).toBe(0);
        expect(said.every((one) => one === 'torn')).toBe(true);
      }),
    );
  });

  test('tells how far a stream has come without what is not whole', () => {
    const { joiner } = watch();
    const parts = eventsOf(4 * partBytes, 7);
    for (const one of parts.slice(0, 3)) joiner.take(0, one);
    const progress = { boot: 1, upTo: 9, ranges: [[12, 13]] as const };
    expect(joiner.whole(ann, progress)).toEqual({
      boot: 1,
      upTo: 6,
      ranges: [
        [7, 9],
        [12, 13],
      ],
    });
    joiner.take(0, parts[3] as Envelope);
    expect(joiner.whole(ann, { ...progress, upTo: 10 }).upTo).toBe(10);
  });

  test('gives up a message of an earlier life, and one whose rest will not come', () => {
    const { joiner, said } = watch();
    joiner.take(0, eventsOf(3 * partBytes, 1)[0] as Envelope);
    joiner.startAt(ann, 1, 1);
    expect(said).toEqual([]);
    joiner.startAt(ann, 1, 9);
    expect(said).toEqual(['torn']);
    joiner.take(0, eventsOf(3 * partBytes, 9)[0] as Envelope);
    joiner.take(0, eventsOf(3 * partBytes, 1, ann, 2)[0] as Envelope);
    expect(said).toEqual(['torn', 'torn']);
    expect(joiner.heldBytes()).toBe(partBytes);
    joiner.forget(ann);
    expect(joiner.heldBytes()).toBe(0);
  });

  test('has room for one message always, and for others up to its bound', () => {
    const { joiner } = watch();
    const half = joiningBytesMax / 2;
    const admit = (one: Envelope): boolean => {
      const isAdmitted = joiner.admits(0, one);
      if (isAdmitted) joiner.take(0, one);
      return isAdmitted;
    };
    expect(admit(promise(0, half))).toBe(true);
    expect(admit(promise(1, half - payloadBytesMax))).toBe(true);
    expect(admit(promise(2, payloadBytesMax + 1))).toBe(false);
    expect(admit(promise(2, payloadBytesMax))).toBe(true);
    // Of the same origin: it takes the place of its own torn one.
    expect(admit(promise(0, half, 9))).toBe(true);
    expect(joiner.admits(0, { ...promise(3, half), part: undefined })).toBe(true);
  });

  test('lets one that stands still give way, and makes it come again from its first part', () => {
    const { joiner, said } = watch();
    joiner.take(0, promise(0, joiningBytesMax / 2, 7));
    joiner.take(5, promise(1, joiningBytesMax / 2, 3));
    const other = promise(2, joiningBytesMax / 2);
    expect(joiner.admits(stalledMs - 1, other)).toBe(false);
    expect(said).toEqual([]);
    expect(joiner.admits(stalledMs, other)).toBe(true);
    expect(said).toEqual(['again 0 1 7']);
    expect(joiner.whole(ann, { boot: 1, upTo: 7, ranges: [] }).upTo).toBe(7);
  });

  test('keeps what stands still no longer than its origin may resend', () => {
    const { joiner, said } = watch();
    expect(joiner.deadline()).toBe(Infinity);
    joiner.take(1_000, promise(0, messageBytesMax, 7));
    joiner.take(2_000, promise(1, messageBytesMax, 3));
    expect(joiner.deadline()).toBe(301_000);
    joiner.tick(301_000);
    expect(said).toEqual(['again 0 1 7']);
    expect(joiner.deadline()).toBe(302_000);
  });
});

test('of what a power cut left, the parts of a last message that is not whole are dropped, and nothing else', () => {
  const events = [
    ...eventsOf(2 * partBytes, 1),
    eventOf(ann, 3),
    ...eventsOf(3 * partBytes - 5, 4),
    ...eventsOf(3 * partBytes, 7),
  ];
  const left = Array.from(
    { length: 10 },
    (_, count) => withoutTorn(events.slice(0, count), ({ part }) => part).length,
  );
  expect(left).toEqual([0, 0, 2, 3, 3, 3, 6, 6, 6, 9]);
});
