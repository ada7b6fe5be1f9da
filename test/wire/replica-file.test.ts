import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { crc32c } from '../../src/wire/crc32c.ts';
import {
  encodeBatch,
  encodeRecords,
  encodeSlot,
  isCutShort,
  readSlots,
  scanLog,
  slotBytes,
  snapshotSum,
} from '../../src/wire/replica-file.ts';

const text = (words: string): Uint8Array => new TextEncoder().encode(words);

const byte = fc.integer({ min: 1, max: 255 });

/** The file once what is to be written is written. */
function mended(bytes: Uint8Array, { end, repairs }: ReturnType<typeof scanLog>): Uint8Array {
  const whole = new Uint8Array(end);
  whole.set(bytes.subarray(0, end));
  for (const repair of repairs) whole.set(repair.bytes, repair.at);
  return whole;
}

test('the checksum is that of RFC 3720', () => {
  expect(crc32c(text('123456789'))).toBe(0xe3069283);
  expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
  expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43);
});

/** Batches of records whose indices join on. */
const batches = fc.array(
  fc.array(fc.uint8Array({ maxLength: 40 }), { minLength: 1, maxLength: 4 }),
  {
    minLength: 1,
    maxLength: 6,
  },
);

type Encode = (records: Parameters<typeof encodeBatch>[0], batchStart: number) => Uint8Array;

/** How logs are written, and how they were by versions that kept everything once. */
const encodings = [
  ['twice', encodeBatch],
  ['once', encodeRecords],
] as const;

function fileOf(
  payloads: readonly (readonly Uint8Array[])[],
  encode: Encode,
): {
  bytes: Uint8Array;
  starts: number[];
} {
  const parts: Uint8Array[] = [];
  const starts: number[] = [];
  let end = 0;
  let index = 1;
  for (const batch of payloads) {
    const records = batch.map((payload) => ({ index: index++, term: 7, type: 1, payload }));
    starts.push(end);
    parts.push(encode(records, end));
    end += parts.at(-1)?.length ?? 0;
  }
  return { bytes: Uint8Array.from(Buffer.concat(parts)), starts };
}

describe.each(encodings)('a log kept %s', (_, encode) => {
  test('what is written is read', () => {
    fc.assert(
      fc.property(batches, (payloads) => {
        const { bytes } = fileOf(payloads, encode);
        const scan = scanLog(bytes);
        expect(scan).toMatchObject({ verdict: 'whole', repairs: [], end: bytes.length });
        expect(scan.records.map(({ payload }) => payload)).toEqual(payloads.flat());
        expect(scan.records.map(({ index }) => index)).toEqual(
          payloads.flat().map((_payload, at) => at + 1),
        );
      }),
    );
  });

  test('whatever part of the last batch is lost, the end is torn and nothing before it is touched', () => {
    fc.assert(
      fc.property(
        batches,
        fc.array(fc.nat(400)),
        fc.constantFrom(0, 0xff, 0x5a),
        fc.nat(400),
        (payloads, holes, junk, cut) => {
          const { bytes: whole, starts } = fileOf(payloads, encode);
          const last = starts.at(-1) as number;
          const bytes = whole.slice(0, Math.max(last, whole.length - cut));
          const before = payloads.slice(0, -1).flat().length;
          for (const hole of holes) if (last + hole < bytes.length) bytes[last + hole] = junk;
          const scan = scanLog(bytes);
          expect(scan.verdict).not.toBe('rotten');
          expect(scan.records.length).toBeGreaterThanOrEqual(before);
          expect(scan.records.map(({ payload }) => payload)).toEqual(
            payloads.flat().slice(0, scan.records.length),
          );
          expect(scan.end).toBeGreaterThanOrEqual(last);
          // Mended, it reads the same, and nothing is missing of it.
          const again = scanLog(mended(bytes, scan));
          expect(again).toEqual({ ...scan, verdict: 'whole', repairs: [] });
        },
      ),
    );
  });
});

test('in a log kept once, damage to any earlier batch is rot', () => {
  fc.assert(
    fc.property(batches, fc.nat(), fc.integer({ min: 1, max: 255 }), (payloads, place, change) => {
      fc.pre(payloads.length > 1);
      const { bytes, starts } = fileOf(payloads, encodeRecords);
      const at = place % (starts.at(-1) as number);
      bytes[at] = (bytes[at] as number) ^ change;
      expect(scanLog(bytes).verdict).toBe('rotten');
    }),
  );
});

test('in a log kept twice, no damage to one copy of each batch loses anything, the last one included', () => {
  fc.assert(
    fc.property(
      batches,
      fc.array(fc.record({ copy: fc.nat(1), from: fc.nat(), length: fc.nat(), change: byte }), {
        minLength: 6,
        maxLength: 6,
      }),
      (payloads, wounds) => {
        const { bytes: whole, starts } = fileOf(payloads, encodeBatch);
        const bytes = whole.slice();
        starts.forEach((start, at) => {
          const size = ((starts[at + 1] ?? whole.length) - start) / 2;
          const { copy, from, length, change } = wounds[at] as (typeof wounds)[0];
          const begin = start + copy * size + (from % size);
          const end = Math.min(begin + (length % size), start + (copy + 1) * size);
          for (let place = begin; place < end; place += 1) {
            bytes[place] = (bytes[place] as number) ^ change;
          }
        });
        const scan = scanLog(bytes);
        expect(scan.records.map(({ payload }) => payload)).toEqual(payloads.flat());
        expect(mended(bytes, scan)).toEqual(whole);
      },
    ),
  );
});

