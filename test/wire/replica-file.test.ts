import fc from 'fast-check';
import { expect, test } from 'vitest';
import { crc32c } from '../../src/wire/crc32c.ts';
import {
  encodeRecords,
  encodeSlot,
  readSlots,
  scanLog,
  slotBytes,
} from '../../src/wire/replica-file.ts';

const text = (words: string): Uint8Array => new TextEncoder().encode(words);

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

function fileOf(payloads: readonly (readonly Uint8Array[])[]): {
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
    parts.push(encodeRecords(records, end));
    end += parts.at(-1)?.length ?? 0;
  }
  return { bytes: Uint8Array.from(Buffer.concat(parts)), starts };
}

test('what is written is read', () => {
  fc.assert(
    fc.property(batches, (payloads) => {
      const scan = scanLog(fileOf(payloads).bytes);
      expect(scan.verdict).toBe('whole');
      expect(scan.records.map(({ payload }) => payload)).toEqual(payloads.flat());
      expect(scan.records.map(({ index }) => index)).toEqual(
        payloads.flat().map((_, at) => at + 1),
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
      (payloads, holes, junk) => {
        const { bytes, starts } = fileOf(payloads);
        const last = starts.at(-1) as number;
        const before = payloads.slice(0, -1).flat().length;
        for (const hole of holes) if (last + hole < bytes.length) bytes[last + hole] = junk;
        const scan = scanLog(bytes);
        expect(scan.verdict).not.toBe('rotten');
        expect(scan.records.length).toBeGreaterThanOrEqual(before);
        expect(scan.end).toBeGreaterThanOrEqual(last);
      },
    ),
  );
});

test('damage to any earlier batch is rot', () => {
  fc.assert(
    fc.property(batches, fc.nat(), fc.integer({ min: 1, max: 255 }), (payloads, place, change) => {
      fc.pre(payloads.length > 1);
      const { bytes, starts } = fileOf(payloads);
      const at = place % (starts.at(-1) as number);
      bytes[at] = (bytes[at] as number) ^ change;
      expect(scanLog(bytes).verdict).toBe('rotten');
    }),
  );
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
