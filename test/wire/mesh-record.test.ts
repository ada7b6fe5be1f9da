import { describe, expect, test } from 'vitest';

import { encodeCbor } from '../../src/wire/cbor.ts';
import { decodeMeshRecord, encodeMeshRecord } from '../../src/wire/mesh-record.ts';

const record = {
  name: 'home',
  isProvisional: true,
  genesis: Uint8Array.of(1, 2),
  entries: [Uint8Array.of(3), Uint8Array.of(4, 5)],
  certificate: Uint8Array.of(6),
  keys: [{ epoch: 7, key: new Uint8Array(32).fill(8) }],
};

describe('the mesh record', () => {
  test('comes back as it went', () => {
    expect(decodeMeshRecord(encodeMeshRecord(record))).toEqual(record);
  });

  test('is refused for another version, a short key or any missing part', () => {
    const parts = [1, 'home', true, record.genesis, record.entries, record.certificate, []];
    expect(decodeMeshRecord(encodeCbor(parts))).toBeDefined();
    expect(decodeMeshRecord(encodeCbor([2, ...parts.slice(1)]))).toBeUndefined();
    expect(decodeMeshRecord(encodeCbor([...parts.slice(0, 6), [[1, new Uint8Array(31)]]]))).toBe(
      undefined,
    );
    for (let length = 0; length < parts.length; length += 1) {
      expect(decodeMeshRecord(encodeCbor(parts.slice(0, length)))).toBeUndefined();
    }
  });

  test('cut anywhere it is refused', () => {
    const bytes = encodeMeshRecord(record);
    for (let end = 0; end < bytes.length; end += 1) {
      expect(decodeMeshRecord(bytes.subarray(0, end))).toBeUndefined();
    }
  });
});
