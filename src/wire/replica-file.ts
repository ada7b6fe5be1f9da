/**
 * The two files of a replica as bytes: the log, which holds everything twice and whose torn end is told from damage in
 * its middle, and the slots of term and vote (docs/protocols/consensus.md, "On disk").
 */

import { crc32c } from './crc32c.ts';

/** A record: length 4, checksum 4, start of its batch 4, term 8, index 8, type 1; then the payload. */
const headerBytes = 29;

/** In the start of the batch: this batch is written twice, and this record belongs to the first or the second copy. */
const firstFlag = 0x8000_0000;
const secondFlag = 0xc000_0000;

/** What is left for the place: a log has a megabyte or two. */
const placeMask = 0x3fff_ffff;

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
  /**
   * `torn`: the end was being written, nobody was told of it. `rotten`: something durable is damaged, twice over.
   */
  readonly verdict: 'whole' | 'torn' | 'rotten';
  /** What to write where so that everything is there twice again; `end` counts it in. Nothing when rotten. */
  readonly repairs: readonly LogRepair[];
}

/** One of the two copies of a batch. */
export interface LogRepair {
  readonly at: number;
  readonly bytes: Uint8Array;
  /** It was whole once: something was written after it. */
  readonly isRot: boolean;
}

/**
 * Encodes records that are written and synced together. `batchStart` is where in the file they begin: all bytes before
 * it were durable when they were written, which is what tells damage from a torn end. `flag`: which copy this is.
 */
