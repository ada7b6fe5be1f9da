/**
 * What the outbox writes into its journal, as bytes: a kind, then its parts, big endian.
 *
 * 1 stream: the mesh (UTF-8). 2 event: count of the members that are owed it 2, their ids 16 each, the encoded event.
 * 3 mark: everything up to this sequence number is settled 8, the highest one used 8 (IEEE 754 doubles).
 */

import type { MeshId, NodeId } from '../kernel/ids.ts';
import { readEnvelope } from './envelope.ts';
import { idAt, idBytes } from './node-id.ts';

const codes = { stream: 1, event: 2, mark: 3 } as const;

/** Members that one event may be owed to. */
const owedMax = 4096;

/** One entry of the journal. */
export type OutboxEntry =
  | { readonly kind: 'stream'; readonly mesh: string }
  | {
      readonly kind: 'event';
      readonly boot: number;
      readonly seq: number;
      readonly owed: readonly NodeId[];
      readonly raw: Uint8Array;
    }
  | { readonly kind: 'mark'; readonly settled: number; readonly last: number };

/** The entry that says which mesh the events are for. */
export function encodeStreamEntry(mesh: MeshId): Uint8Array {
  const name = new TextEncoder().encode(mesh);
  const bytes = new Uint8Array(1 + name.length);
  bytes[0] = codes.stream;
  bytes.set(name, 1);
  return bytes;
}

/** The entry of one event. */
export function encodeEventEntry(owed: readonly NodeId[], raw: Uint8Array): Uint8Array {
  const some = owed.slice(0, owedMax);
  const bytes = new Uint8Array(3 + some.length * 16 + raw.length);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, codes.event);
  view.setUint16(1, some.length);
  for (const [at, node] of some.entries()) bytes.set(idBytes(node), 3 + at * 16);
  bytes.set(raw, 3 + some.length * 16);
  return bytes;
}

/** The entry that says how far everything is settled. */
export function encodeMarkEntry(settled: number, last: number): Uint8Array {
  const bytes = new Uint8Array(17);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, codes.mark);
  view.setFloat64(1, settled);
  view.setFloat64(9, last);
  return bytes;
}

/** Reads an entry; undefined for anything that is not exactly one. Never throws. */
export function readOutboxEntry(bytes: Uint8Array): OutboxEntry | undefined {
  if (bytes.length < 2) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const code = view.getUint8(0);
  if (code === codes.stream) {
    return { kind: 'stream', mesh: new TextDecoder().decode(bytes.subarray(1)) };
  }
  if (code === codes.mark) {
    if (bytes.length !== 17) return undefined;
    const settled = view.getFloat64(1);
    const last = view.getFloat64(9);
    const isSane = Number.isSafeInteger(settled) && Number.isSafeInteger(last) && settled >= 0;
    return isSane ? { kind: 'mark', settled, last } : undefined;
  }
  if (code !== codes.event || bytes.length < 3) return undefined;
  const count = view.getUint16(1);
  const rawAt = 3 + count * 16;
  if (count > owedMax || rawAt > bytes.length) return undefined;
  const raw = bytes.slice(rawAt);
  const envelope = readEnvelope(raw);
  if (envelope?.class !== 'event') return undefined;
  const owed = Array.from({ length: count }, (_, at) => idAt(bytes, 3 + at * 16));
  return { kind: 'event', boot: envelope.boot, seq: envelope.seq, owed, raw };
}
