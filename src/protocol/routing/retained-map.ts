/**
 * The mesh-wide retained messages: for each topic the last *written* value, not the last arrived one.
 * Last writer wins by (HLC, origin); a delete is a tombstone. Two nodes compare 64 hashes and exchange what differs.
 */

import { compareHlc } from '../../kernel/hlc.ts';
import type { Hlc } from '../../kernel/hlc.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Envelope } from './messages.ts';

/** A retained value, or a tombstone when the payload is empty. */
export interface RetainedEntry {
  readonly topic: string;
  readonly hlc: Hlc;
  readonly origin: NodeId;
  /** The origin's boot counter when it wrote this. */
  readonly boot: number;
  /** Its number among the origin's events of that boot; 0 when it was written by a signal. */
  readonly seq: number;
  readonly payload: Uint8Array;
}

/** The value that a retained message writes. */
export function entryOf(envelope: Envelope): RetainedEntry {
  const { topic, hlc, origin, boot, payload } = envelope;
  return { topic, hlc, origin, boot, seq: envelope.class === 'event' ? envelope.seq : 0, payload };
}

/** Knobs of a retained map. */
export interface RetainedMapConfig {
  /** Topics with a value. The oldest by (HLC, origin) is forgotten beyond it, on every node the same one. @default 1000 */
  readonly liveMax?: number;
  /** Deleted topics remembered, so that an old value does not come back. The oldest is forgotten beyond it. @default 1000 */
  readonly tombstonesMax?: number;
  /** Payload bytes of all values together; the oldest is forgotten beyond it. @default 16_777_216 */
  readonly bytesMax?: number;
}

/** Buckets of a digest. */
const retainedBuckets = 64;

/** The retained messages of the mesh, as far as this node knows. */
export interface RetainedMap {
  /** Takes what is newer than what is known. @returns the entries that won, to be mirrored into the local broker. */
  merge(entries: readonly RetainedEntry[]): RetainedEntry[];
  get(topic: string): RetainedEntry | undefined;
  /** 64 hashes of 4 bytes (big endian), one a bucket of topics. */
  digest(): Uint8Array;
  /** The own entries in the buckets that differ from a peer's digest; all of them when it is no digest. */
  differences(digest: Uint8Array): RetainedEntry[];
  view(): {
    readonly live: number;
    readonly tombstones: number;
    readonly bytes: number;
    readonly forgotten: number;
  };
}

/**
 * Builds a retained map.
 * @param onForget a value had to make room: the local broker should forget it too.
 */
export function createRetainedMap(
  config: RetainedMapConfig = {},
  onForget?: (topic: string) => void,
): RetainedMap {
  const liveMax = Math.max(1, config.liveMax ?? 1000);
  const tombstonesMax = Math.max(1, config.tombstonesMax ?? 1000);
  const bytesMax = config.bytesMax ?? 16 * 1024 * 1024;
  const entries = new Map<string, RetainedEntry>();
  const buckets = new Uint32Array(retainedBuckets);
  let live = 0;
  let bytes = 0;
  let forgotten = 0;

  function count(entry: RetainedEntry, sign: 1 | -1): void {
    const bucket = bucketOf(entry.topic);
    // A sum of hashes, so that entries can be taken out again in any order.
    buckets[bucket] = (buckets[bucket] ?? 0) + sign * hashOf(entry);
    bytes += sign * entry.payload.byteLength;
    if (entry.payload.byteLength > 0) live += sign;
  }

  function remove(entry: RetainedEntry): void {
    entries.delete(entry.topic);
    count(entry, -1);
  }

  function forgetOldest(isLive: boolean): RetainedEntry | undefined {
    let oldest: RetainedEntry | undefined;
    for (const entry of entries.values()) {
      if (entry.payload.byteLength > 0 !== isLive) continue;
      if (oldest === undefined || compareEntries(entry, oldest) < 0) oldest = entry;
    }
    if (oldest === undefined) return undefined;
    remove(oldest);
    forgotten += 1;
    if (isLive) onForget?.(oldest.topic);
    return oldest;
  }

  /** @returns whether the entry is still there after room was made. */
  function makeRoom(added: RetainedEntry): boolean {
    let isKept = true;
    while (live > liveMax || (bytes > bytesMax && live > 1)) {
      if (forgetOldest(true) === added) isKept = false;
    }
    while (entries.size - live > tombstonesMax) if (forgetOldest(false) === added) isKept = false;
    return isKept;
  }

  function put(given: RetainedEntry): RetainedEntry | undefined {
    const known = entries.get(given.topic);
    if (known !== undefined && compareEntries(given, known) <= 0) return undefined;
    // A copy: the payload may be a view of a frame.
    const entry = { ...given, payload: new Uint8Array(given.payload) };
    if (known !== undefined) remove(known);
    entries.set(entry.topic, entry);
    count(entry, 1);
    return makeRoom(entry) ? entry : undefined;
  }

  return {
    merge(given) {
      const won: RetainedEntry[] = [];
      for (const entry of given) {
        const kept = put(entry);
        if (kept !== undefined) won.push(kept);
      }
      // A later one of the same batch may have replaced it or taken its room.
      return won.filter((entry) => entries.get(entry.topic) === entry);
    },
    get: (topic) => entries.get(topic),
    digest() {
      const digest = new Uint8Array(retainedBuckets * 4);
      const view = new DataView(digest.buffer);
      for (const [at, hash] of buckets.entries()) view.setUint32(at * 4, hash);
      return digest;
    },
    differences(digest) {
      if (digest.byteLength !== retainedBuckets * 4) return [...entries.values()];
      const view = new DataView(digest.buffer, digest.byteOffset, digest.byteLength);
      return [...entries.values()].filter((entry) => {
        const bucket = bucketOf(entry.topic);
        return view.getUint32(bucket * 4) !== buckets[bucket];
      });
    },
    view: () => ({ live, tombstones: entries.size - live, bytes, forgotten }),
  };
}

/** By HLC, then by origin: a total order that every node agrees on. */
function compareEntries(left: RetainedEntry, right: RetainedEntry): number {
  return compareHlc(left.hlc, right.hlc) || compareText(left.origin, right.origin);
}

function compareText(left: string, right: string): number {
  if (left === right) return 0;
  return left < right ? -1 : 1;
}

function bucketOf(topic: string): number {
  return fnv1a(0x811c9dc5, topic) % retainedBuckets;
}

function hashOf(entry: RetainedEntry): number {
  const stamp = `${entry.hlc.wallMs} ${entry.hlc.count} ${entry.origin}`;
  return fnv1a(fnv1a(0x811c9dc5, entry.topic), stamp);
}

/** FNV-1a over UTF-16 units, finished with a mix (murmur3's) because its low bits alone are weak. */
function fnv1a(start: number, text: string): number {
  let hash = start;
  for (let at = 0; at < text.length; at += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  return (hash ^ (hash >>> 13)) >>> 0;
}
