/**
 * Fingerprints of all cells in a 16-ary tree of 4096 leaves, kept up to date in constant time by exclusive or
 * (protocols 3.4). Two replicas whose roots are equal hold the same live writes; where they differ, three levels lead
 * to the few cells that do. Members trust each other: it withstands chance, not malice.
 */

import type { CellAddress, Entry } from './cell.ts';

/** A fingerprint: two unsigned 32-bit halves. */
export type Fingerprint = readonly [number, number];

/** Children of a node of the tree. */
export const digestFanout = 16;

/** Levels below the root; the last one is the leaves. */
export const digestDepth = 3;

/** Leaves of the tree. */
export const digestLeaves: number = digestFanout ** digestDepth;

/** The tree. */
export class DigestTree {
  #high: Uint32Array | undefined;
  #low: Uint32Array | undefined;
  #rootHigh = 0;
  #rootLow = 0;

  /** Takes a fingerprint in, or out again. */
  toggle(leaf: number, high: number, low: number): void {
    // Idle nodes have no state and no table.
    this.#high ??= new Uint32Array(digestLeaves);
    this.#low ??= new Uint32Array(digestLeaves);
    this.#high[leaf] = ((this.#high[leaf] as number) ^ high) >>> 0;
    this.#low[leaf] = ((this.#low[leaf] as number) ^ low) >>> 0;
    this.#rootHigh = (this.#rootHigh ^ high) >>> 0;
    this.#rootLow = (this.#rootLow ^ low) >>> 0;
  }

  root(): Fingerprint {
    return [this.#rootHigh, this.#rootLow];
  }

  /** The fingerprint of a node: level 0 is the root, level 3 are the leaves. */
  node(level: number, index: number): Fingerprint {
    const width = digestFanout ** (digestDepth - level);
    let high = 0;
    let low = 0;
    for (let leaf = index * width; leaf < (index + 1) * width; leaf += 1) {
      high ^= this.#high?.[leaf] ?? 0;
      low ^= this.#low?.[leaf] ?? 0;
    }
    return [high >>> 0, low >>> 0];
  }

  children(level: number, index: number): Fingerprint[] {
    return Array.from({ length: digestFanout }, (_, at) =>
      this.node(level + 1, index * digestFanout + at),
    );
  }
}

/** The leaf an address belongs to. */
export function leafOf(address: CellAddress): number {
  return hashText(address, 0x811c9dc5) & (digestLeaves - 1);
}

/** The fingerprint of one live write at an address. */
export function entryPrint(address: CellAddress, entry: Entry): Fingerprint {
  const high = printHalf(address, entry, 0x9747b28c);
  const low = printHalf(address, entry, 0x3c6ef372);
  return [high, low];
}

function printHalf(address: CellAddress, { replica, count, at }: Entry, seed: number): number {
  let hash = hashText(replica, hashText(address, seed));
  for (const word of [count, count / 2 ** 32, at.wallMs, at.wallMs / 2 ** 32, at.count]) {
    hash = mix(hash ^ (word >>> 0));
  }
  return hash >>> 0;
}

/** A fingerprint of texts and numbers in this order. */
export function fingerprint(parts: Iterable<string | number>): Fingerprint {
  let high = 0x9747b28c;
  let low = 0x3c6ef372;
  for (const part of parts) {
    if (typeof part === 'string') {
      high = hashText(part, high);
      low = hashText(part, low);
    } else {
      high = mix(mix(high ^ (part >>> 0)) ^ ((part / 2 ** 32) >>> 0));
      low = mix(mix(low ^ (part >>> 0)) ^ ((part / 2 ** 32) >>> 0));
    }
  }
  return [high >>> 0, low >>> 0];
}

/** Murmur3's rounds over UTF-16 units (Appleby, public domain). */
function hashText(text: string, seed: number): number {
  let hash = seed;
  for (let at = 0; at < text.length; at += 1) {
    let block = Math.imul(text.charCodeAt(at), 0xcc9e2d51);
    block = (block << 15) | (block >>> 17);
    hash ^= Math.imul(block, 0x1b873593);
    hash = (hash << 13) | (hash >>> 19);
    hash = (Math.imul(hash, 5) + 0xe6546b64) | 0;
  }
  return mix(hash ^ text.length);
}

function mix(value: number): number {
  let hash = value;
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
