import { addExtension, encode as plainEncode, isNativeAccelerationEnabled } from 'cbor-x/decode';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MycelError } from '../../src/kernel/errors.ts';
import { cborDepthMax, decodeCbor, encodeCbor } from '../../src/wire/cbor.ts';

const hex = (text: string): Uint8Array =>
  new Uint8Array(Buffer.from(text.replaceAll(' ', ''), 'hex'));

function refusal(bytes: Uint8Array): string {
  try {
    decodeCbor(bytes);
  } catch (error) {
    expect(MycelError.is(error) && error.code).toBe('MYCEL_BAD_BYTES');
    return (error as MycelError).message;
  }
  throw new Error('it was accepted');
}

const json = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom(null, true, false),
    fc.integer(),
    // Minus zero arrives as zero: nothing here counts on its sign.
    fc.double({ noNaN: true }).map((number) => number + 0),
    fc.string({ unit: 'grapheme' }),
    fc.uint8Array(),
    fc.array(tie('value'), { maxLength: 5 }),
    fc.dictionary(
      fc.string().filter((key) => !key.endsWith('__proto__')),
      tie('value'),
      { maxKeys: 5, noNullPrototype: true },
    ),
  ),
})).value;

test('what was encoded is decoded as it was', () => {
  fc.assert(
    fc.property(json, (value) => {
      expect(decodeCbor(encodeCbor(value))).toEqual(value);
    }),
  );
});

test('integers of 64 bits survive', () => {
  const value = { big: 2n ** 64n - 1n, low: -(2n ** 63n), safe: 2 ** 53 - 1 };
  expect(decodeCbor(encodeCbor(value))).toEqual(value);
});

test('byte strings are plain Uint8Arrays also when the input is a Buffer', () => {
  const decoded = decodeCbor(Buffer.from(encodeCbor({ key: new Uint8Array([1, 2]) })));
  expect((decoded as { key: Uint8Array }).key.constructor).toBe(Uint8Array);
});

test('network bytes never reach native code', () => {
  expect(isNativeAccelerationEnabled).toBe(false);
});

test('a bignum bomb is refused at once', () => {
  const bomb = new Uint8Array(200_000).fill(0xff);
  bomb.set(hex('c2 5a 00030d3b'));
  const startedAt = performance.now();
  expect(refusal(bomb)).toContain('tag');
  expect(performance.now() - startedAt).toBeLessThan(50);
});

test.each([
  ['bignum', 'c2 41 01'],
  ['negative bignum', 'c3 41 01'],
  ['date', 'c1 00'],
  ['generic object: RegExp', 'd81b 83 66 526567457870 61 61 60'],
  ['shareable', 'd81c 81 d81d 00'],
  ['set', 'd90102 81 01'],
  ['map', 'd90103 a1 61 61 01'],
  ['packed values', 'd833 82 80 80'],
  ['record definition', 'd9dffe 82 19 e000 81 61 61 01'],
  ['inline record', 'd9dfff 83 81 61 61 19 e000 01'],
  ['bundled strings', 'd9dff9 82 00 00'],
  ['self-described', 'd9d9f7 00'],
  ['typed array', 'd840 41 01'],
])('a tag is refused: %s', (_name, text) => {
  expect(refusal(hex(text))).toContain('tag');
});

test.each([
  ['empty input', ''],
  ['lone break', 'ff'],
  ['break inside an array', '81 ff'],
  ['indefinite array', '9f 01 ff'],
  ['indefinite map', 'bf 61 61 01 ff'],
  ['indefinite text', '7f 61 61 ff'],
  ['reserved length', '1c'],
  ['unassigned simple value', 'f0'],
  ['simple value in a byte', 'f8 ff'],
  ['trailing byte', '01 00'],
  ['truncated integer', '1b 00'],
  ['truncated text', '63 61 61'],
  ['truncated float', 'fb 00'],
  ['array length that lies', '9a ffffffff 00'],
  ['array length of 64 bits', '9b ffffffffffffffff'],
  ['byte length of 64 bits', '5b ffffffffffffffff 00'],
  ['map length that lies', 'ba ffffffff 61 61 00'],
  ['number as a key', 'a1 01 01'],
  ['array as a key', 'a1 81 01 01'],
  ['duplicate key', 'a2 61 61 01 61 61 02'],
  ['ill-formed UTF-8', '62 c3 28'],
  ['lone surrogate', '63 eda080'],
  ['__proto__ key', 'a1 69 5f5f70726f746f5f5f a1 61 61 01'],
  ['__proto__ key with a longer length field', 'a1 79 0009 5f5f70726f746f5f5f 01'],
])('malformed input is refused with one kind of error: %s', (_name, text) => {
  refusal(hex(text));
});

test('nesting beyond the limit is refused without touching the stack', () => {
  const deep = new Uint8Array(250_000).fill(0x81);
  deep[deep.length - 1] = 0;
  expect(refusal(deep)).toContain('deep');
  const allowed = new Uint8Array(cborDepthMax + 1).fill(0x81);
  allowed[cborDepthMax] = 0;
  expect(JSON.stringify(decodeCbor(allowed))).toBe(
    '['.repeat(cborDepthMax) + '0' + ']'.repeat(cborDepthMax),
  );
});

test('size and depth limits are the caller’s to tighten', () => {
  expect(() => decodeCbor(encodeCbor([[1]]), { depthMax: 1 })).toThrow(/deep/);
  expect(() => decodeCbor(encodeCbor('12345'), { bytesMax: 5 })).toThrow(/longer/);
});

test('an object of more than 65 535 keys is encoded right', () => {
  const wide = Object.fromEntries(Array.from({ length: 70_000 }, (_, at) => [`k${at}`, 0]));
  const decoded = decodeCbor(encodeCbor(wide), { bytesMax: 1_000_000 }) as object;
  expect(Object.keys(decoded)).toHaveLength(70_000);
});

test('an extension registered elsewhere in the process opens no door', () => {
  addExtension({
    Class: class Door {},
    tag: 43_210,
    encode: () => new Uint8Array(),
    decode: () => ({ open: true }),
  });
  expect(refusal(hex('d9 a8ca 01'))).toContain('tag');
  expect(decodeCbor(new Uint8Array(plainEncode({ fine: 1 })))).toEqual({ fine: 1 });
});
