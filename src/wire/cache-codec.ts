/** What nodes say to each other about cached values. */

import * as z from 'zod/mini';
import type { Plain } from '../protocol/replication/cell.ts';
import { decodeCbor, encodeCbor } from './cbor.ts';
import { isPlain } from './state-facts.ts';

/** Longest name of a cache and longest key, in UTF-16 units. */
export const cacheTextMax = 256;

/** A key of a cache; with a value and the time it holds, what is to be kept. */
export interface CacheMessage {
  readonly cache: string;
  readonly key: string;
  readonly kept?: { readonly value: Plain; readonly ttlMs: number } | undefined;
}

const text = z.string().check(z.minLength(1), z.maxLength(cacheTextMax));
const shape = z.union([
  z.tuple([text, text]),
  z.tuple([
    text,
    text,
    z.unknown().check(z.refine((value) => isPlain(value))),
    z.int().check(z.gte(1)),
  ]),
]);

/** Encodes one. */
export function encodeCacheMessage({ cache, key, kept }: CacheMessage): Uint8Array {
  return encodeCbor(kept === undefined ? [cache, key] : [cache, key, kept.value, kept.ttlMs]);
}

/** Decodes one; undefined for anything else. Never throws. */
export function decodeCacheMessage(bytes: Uint8Array): CacheMessage | undefined {
  try {
    const read = shape.safeParse(decodeCbor(bytes, { bytesMax: 32 * 1024 }));
    if (!read.success) return undefined;
    const [cache, key, value, ttlMs] = read.data;
    if (ttlMs === undefined) return { cache, key };
    return { cache, key, kept: { value: value as Plain, ttlMs } };
  } catch {
    return undefined;
  }
}
