/** Node ids as bytes, cached: they repeat in every message. */

import { BoundedMap } from '../kernel/bounded-map.ts';
import { nodeIdFromHash, nodeIdToBytes } from '../kernel/ids.ts';
import type { NodeId } from '../kernel/ids.ts';

/** Slots of the two caches: one is direct-mapped, a newer entry simply takes the slot. */
const cacheSlots = 1024;

const bytesById = new BoundedMap<NodeId, Uint8Array>(cacheSlots);
const idSlots: ({ bytes: Uint8Array; id: NodeId } | undefined)[] = Array.from({
  length: cacheSlots,
});

/** The bytes of an id, cached: ids repeat in every message. Not to be written to. */
export function idBytes(id: NodeId): Uint8Array {
  let bytes = bytesById.get(id);
  if (bytes === undefined) {
    bytes = nodeIdToBytes(id);
    bytesById.set(id, bytes);
  }
  return bytes;
}

/** The id in 16 bytes at `at`, cached. */
export function idAt(bytes: Uint8Array, at: number): NodeId {
  const slot = (pairAt(bytes, at) ^ pairAt(bytes, at + 6)) % cacheSlots;
  const cached = idSlots[slot];
  if (cached !== undefined && isSameRun(cached.bytes, bytes, at)) return cached.id;
  const own = Uint8Array.from(bytes.subarray(at, at + 16));
  const id = nodeIdFromHash(own);
  idSlots[slot] = { bytes: own, id };
  return id;
}

/** Whether these bytes stand at `from`. */
export function isSameRun(own: Uint8Array, bytes: Uint8Array, from: number): boolean {
  // `length` once: V8 does not inline `byteLength`, and this loop runs for every message.
  const { length } = own;
  for (let at = 0; at < length; at += 1) if (own[at] !== bytes[from + at]) return false;
  return true;
}

function pairAt(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}
