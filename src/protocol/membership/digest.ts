/** Digests of a membership list: equal lists have equal digests, so idle anti-entropy costs 8 bytes, not a list. */

import type { NodeId } from '../../kernel/ids.ts';
import { bucketCount } from './messages.ts';
import type { ListingEntry } from './messages.ts';

/** Bytes of one digest. */
export const digestBytes = 8;

const stateRank = { alive: 1, suspect: 2, dormant: 3 } as const;

/** A uniform 32-bit number from an id: its place in push-pull listings. */
export function idHash(node: NodeId): number {
  return hash32(node, 0x9747b28c);
}

/** Which bucket an id belongs to. */
export function bucketOf(node: NodeId): number {
  return idHash(node) >>> 27;
}

/**
 * One digest per bucket, 8 bytes each. Each is the exclusive or of a 64-bit hash per entry: order does not matter.
 * It finds differences between honest members; it is no authentication.
 */
export function bucketDigests(entries: Iterable<ListingEntry>): Uint8Array {
  const bytes = new Uint8Array(bucketCount * digestBytes);
  for (const { node, incarnation, state } of entries) {
    const text = `${node}/${incarnation.boot}/${incarnation.n}/${stateRank[state]}`;
    const at = bucketOf(node) * digestBytes;
    xorInto(bytes, at, hash32(text, 0x85ebca6b));
    xorInto(bytes, at + 4, hash32(text, 0xc2b2ae35));
  }
  return bytes;
}

/** The digest of the whole list, from the digests of its buckets. */
export function wholeDigest(buckets: Uint8Array): Uint8Array {
  const whole = new Uint8Array(digestBytes);
  for (let at = 0; at < buckets.length; at += 1) {
    const slot = at % digestBytes;
    whole[slot] = (whole[slot] ?? 0) ^ (buckets[at] ?? 0);
  }
  return whole;
}

/** Whether two byte strings are equal. */
export function isSameBytes(left: Uint8Array, right: Uint8Array): boolean {
  if (left.length !== right.length) return false;
  for (let at = 0; at < left.length; at += 1) if (left[at] !== right[at]) return false;
  return true;
}

/** The buckets in which two lists of digests differ. */
export function differingBuckets(left: Uint8Array, right: Uint8Array): number[] {
  const differing: number[] = [];
  for (let bucket = 0; bucket < bucketCount; bucket += 1) {
    const from = bucket * digestBytes;
    const to = from + digestBytes;
    if (!isSameBytes(left.subarray(from, to), right.subarray(from, to))) differing.push(bucket);
  }
  return differing;
}

function xorInto(bytes: Uint8Array, at: number, word: number): void {
  for (let byte = 0; byte < 4; byte += 1) {
    bytes[at + byte] = (bytes[at + byte] ?? 0) ^ ((word >>> (8 * byte)) & 0xff);
  }
}

/** MurmurHash3 (Austin Appleby) over UTF-16 code units, with its 32-bit finaliser. */
function hash32(text: string, seed: number): number {
  let hash = seed | 0;
  for (let at = 0; at < text.length; at += 1) {
    let word = Math.imul(text.charCodeAt(at), 0xcc9e2d51);
    word = (word << 15) | (word >>> 17);
    hash ^= Math.imul(word, 0x1b873593);
    hash = (hash << 13) | (hash >>> 19);
    hash = (Math.imul(hash, 5) + 0xe6546b64) | 0;
  }
  hash ^= text.length;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
