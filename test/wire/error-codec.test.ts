import { expect, test } from 'vitest';
import { MycelError } from '../../src/kernel/errors.ts';
import { encodeCbor } from '../../src/wire/cbor.ts';
import { decodeFailure, encodeFailure, failureBytesMax } from '../../src/wire/error-codec.ts';

test('a MycelError arrives with its code, details, words and fix', () => {
  const error = new MycelError('MYCEL_BAD_OPTION', { reason: 'No.', limit: 7, fix: 'Say yes.' });
  const read = decodeFailure(encodeFailure(error));
  expect(read).toEqual(error);
  expect(read.message).toBe(error.message);
  expect(read.fix).toBe('Say yes.');
});

test('any other error arrives as a failed handler with its words', () => {
  const read = decodeFailure(encodeFailure(new TypeError('x is not a function')));
  expect(read.code).toBe('MYCEL_HANDLER_FAILED');
  expect(read.message).toContain('x is not a function');
  expect(decodeFailure(encodeFailure('thrown text')).message).toContain('thrown text');
});

test('details that cannot travel stay behind', () => {
  const odd = new MycelError('MYCEL_BAD_OPTION', { reason: 'No.', when: new Date() });
  expect(decodeFailure(encodeFailure(odd)).details).toEqual({ reason: 'No.' });
  const large = new MycelError('MYCEL_BAD_OPTION', { blob: new Uint8Array(failureBytesMax) });
  expect(decodeFailure(encodeFailure(large)).code).toBe('MYCEL_BAD_OPTION');
  const circle: Record<string, unknown> = {};
  circle['self'] = circle;
  expect(decodeFailure(encodeFailure(new MycelError('MYCEL_BAD_OPTION', circle))).code).toBe(
    'MYCEL_BAD_OPTION',
  );
});

test('an unknown code and bytes that are no failure are failures too', () => {
  const newer = decodeFailure(encodeCbor({ code: 'MYCEL_FROM_2031', details: { reason: 'New.' } }));
  expect(newer.code).toBe('MYCEL_HANDLER_FAILED');
  expect(newer.details['unknownCode']).toBe('MYCEL_FROM_2031');
  expect(decodeFailure(encodeCbor({ code: 'constructor', details: {} })).code).toBe(
    'MYCEL_HANDLER_FAILED',
  );
  expect(decodeFailure(Uint8Array.of(255, 1)).code).toBe('MYCEL_BAD_BYTES');
});
