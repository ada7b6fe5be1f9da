import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeRecord, encodeRecord } from '../../../src/adapters/disk/record.ts';
import { createRandom } from '../../../src/kernel/random.ts';

const runs = Number(process.env['FUZZ_RUNS'] ?? 20_000);

describe('the frame of a record', () => {
  test('gives back every payload', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 4000 }), (payload) => {
        expect(decodeRecord(encodeRecord(payload))).toEqual({ type: 'whole', payload });
      }),
    );
  });

  test('is never believed when any bits of it changed, and never throws', () => {
    const random = createRandom(20_26);
    for (let run = 0; run < runs; run += 1) {
      const payload = Uint8Array.from({ length: random.below(60) }, () => random.below(256));
      const bad = encodeRecord(payload);
      // CRC-32 finds every burst of up to 32 bits; four bytes in a row are the hardest certain case.
      const at = random.below(bad.length);
      const before = Buffer.from(bad);
      for (let byte = at; byte < Math.min(at + 1 + random.below(4), bad.length); byte += 1) {
        bad[byte] = random.below(256);
      }
      if (before.equals(bad)) continue;
      expect(decodeRecord(bad).type).not.toBe('whole');
    }
  });

  test('any bytes at all give a verdict', () => {
    const random = createRandom(77);
    const verdicts = new Set<string>();
    for (let run = 0; run < runs; run += 1) {
      const bytes = Uint8Array.from({ length: random.below(40) }, () => random.below(256));
      if (random.below(2) === 0) bytes.set([0x4d, 0x59, 0x43, 0x52].slice(0, bytes.length));
      verdicts.add(decodeRecord(bytes).type);
    }
    expect([...verdicts]).toEqual(['damaged']);
  });
});
