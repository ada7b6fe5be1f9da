/** Bytes of an effect on its way to its sink: the key and the fencing token that it is done under, and what is to be done. */

import * as z from 'zod/mini';
import { decodeCbor, encodeCbor } from './cbor.ts';
import { plainBytes } from './bytes.ts';

/** Longest key, in UTF-16 units: that of a lock with the prefix of a role. */
export const effectKeyMax = 264;

/** Largest payload, in bytes. */
export const effectPayloadBytesMax: number = 1024 * 1024;

/** An effect. */
export interface EffectMessage {
  readonly key: string;
  readonly token: number;
  readonly payload: Uint8Array;
}

const shape = z.tuple([
  z.string().check(z.minLength(1), z.maxLength(effectKeyMax)),
  z.int().check(z.gte(1)),
  z.instanceof(Uint8Array).check(z.refine((bytes) => bytes.length <= effectPayloadBytesMax)),
]);

const seenShape = z.tuple([
  z.string(),
  z.array(z.tuple([z.string().check(z.minLength(1), z.maxLength(effectKeyMax)), z.int()])),
]);

/** Encodes one. */
export function encodeEffect({ key, token, payload }: EffectMessage): Uint8Array {
  return encodeCbor([key, token, payload]);
}

/** Decodes one; undefined for anything else. Never throws. */
export function decodeEffect(bytes: Uint8Array): EffectMessage | undefined {
  try {
    const limits = { bytesMax: effectPayloadBytesMax + 4096, depthMax: 2 };
    const read = shape.safeParse(decodeCbor(bytes, limits));
    if (!read.success) return undefined;
    const [key, token, payload] = read.data;
    return { key, token, payload: plainBytes(payload) };
  } catch {
    return undefined;
  }
}

/** Encodes the highest tokens that a sink has seen in a mesh. */
export function encodeSeen(mesh: string, seen: Iterable<readonly [string, number]>): Uint8Array {
  return encodeCbor([mesh, [...seen]]);
}

/** Decodes them; undefined for anything else. Never throws. */
export function decodeSeen(
  bytes: Uint8Array,
): { readonly mesh: string; readonly seen: readonly (readonly [string, number])[] } | undefined {
  try {
    const read = seenShape.safeParse(decodeCbor(bytes, { bytesMax: 1024 * 1024, depthMax: 4 }));
    return read.success ? { mesh: read.data[0], seen: read.data[1] } : undefined;
  } catch {
    return undefined;
  }
}
