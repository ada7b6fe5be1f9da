/** JSON as it is kept: one spelling for equal values, so that comparing bytes compares values. */

import { MycelError } from '../kernel/errors.ts';

/** Anything that JSON can say. */
export type JsonValue =
  | null
  | boolean
  | number
  | string
  | readonly JsonValue[]
  | { readonly [key: string]: JsonValue };

/** The bytes of a value. @throws {MycelError} MYCEL_BAD_OPTION when JSON cannot say it */
export function encodeJson(value: JsonValue): Uint8Array {
  const text = JSON.stringify(value, (_, one: unknown) => {
    if (typeof one !== 'object' || one === null || Array.isArray(one)) return one;
    // Keys in one order, whatever the order in which they were set.
    return Object.fromEntries(
      Object.entries(one).sort(([left], [right]) => (left < right ? -1 : 1)),
    );
  }) as string | undefined;
  if (text === undefined) {
    throw new MycelError('MYCEL_BAD_OPTION', { reason: 'The value is nothing that JSON can say.' });
  }
  return new TextEncoder().encode(text);
}

/** The value of bytes that `encodeJson` made. */
export function decodeJson(bytes: Uint8Array): JsonValue {
  return JSON.parse(new TextDecoder().decode(bytes)) as JsonValue;
}
