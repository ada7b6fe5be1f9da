/**
 * The two files of a replica as bytes: the log, whose torn end is told from damage in its middle, and the slots of term
 * and vote (docs/protocols/consensus.md, "On disk").
 */

import { crc32c } from './crc32c.ts';

/** A record: length 4, checksum 4, start of its batch 4, term 8, index 8, type 1; then the payload. */
const headerBytes = 29;

/** Largest payload of one record, in bytes. */
export const logPayloadBytesMax: number = 1024 * 1024;

/** Bytes of one slot; each has a sector of its own, so that a torn write of one never hurts the other. */
export const slotBytes = 4096;

const slotMagic = 0x4d59_5653;

/** One record. */
export interface FileRecord {
  readonly index: number;
  readonly term: number;
  readonly type: number;
  readonly payload: Uint8Array;
}

/** What a log file holds. */
export interface LogScan {
  /** The newest record of every index, in order, without a gap. */
  readonly records: readonly FileRecord[];
  /** Where the next record goes. */
  readonly end: number;
  /** `torn`: the end was being written, nobody was told of it. `rotten`: something durable is damaged. */
  readonly verdict: 'whole' | 'torn' | 'rotten';
}

/**
 * Encodes records that are written and synced together. `batchStart` is where in the file they begin: all bytes before
 * it were durable when they were written, which is what tells damage from a torn end.
 */
export function encodeRecords(records: readonly FileRecord[], batchStart: number): Uint8Array {
  const size = records.reduce((sum, { payload }) => sum + headerBytes + payload.length, 0);
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const { index, term, type, payload } of records) {
    view.setUint32(at, payload.length);
    view.setUint32(at + 8, batchStart);
    writeU64(view, at + 12, term);
    writeU64(view, at + 20, index);
    view.setUint8(at + 28, type);
    bytes.set(payload, at + headerBytes);
    const end = at + headerBytes + payload.length;
    view.setUint32(at + 4, checksum(bytes, at, end));
    at = end;
  }
  return bytes;
}

/** Reads a log file. Total: any bytes give a verdict. */
export function scanLog(bytes: Uint8Array): LogScan {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const records: FileRecord[] = [];
  let at = 0;
  for (;;) {
    const found = recordAt(bytes, view, at);
    if (found === undefined) break;
    const { record, end } = found;
    const first = records[0]?.index ?? record.index;
    // A record at an earlier index replaces it and what came after; a gap cannot have been written.
    if (record.index > first + records.length || record.index < first) {
      return { records, end: at, verdict: 'rotten' };
    }
    records.length = record.index - first;
    records.push(record);
    at = end;
  }
  if (at === bytes.length) return { records, end: at, verdict: 'whole' };
  const verdict = isFollowedByLater(bytes, view, at) ? 'rotten' : 'torn';
  return { records, end: at, verdict };
}

/** Whether any whole record after `bad` was written when the bytes at `bad` were durable already. */
function isFollowedByLater(bytes: Uint8Array, view: DataView, bad: number): boolean {
  for (let at = bad + 1; at + headerBytes <= bytes.length; at += 1) {
    // The cheap look first: the checksum is taken only where the fields make sense.
    const batchStart = view.getUint32(at + 8);
    if (batchStart > at || batchStart <= bad) continue;
    if (recordAt(bytes, view, at) !== undefined) return true;
  }
  return false;
}

function recordAt(
  bytes: Uint8Array,
  view: DataView,
  at: number,
): { record: FileRecord; end: number } | undefined {
  if (at + headerBytes > bytes.length) return undefined;
  const length = view.getUint32(at);
  const end = at + headerBytes + length;
  if (length > logPayloadBytesMax || end > bytes.length) return undefined;
  if (view.getUint32(at + 4) !== checksum(bytes, at, end)) return undefined;
  const record = {
    term: readU64(view, at + 12),
    index: readU64(view, at + 20),
    type: view.getUint8(at + 28),
    payload: bytes.slice(at + headerBytes, end),
  };
  return { record, end };
}

/** Over the length and everything after the checksum itself; never 0, so that zeroed bytes are no record. */
function checksum(bytes: Uint8Array, at: number, end: number): number {
  const sum = crc32c(bytes.subarray(at + 8, end), crc32c(bytes.subarray(at, at + 4)));
  return sum === 0 ? 1 : sum;
}

/** A term and a vote with the number of their write. */
export interface Slot {
  readonly seq: number;
  readonly term: number;
  readonly vote: number;
}

/** One slot, padded to a sector of its own. */
export function encodeSlot({ seq, term, vote }: Slot): Uint8Array {
  const bytes = new Uint8Array(slotBytes);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, slotMagic);
  writeU64(view, 8, seq);
  writeU64(view, 16, term);
  writeU64(view, 24, vote);
  view.setUint32(4, crc32c(bytes.subarray(8, 32)));
  return bytes;
}

/**
 * Reads both slots: the newer one counts. A sector is written whole or not at all, so a slot that is neither empty nor
 * whole was damaged after it had been promised.
 */
export function readSlots(bytes: Uint8Array): Slot | 'empty' | 'rotten' {
  const [left, right] = [slotAt(bytes, 0), slotAt(bytes, slotBytes)];
  if (left === 'rotten' || right === 'rotten') return 'rotten';
  if (left === 'empty') return right;
  if (right === 'empty') return left;
  return left.seq > right.seq ? left : right;
}

function slotAt(bytes: Uint8Array, at: number): Slot | 'empty' | 'rotten' {
  const slot = bytes.subarray(at, at + 32);
  if (slot.every((byte) => byte === 0)) return 'empty';
  if (slot.length < 32) return 'rotten';
  const view = new DataView(slot.buffer, slot.byteOffset, slot.byteLength);
  const isWhole = view.getUint32(0) === slotMagic && view.getUint32(4) === crc32c(slot.subarray(8));
  if (!isWhole) return 'rotten';
  return { seq: readU64(view, 8), term: readU64(view, 16), vote: readU64(view, 24) };
}

function writeU64(view: DataView, at: number, value: number): void {
  view.setUint32(at, Math.floor(value / 2 ** 32));
  view.setUint32(at + 4, value % 2 ** 32);
}

function readU64(view: DataView, at: number): number {
  return view.getUint32(at) * 2 ** 32 + view.getUint32(at + 4);
}