export function encodeRecords(
  records: readonly FileRecord[],
  batchStart: number,
  flag = 0,
): Uint8Array {
  const size = records.reduce((sum, { payload }) => sum + headerBytes + payload.length, 0);
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const { index, term, type, payload } of records) {
    view.setUint32(at, payload.length);
    view.setUint32(at + 8, batchStart + flag);
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

/**
 * A batch as it is written: twice in a row. Whatever damages one copy later on leaves the other, so what was promised
 * last, with nothing behind it to tell rot from a torn end, is not forgotten (decision 0022).
 */
export function encodeBatch(records: readonly FileRecord[], batchStart: number): Uint8Array {
  const joined: FileRecord[] = [];
  for (const record of records) {
    // What is replaced before it was ever on disk need not go there.
    const first = joined[0]?.index ?? record.index;
    joined.length = Math.min(joined.length, Math.max(0, record.index - first));
    joined.push(record);
  }
  const first = encodeRecords(joined, batchStart, firstFlag);
  const twice = new Uint8Array(2 * first.length);
  twice.set(first);
  twice.set(encodeRecords(joined, batchStart, secondFlag), first.length);
  return twice;
}

/** Reads a log file. Total: any bytes give a verdict. */
export function scanLog(bytes: Uint8Array): LogScan {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const records: FileRecord[] = [];
  const repairs: LogRepair[] = [];
  const rotten = (at: number): LogScan => ({ records, end: at, verdict: 'rotten', repairs: [] });
  let at = 0;
  let end = 0;
  let last: Batch | undefined;
  for (;;) {
    const batch = batchAt(bytes, view, at);
    const head = batch?.records[0];
    if (batch === undefined || head === undefined) break;
    const first = records[0]?.index ?? head.index;
    // Records at an earlier index replace what is there and what came after; a gap cannot have been written.
    if (head.index > first + records.length || head.index < first) return rotten(at);
    records.length = head.index - first;
    records.push(...batch.records);
    const { repair } = last ?? {};
    if (repair !== undefined) repairs.push({ ...repair, isRot: true });
    last = batch;
    at = batch.end;
    end = at;
  }
  if (isFollowedByLater(bytes, view, at)) return rotten(at);
  const astray = repairs.find((repair) => isAstray(bytes, view, repair));
  if (astray !== undefined) return rotten(astray.at);
  if (last?.repair !== undefined) {
    repairs.push({ ...last.repair, isRot: false });
    end = Math.max(end, last.repair.at + last.repair.bytes.length);
  }
  return { records, end, verdict: at === bytes.length ? 'whole' : 'torn', repairs };
}

interface Batch {
  readonly records: readonly FileRecord[];
  readonly end: number;
  /** The copy that is damaged or missing. */
  readonly repair?: Omit<LogRepair, 'isRot'>;
}

/** The batch that begins at `start`: from its first copy, or from its second; of a torn one what came first. */
function batchAt(bytes: Uint8Array, view: DataView, start: number): Batch | undefined {
  const found = recordAt(bytes, view, start);
  // Written by a version that kept everything once.
  if (found !== undefined && found.flag === 0) return { records: [found.record], end: found.end };
  const { records, end: middle } = runAt(bytes, view, start, start + firstFlag);
  const size = middle - start;
  if (size > 0 && runAt(bytes, view, middle, start + secondFlag).end === middle + size) {
    return { records, end: middle + size };
  }
  const copy = copyAfter(bytes, view, start, middle);
  if (copy !== undefined) {
    const repair = { at: start, bytes: encodeRecords(copy.records, start, firstFlag) };
    return { records: copy.records, end: copy.end, repair };
  }
  if (size === 0) return undefined;
  const repair = { at: middle, bytes: encodeRecords(records, start, secondFlag) };
  // The second copy is damaged: that the next batch is in its place shows where it ended.
  const after = middle + size;
  const isFollowed =
    recordAt(bytes, view, after)?.batchStart === after ||
    copyAfter(bytes, view, after, after) !== undefined;
  return { records, end: isFollowed ? after : middle, repair };
}

/** Whole records of one copy in a row, with indices in a row. `mark`: where its batch begins, and which copy it is. */
function runAt(
  bytes: Uint8Array,
  view: DataView,
  from: number,
  mark: number,
): { readonly records: readonly FileRecord[]; readonly end: number } {
  const records: FileRecord[] = [];
  let at = from;
  while (at + headerBytes <= bytes.length && view.getUint32(at + 8) === mark) {
    const found = recordAt(bytes, view, at);
    const index = records[0] === undefined ? undefined : records[0].index + records.length;
    if (found === undefined || found.record.index !== (index ?? found.record.index)) break;
    records.push(found.record);
    at = found.end;
  }
  return { records, end: at };
}

/** The second copy of a batch whose first one is damaged at `bad`: whole, it is as long as what lies before it. */
function copyAfter(
  bytes: Uint8Array,
  view: DataView,
  start: number,
  bad: number,
): { readonly records: readonly FileRecord[]; readonly end: number } | undefined {
  for (let at = bad + 1; at + headerBytes <= bytes.length; at += 1) {
    const { records, end } = runAt(bytes, view, at, start + secondFlag);
    if (end > at && end - at === at - start) return { records, end };
  }
  return undefined;
}

/** Whether any whole record after `bad` was written when the bytes at `bad` were durable already. */
function isFollowedByLater(bytes: Uint8Array, view: DataView, bad: number): boolean {
  for (let at = bad + 1; at + headerBytes <= bytes.length; at += 1) {
    // The cheap look first: the checksum is taken only where the fields make sense.
    const batchStart = batchStartAt(view, at);
    if (batchStart > at || batchStart <= bad) continue;
    if (recordAt(bytes, view, at) !== undefined) return true;
  }
  return false;
}

/** Whether a write that belongs further back landed here: then that is missing, however whole the end may look. */
function isAstray(bytes: Uint8Array, view: DataView, repair: LogRepair): boolean {
  const end = Math.min(bytes.length - headerBytes, repair.at + repair.bytes.length);
  for (let at = repair.at; at < end; at += 1) {
    if (batchStartAt(view, at) > at && recordAt(bytes, view, at) !== undefined) return true;
  }
  return false;
}

function batchStartAt(view: DataView, at: number): number {
  return view.getUint32(at + 8) & placeMask;
}

interface Found {
  readonly record: FileRecord;
  readonly batchStart: number;
  /** Which copy it belongs to; 0: there is only one. */
  readonly flag: number;
  readonly end: number;
}

function recordAt(bytes: Uint8Array, view: DataView, at: number): Found | undefined {
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
  const batchStart = batchStartAt(view, at);
  return { record, batchStart, flag: view.getUint32(at + 8) - batchStart, end };
}

/** Over the length and everything after the checksum itself; never 0, so that zeroed bytes are no record. */
function checksum(bytes: Uint8Array, at: number, end: number): number {
  const sum = crc32c(bytes.subarray(at + 8, end), crc32c(bytes.subarray(at, at + 4)));
  return sum === 0 ? 1 : sum;
}

/**
 * How far the log was durable, kept away from it: an end that is missing below this was promised, and is lost
 * (decision 0059).
 */
export interface LogMark {
  readonly end: number;
  /** Which log it speaks of: the `snapshotSum` of what the snapshot held then. With a new one a new log begins. */
  readonly snapshot: number;
}

/** A term and a vote with the number of their write. */
export interface Slot {
  readonly seq: number;
  readonly term: number;
  readonly vote: number;
  /** Missing in slots of versions before it. */
  readonly mark?: LogMark | undefined;
}

/** Tells one snapshot file from another by its head, which has a checksum of all of it; 0 without one. */
export function snapshotSum(file: Uint8Array | undefined): number {
  return file === undefined ? 0 : crc32c(file.subarray(0, 64)) || 1;
}

/** Whether a log that can be read up to `end` has lost what was durable. */
export function isCutShort(end: number, slot: Slot, snapshot: number): boolean {
  return slot.mark?.snapshot === snapshot && end < slot.mark.end;
}

/** One slot, padded to a sector of its own. */
export function encodeSlot({ seq, term, vote, mark }: Slot): Uint8Array {
  const bytes = new Uint8Array(slotBytes);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, slotMagic);
  writeU64(view, 8, seq);
  writeU64(view, 16, term);
  writeU64(view, 24, vote);
  view.setUint32(4, crc32c(bytes.subarray(8, 32)));
  if (mark !== undefined) {
    view.setUint32(32, mark.end);
    view.setUint32(36, mark.snapshot);
    view.setUint32(40, markSum(bytes));
  }
  return bytes;
}

/** Of its own, for versions that know no marks; never 0, which says that there is none. */
function markSum(slot: Uint8Array): number {
  return crc32c(slot.subarray(32, 40)) || 1;
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
  const slot = bytes.subarray(at, at + 44);
  if (slot.every((byte) => byte === 0)) return 'empty';
  if (slot.length < 44) return 'rotten';
  const view = new DataView(slot.buffer, slot.byteOffset, slot.byteLength);
  const isWhole =
    view.getUint32(0) === slotMagic && view.getUint32(4) === crc32c(slot.subarray(8, 32));
  const sum = view.getUint32(40);
  if (!isWhole || (sum !== 0 && sum !== markSum(slot))) return 'rotten';
  const mark = { end: view.getUint32(32), snapshot: view.getUint32(36) };
  return {
    seq: readU64(view, 8),
    term: readU64(view, 16),
    vote: readU64(view, 24),
    mark: sum === 0 ? undefined : mark,
  };
}

function writeU64(view: DataView, at: number, value: number): void {
  view.setUint32(at, Math.floor(value / 2 ** 32));
  view.setUint32(at + 4, value % 2 ** 32);
}

function readU64(view: DataView, at: number): number {
  return view.getUint32(at) * 2 ** 32 + view.getUint32(at + 4);
}
