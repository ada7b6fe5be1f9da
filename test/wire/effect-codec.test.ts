import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  decodeEffect,
  decodeSeen,
  effectKeyMax,
  encodeEffect,
  encodeSeen,
} from '../../src/wire/effect-codec.ts';

const key = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 });
const token = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });

test('effects and what a sink has seen come back as they were', () => {
  fc.assert(
    fc.property(key, token, fc.uint8Array({ maxLength: 100 }), (name, number, payload) => {
      const message = { key: name, token: number, payload };
      expect(decodeEffect(encodeEffect(message))).toEqual(message);
      const seen = [[name, number]] as const;
      expect(decodeSeen(encodeSeen('mesh', seen))).toEqual({ mesh: 'mesh', seen });
    }),
  );
});

test('anything else is nothing', () => {
  const payload = new Uint8Array(1);
  expect(decodeEffect(encodeEffect({ key: '', token: 1, payload }))).toBeUndefined();
  expect(decodeEffect(encodeEffect({ key: 'a', token: 0, payload }))).toBeUndefined();
  expect(decodeEffect(encodeEffect({ key: 'a', token: 1.5, payload }))).toBeUndefined();
  const long = 'k'.repeat(effectKeyMax + 1);
  expect(decodeEffect(encodeEffect({ key: long, token: 1, payload }))).toBeUndefined();
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      decodeEffect(bytes);
      decodeSeen(bytes);
    }),
  );
});
