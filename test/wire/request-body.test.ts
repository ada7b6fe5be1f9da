import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeCbor, encodeCbor } from '../../src/wire/cbor.ts';
import { decodeRequest, encodeRequest } from '../../src/wire/request-body.ts';
import type { RequestBody } from '../../src/wire/request-body.ts';

const hex = fc.string({ unit: fc.constantFrom(...'0123456789abcdef'.split('')), maxLength: 70 });
const texts = fc.oneof(hex, fc.string({ unit: 'grapheme', maxLength: 260 }));

const requests: fc.Arbitrary<RequestBody> = fc
  .record({
    i: fc.jsonValue({ maxDepth: 4 }),
    t: texts,
    c: fc.option(texts, { nil: undefined }),
    u: fc.oneof(
      fc.constant({}),
      fc.dictionary(fc.string({ minLength: 1, maxLength: 8 }), fc.string({ maxLength: 8 }), {
        noNullPrototype: true,
      }),
    ),
    d: fc.oneof(fc.nat(40), fc.integer({ min: -2, max: 300 })),
  })
  .map(({ c, ...rest }) => ({ ...rest, c: c ?? rest.t }));

/** What a reader that knows nothing of the usual order makes of it. */
function plainly(bytes: Uint8Array): RequestBody | undefined | 'refused' {
  let value: unknown;
  try {
    value = decodeCbor(bytes);
  } catch {
    return 'refused';
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const { i, t, c, u, d } = value as Record<string, unknown>;
  const isText = (text: unknown, max: number): boolean =>
    typeof text === 'string' && text.length <= max;
  if (!isText(t, 64) || !isText(c, 256)) return undefined;
  if (!Number.isSafeInteger(d) || (d as number) < 0) return undefined;
  if (typeof u !== 'object' || u === null || Array.isArray(u)) return undefined;
  if (Object.values(u).some((one) => typeof one !== 'string')) return undefined;
  return { i, t, c, u, d } as RequestBody;
}

function read(bytes: Uint8Array): RequestBody | undefined | 'refused' {
  try {
    return decodeRequest(bytes);
  } catch {
    return 'refused';
  }
}

test('a request arrives as it was, and a reader of any CBOR reads the same', () => {
  fc.assert(
    fc.property(requests, (request) => {
      const bytes = encodeRequest(request);
      expect(read(bytes)).toEqual(plainly(bytes));
      expect(plainly(bytes)).toEqual(plainly(encodeCbor({ ...request })));
    }),
    { numRuns: 2_000 },
  );
});

test('fields in any order are read', () => {
  fc.assert(
    fc.property(
      requests,
      fc.shuffledSubarray(['i', 't', 'c', 'u', 'd'], { minLength: 4 }),
      (request, order) => {
        const shuffled = Object.fromEntries(
          order.map((key) => [key, request[key as keyof RequestBody]]),
        );
        const bytes = encodeCbor(shuffled);
        expect(read(bytes)).toEqual(plainly(bytes));
      },
    ),
  );
});

test('what is damaged is judged as a reader of any CBOR judges it', () => {
  const usual = requests.map((request) => ({ ...request, u: {}, d: Math.abs(request.d) % 24 }));
  fc.assert(
    fc.property(
      usual,
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 3 }),
      fc.nat(3),
      (request, changes, cut) => {
        const whole = encodeRequest(request).slice();
        for (const [at, byte] of changes) whole[at % whole.length] = byte;
        const bytes = whole.subarray(0, whole.length - cut);
        expect(read(bytes)).toEqual(plainly(bytes));
      },
    ),
    { numRuns: 5_000 },
  );
});