test('in a log kept twice, damage to both copies of an earlier batch is rot', () => {
  fc.assert(
    fc.property(batches, fc.nat(), fc.nat(), byte, (payloads, which, place, change) => {
      fc.pre(payloads.length > 1);
      const { bytes, starts } = fileOf(payloads, encodeBatch);
      const batch = which % (starts.length - 1);
      const start = starts[batch] as number;
      const size = ((starts[batch + 1] as number) - start) / 2;
      for (const at of [start + (place % size), start + size + (place % size)]) {
        bytes[at] = (bytes[at] as number) ^ change;
      }
      expect(scanLog(bytes).verdict).toBe('rotten');
    }),
  );
});

test('a last write that landed in an earlier place is rot, though copies could mend that place', () => {
  const payloads = Array.from({ length: 4 }, () => [new Uint8Array(40).fill(7)]);
  const { bytes, starts } = fileOf(payloads, encodeBatch);
  const last = starts.at(-1) as number;
  const [, second = 0] = starts;
  const astray = bytes.slice(last);
  bytes.fill(0, last);
  bytes.set(astray.subarray(0, astray.length / 2), second);
  expect(scanLog(bytes).verdict).toBe('rotten');
});

test('what a later write of the same batch replaces is left out', () => {
  const record = (index: number, term: number) => {
    return { index, term, type: 1, payload: new Uint8Array(3) };
  };
  const batch = [record(3, 1), record(4, 1), record(4, 2), record(5, 2), record(3, 3)];
  expect(scanLog(encodeBatch(batch, 0)).records).toEqual([record(3, 3)]);
  const { length } = encodeBatch([record(3, 3)], 0);
  expect(encodeBatch(batch, 0)).toHaveLength(length);
});

test('a version that kept everything once goes on with what a later one has written', () => {
  const first = { index: 1, term: 1, type: 1, payload: text('once') };
  const second = { index: 2, term: 1, type: 1, payload: text('twice') };
  const once = encodeRecords([first], 0);
  const bytes = Uint8Array.from(Buffer.concat([once, encodeBatch([second], once.length)]));
  expect(scanLog(bytes)).toMatchObject({ verdict: 'whole', records: [first, second] });
});

test('any bytes give a verdict', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      expect(['whole', 'torn', 'rotten']).toContain(scanLog(bytes).verdict);
      readSlots(bytes);
    }),
  );
  expect(scanLog(new Uint8Array(500)).verdict).toBe('torn');
});

test('the newer slot counts, a half written sector is impossible, a damaged one is rot', () => {
  const slots = new Uint8Array(2 * slotBytes);
  expect(readSlots(slots)).toBe('empty');
  slots.set(encodeSlot({ seq: 2, term: 4, vote: 1 }), 0);
  expect(readSlots(slots)).toEqual({ seq: 2, term: 4, vote: 1 });
  slots.set(encodeSlot({ seq: 3, term: 2 ** 40, vote: 2 ** 33 }), slotBytes);
  expect(readSlots(slots)).toEqual({ seq: 3, term: 2 ** 40, vote: 2 ** 33 });
  slots[20] = (slots[20] as number) ^ 1;
  expect(readSlots(slots)).toBe('rotten');
});

test('a slot says how far the log was durable, to versions that read it; a damaged mark is rot', () => {
  const slot = { seq: 2, term: 4, vote: 1, mark: { end: 700_000, snapshot: 0xffff_ffff } };
  const slots = new Uint8Array(2 * slotBytes);
  slots.set(encodeSlot(slot), 0);
  expect(readSlots(slots)).toEqual(slot);
  const plain = encodeSlot({ ...slot, mark: undefined });
  // Earlier versions read 32 bytes.
  expect(slots.subarray(0, 32)).toEqual(plain.subarray(0, 32));
  for (let at = 32; at < 44; at += 1) {
    const damaged = slots.slice();
    damaged[at] = (damaged[at] as number) ^ 1;
    expect(readSlots(damaged)).toBe('rotten');
  }
});

test('a log is cut short when it ends before its mark; a mark of another log says nothing', () => {
  const slot = { seq: 2, term: 4, vote: 1, mark: { end: 500, snapshot: 7 } };
  expect([499, 500, 501].map((end) => isCutShort(end, slot, 7))).toEqual([true, false, false]);
  expect(isCutShort(0, slot, 8)).toBe(false);
  expect(isCutShort(0, { ...slot, mark: undefined }, 0)).toBe(false);
  const files = [undefined, Uint8Array.of(1), Uint8Array.of(2)].map((file) => snapshotSum(file));
  expect(new Set(files).size).toBe(3);
});
