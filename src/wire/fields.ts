/** Checks for the fields that several wire records share. */

import * as z from 'zod/mini';
import { keyBytes } from './keys.ts';

/** Longest name of a node or a mesh, in UTF-16 units. */
export const nameLengthMax = 64;

/** Largest counter a record may carry: far beyond use, and exact in a double. */
export const counterMax: number = 2 ** 40;

/** Bytes of exactly this length, copied out of the frame they came in. */
export function bytesOf(length: number): z.ZodMiniType<Uint8Array> {
  return z.pipe(
    z.instanceof(Uint8Array).check(z.refine((bytes) => bytes.byteLength === length)),
    z.transform((bytes) => bytes.slice()),
  );
}

/** A raw 32-byte key. */
export const keyField: z.ZodMiniType<Uint8Array> = bytesOf(keyBytes);

/** A whole number from 0 to `counterMax`. */
export const counterField: z.ZodMiniType<number> = z.int().check(z.gte(0), z.lte(counterMax));

/** A name that can be shown: not empty, no control characters. */
export const nameField: z.ZodMiniType<string> = z.string().check(
  z.minLength(1),
  z.maxLength(nameLengthMax),
  z.refine((name) => !/\p{Cc}|\p{Cs}/u.test(name)),
);
