import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createOrderBuffer } from '../../../src/protocol/routing/order-buffer.ts';
import type { OrderBuffer, OrderBufferConfig } from '../../../src/protocol/routing/order-buffer.ts';
import { ann, eventOf, origins } from './arbitraries.ts';

interface Watched {
  readonly buffer: OrderBuffer;
  readonly log: string[];
}

function watch(config: OrderBufferConfig = {}): Watched {
  const log: string[] = [];
  const buffer = createOrderBuffer(config, {
    deliver: ({ origin, seq }) => log.push(`${origins.indexOf(origin)}:${seq}`),
    gap: (origin, from, to) => log.push(`${origins.indexOf(origin)}:gap ${from}-${to}`),
  });
  for (const origin of origins) buffer.originHere(origin);
  return { buffer, log };
}

describe('an order buffer', () => {
  test('says where an event stands, and delivers again what it is put back to', () => {
    const { buffer, log } = watch();
    const standing = (seq: number, boot = 1): string => buffer.standing(eventOf(ann, seq, boot));
    expect(standing(1)).toBe('ahead');
    buffer.startAt(0, ann, 1, 1, true);
    expect([standing(1), standing(2), standing(1, 0), standing(1, 2)]).toEqual([
      'next',
      'ahead',
      'past',
      'ahead',
    ]);
    expect(buffer.standing({ ...eventOf(ann, 3), skipped: 2 })).toBe('next');
    for (const seq of [1, 2, 3, 6]) buffer.accept(0, eventOf(ann, seq));
    expect([standing(3), standing(4)]).toEqual(['past', 'next']);
    buffer.rewind(0, ann, 2, 2);
    buffer.rewind(0, ann, 1, 9);
    expect(standing(4)).toBe('next');
    buffer.rewind(0, ann, 1, 2);
    expect(buffer.progress(ann)).toEqual({ boot: 1, upTo: 1, ranges: [[6, 6]] });
    for (const seq of [2, 3, 4, 5]) buffer.accept(0, eventOf(ann, seq));
    expect(log).toEqual([1, 2, 3, 2, 3, 4, 5, 6].map((seq) => `0:${seq}`));
  });

  test('delivers any arrival with repeats in order and once', () => {
    const arrivals = fc.array(
      fc.tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 1, max: 30 })),
      { maxLength: 300 },
    );
    fc.assert(
      fc.property(arrivals, (order) => {
        const { buffer, log } = watch();
        for (const origin of origins) buffer.startAt(0, origin, 1, 1, true);
        const seen = origins.map(() => new Set<number>());
        for (const [at, seq] of order) {
          buffer.accept(0, eventOf(origins[at] ?? ann, seq));
          seen[at]?.add(seq);
        }
        for (const [at, set] of seen.entries()) {
          const wanted: string[] = [];
          for (let seq = 1; set.has(seq); seq += 1) wanted.push(`${at}:${seq}`);
          expect(log.filter((line) => line.startsWith(`${at}:`))).toEqual(wanted);
          const told = buffer.progress(origins[at] ?? ann);
          const held = [...set].filter((seq) => seq > wanted.length);
          const ranges = held.sort((left, right) => left - right);
          const flat = told?.ranges.flatMap(([from, to]) =>
            Array.from({ length: to - from + 1 }, (_, step) => from + step),
          );
          expect(told?.upTo).toBe(wanted.length);
          expect(flat).toEqual(ranges);
        }
      }),
    );
  });

  test('refuses what it cannot hold back, so that it is sent again, and never gives a hole up for it', () => {
    const { buffer, log } = watch({ heldMax: 4 });
    buffer.startAt(0, ann, 1, 1, true);
    for (const seq of [2, 3, 4, 5]) expect(buffer.accept(0, eventOf(ann, seq))).toBe('held');
    expect(buffer.accept(0, eventOf(ann, 6))).toBe('refused');
    expect(log).toEqual([]);
    expect(buffer.accept(1, eventOf(ann, 1))).toBe('delivered');
    expect(log).toEqual(['0:1', '0:2', '0:3', '0:4', '0:5']);
    expect(buffer.accept(2, eventOf(ann, 6))).toBe('delivered');
  });

  test('holds back no more bytes than it may, over all origins together', () => {
    const { buffer } = watch({ heldBytesMax: 1_000 });
    for (const origin of origins) buffer.startAt(0, origin, 1, 1, true);
    const verdicts = origins.map((origin) => buffer.accept(0, eventOf(origin, 2, 1, 300)));
    expect(verdicts).toEqual(['held', 'held', 'held', 'refused']);
    expect(buffer.view().heldBytes).toBe(900);
  });

  test('keeps nothing of the frame that a held message came in', () => {
    const { buffer } = watch();
    const delivered: Uint8Array[] = [];
    const own = createOrderBuffer(
      {},
      { deliver: ({ payload }) => delivered.push(payload), gap: () => undefined },
    );
    const frame = new Uint8Array(4_096).fill(7);
    own.startAt(0, ann, 1, 1, true);
    own.accept(0, { ...eventOf(ann, 2), payload: frame.subarray(10, 12) });
    frame.fill(0);
    own.accept(0, eventOf(ann, 1));
    expect(delivered[1]).toEqual(Uint8Array.of(7, 7));
    expect(delivered[1]?.buffer.byteLength).toBe(2);
    expect(buffer.view().held).toBe(0);
  });

  test('waits for a live origin, and 2 s at most for one that is gone', () => {
    const { buffer, log } = watch();
    buffer.startAt(0, ann, 1, 1, true);
    buffer.accept(0, eventOf(ann, 3));
    expect(buffer.deadline()).toBe(300_000);
    buffer.originGone(ann);
    expect(buffer.deadline()).toBe(2_000);
    buffer.tick(1_999);
    expect(log).toEqual([]);
    buffer.tick(2_000);
    expect(log).toEqual(['0:gap 1-2', '0:3']);
    expect(buffer.deadline()).toBe(Infinity);
  });

  test('releases every hole of an origin that is gone at once', () => {
    const { buffer, log } = watch();
    buffer.startAt(0, ann, 1, 1, true);
    for (const seq of [3, 5, 6]) buffer.accept(0, eventOf(ann, seq));
    buffer.originGone(ann);
    buffer.tick(2_000);
    expect(log).toEqual(['0:gap 1-2', '0:3', '0:gap 4-4', '0:5', '0:6']);
  });

  test('tells a loss once at the start of a stream of which it knows nothing, without a number', () => {
    const { buffer, log } = watch();
    buffer.startAt(10, ann, 1, 6, true);
    buffer.startAt(11, ann, 1, 6, true);
    buffer.accept(12, eventOf(ann, 6));
    expect(log).toEqual(['0:gap 6-5', '0:6']);
  });

  test('delivers nothing of a stream before it knows where it starts', () => {
    const { buffer, log } = watch();
    expect(buffer.accept(0, eventOf(ann, 8))).toBe('held');
    expect(buffer.accept(0, eventOf(ann, 7))).toBe('held');
    expect(buffer.progress(ann)).toBeUndefined();
    buffer.startAt(10, ann, 1, 6, false);
    expect(log).toEqual([]);
    buffer.accept(11, eventOf(ann, 6));
    expect(log).toEqual(['0:6', '0:7', '0:8']);
  });

  test('tells as a gap what the origin gave up, between and after what it holds', () => {
    const { buffer, log } = watch();
    buffer.startAt(0, ann, 1, 1, true);
    buffer.accept(0, eventOf(ann, 1));
    buffer.accept(0, eventOf(ann, 4));
    buffer.accept(0, eventOf(ann, 9));
    buffer.startAt(5, ann, 1, 8, true);
    expect(log).toEqual(['0:1', '0:gap 2-3', '0:4', '0:gap 5-7']);
    expect(buffer.accept(6, eventOf(ann, 5))).toBe('duplicate');
    buffer.accept(7, eventOf(ann, 8));
    expect(log.slice(4)).toEqual(['0:8', '0:9']);
  });

  test('starts anew with each boot of an origin and refuses what an earlier one left', () => {
    const { buffer, log } = watch();
    buffer.startAt(0, ann, 1, 1, true);
    buffer.accept(0, eventOf(ann, 1));
    buffer.accept(0, eventOf(ann, 3));
    buffer.startAt(1, ann, 2, 1, true);
    buffer.accept(2, eventOf(ann, 1, 2));
    expect(buffer.accept(3, eventOf(ann, 2, 1))).toBe('stale');
    expect(log).toEqual(['0:1', '0:gap 2-2', '0:3', '0:1']);
  });

  test('lets go of what it holds for the origin that has to make room', () => {
    const { buffer, log } = watch({ originsMax: 2 });
    buffer.startAt(0, origins[0] ?? ann, 1, 1, true);
    buffer.accept(0, eventOf(origins[0] ?? ann, 2));
    buffer.startAt(1, origins[1] ?? ann, 1, 1, true);
    buffer.startAt(2, origins[2] ?? ann, 1, 1, true);
    expect(log).toEqual(['0:gap 1-1', '0:2']);
    expect(buffer.view()).toEqual({ streams: 2, held: 0, heldBytes: 0 });
  });

  test('takes what is not owed to it as there, in whatever order it is told so', () => {
    const owed = fc.uniqueArray(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(owed, fc.array(fc.nat(1_000), { maxLength: 60 }), (some, picks) => {
        const seqs = some.sort((left, right) => left - right);
        const { buffer, log } = watch();
        buffer.startAt(0, ann, 1, 1, false);
        const copies = seqs.map((seq, at) => ({ seq, skipped: seq - 1 - (seqs[at - 1] ?? 0) }));
        // First copies in any order, some without the word about what may be skipped, then each with it.
        for (const pick of picks) {
          const { seq, skipped } = copies[pick % copies.length] ?? { seq: 1, skipped: 0 };
          buffer.accept(0, { ...eventOf(ann, seq), skipped: pick % 2 === 0 ? skipped : 0 });
        }
        for (const { seq, skipped } of copies) buffer.accept(0, { ...eventOf(ann, seq), skipped });
        expect(log).toEqual(seqs.map((seq) => `0:${seq}`));
        expect(buffer.view().held).toBe(0);
      }),
    );
  });

  test('delivers what came though it was not owed, when the next one says to skip it and the hole before it', () => {
    const { buffer, log } = watch();
    buffer.startAt(0, ann, 1, 1, false);
    buffer.accept(0, eventOf(ann, 3));
    buffer.accept(0, eventOf(ann, 9));
    buffer.accept(0, { ...eventOf(ann, 9), skipped: 8 });
    expect(log).toEqual(['0:3', '0:9']);
  });
});
