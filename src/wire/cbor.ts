/**
 * CBOR (RFC 8949) as mycel speaks it: a strict subset, checked byte by byte before the library builds anything.
 *
 * Subset: integers up to 64 bits, floats, text, byte strings, arrays, maps with distinct text keys, false, true, null, undefined.
 * No tags, no indefinite lengths. Tags are where a decoder can be made to work for seconds (bignums) or to build
 * regular expressions, sets and cycles; a peer has no use for them here.
 */

import { isUtf8 } from 'node:buffer';
// This entry of cbor-x never loads its native string extractor: bytes from the network stay in JavaScript.
import { Decoder, Encoder } from 'cbor-x/decode';
import { MycelError } from '../kernel/errors.ts';

/** What `decodeCbor` accepts. */
export interface CborLimits {
  /** Whole input, in bytes. @default 262_144 */
  readonly bytesMax?: number;
  /** Arrays and maps inside one another. @default 16 */
  readonly depthMax?: number;
}

/** Default of `CborLimits.bytesMax`. */
export const cborBytesMax: number = 256 * 1024;

/** Default of `CborLimits.depthMax`. */
export const cborDepthMax = 16;

const codecOptions = { useRecords: false, mapsAsObjects: true, tagUint8Array: false } as const;
// Without variableMapSize cbor-x writes a wrong header for an object of more than 65 535 keys.
const encoder = new Encoder({ ...codecOptions, variableMapSize: true });
const decoder = new Decoder(codecOptions);

/**
 * Encodes plain data: null, booleans, numbers, 64-bit bigints, well-formed strings, Uint8Array, arrays and plain objects.
 * Minus zero arrives as zero. Anything else (Date, Map, Set, larger bigints, cycles) is a bug of the caller: peers refuse the result or it throws here.
 */
export function encodeCbor(value: unknown): Uint8Array {
  const bytes = encoder.encode(value);
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/**
 * Decodes one whole value. Byte strings are views of `bytes`, not copies.
 * @throws {MycelError} MYCEL_BAD_BYTES, and nothing else, for any input.
 */
export function decodeCbor(bytes: Uint8Array, limits: CborLimits = {}): unknown {
  const bytesMax = limits.bytesMax ?? cborBytesMax;
  if (bytes.byteLength > bytesMax) throw badBytes(`It is longer than ${bytesMax} bytes.`);
  // A plain view: a Buffer would make the decoder hand out Buffers.
  const view = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = scanItem(view, 0, limits.depthMax ?? cborDepthMax);
  if (end !== view.byteLength) throw badBytes('Bytes follow the value.');
  try {
    return decoder.decode(view);
  } catch (error) {
    throw badBytes('The decoder refused it.', error);
  }
}

function badBytes(reason: string, cause?: unknown): MycelError {
  return new MycelError('MYCEL_BAD_BYTES', { reason }, { cause });
}

/** Checks the item at `at` and everything inside it; gives the position after it. */
function scanItem(bytes: Uint8Array, at: number, depthLeft: number): number {
  const head = byteAt(bytes, at);
  const major = head >> 5;
  if (major === 7) return scanSimple(bytes, at, head & 31);
  if (major === 6) throw badBytes('It contains a tag.');
  const size = argumentSize(head & 31);
  if (major < 2) return checkedEnd(bytes, at + 1 + size);
  const count = size === 0 ? head & 31 : readUint(bytes, at + 1, size);
  const start = at + 1 + size;
  if (major === 2) return checkedEnd(bytes, start + count);
  if (major === 3) return scanText(bytes, start, count);
  if (depthLeft === 0) throw badBytes('It is nested too deeply.');
  // Every element takes a byte at least: a header that promises more than there is costs nothing.
  if (count > bytes.byteLength - start) throw badBytes('A length lies.');
  return major === 4
    ? scanArray(bytes, start, count, depthLeft - 1)
    : scanMap(bytes, start, count, depthLeft - 1);
}

function scanArray(bytes: Uint8Array, start: number, count: number, depthLeft: number): number {
  let at = start;
  for (let item = 0; item < count; item += 1) at = scanItem(bytes, at, depthLeft);
  return at;
}

/** Maps of more keys than this look them up; in smaller ones comparing them with each other is cheaper than making texts. */
const comparedKeysMax = 16;

function scanMap(bytes: Uint8Array, start: number, count: number, depthLeft: number): number {
  if (count > comparedKeysMax) return scanLargeMap(bytes, start, count, depthLeft);
  const ends: number[] = [];
  const starts: number[] = [];
  let at = start;
  for (let entry = 0; entry < count; entry += 1) {
    const end = scanKey(bytes, at, depthLeft);
    for (let other = 0; other < entry; other += 1) {
      if (isSameKey(bytes, starts[other] ?? 0, ends[other] ?? 0, at, end)) throw twice();
    }
    starts.push(at);
    ends.push(end);
    at = scanItem(bytes, end, depthLeft);
  }
  return at;
}

function scanLargeMap(bytes: Uint8Array, start: number, count: number, depthLeft: number): number {
  const seen = new Set<string>();
  let at = start;
  for (let entry = 0; entry < count; entry += 1) {
    const end = scanKey(bytes, at, depthLeft);
    const key = latin1(bytes, at, end);
    if (seen.has(key)) throw twice();
    seen.add(key);
    at = scanItem(bytes, end, depthLeft);
  }
  return at;
}

const protoKey = '__proto__';

/** Gives the end of the key at `at`. */
function scanKey(bytes: Uint8Array, at: number, depthLeft: number): number {
  if (byteAt(bytes, at) >> 5 !== 3) throw badBytes('A key is not text.');
  const end = scanItem(bytes, at, depthLeft);
  const from = end - protoKey.length;
  if (from > at) {
    let same = 0;
    while (same < protoKey.length && bytes[from + same] === protoKey.charCodeAt(same)) same += 1;
    if (same === protoKey.length) throw badBytes('A key is "__proto__".');
  }
  return end;
}

function twice(): MycelError {
  return badBytes('A key comes twice.');
}

/** Whether two keys are the same bytes; two are equal when these are, since lengths are part of them. */
function isSameKey(
  bytes: Uint8Array,
  start: number,
  end: number,
  otherStart: number,
  otherEnd: number,
): boolean {
  if (end - start !== otherEnd - otherStart) return false;
  for (let at = 0; start + at < end; at += 1) {
    if (bytes[start + at] !== bytes[otherStart + at]) return false;
  }
  return true;
}

function scanText(bytes: Uint8Array, start: number, length: number): number {
  const end = checkedEnd(bytes, start + length);
  for (let at = start; at < end; at += 1) {
    if (byteAt(bytes, at) < 0x80) continue;
    if (!isUtf8(bytes.subarray(at, end))) throw badBytes('A text is not UTF-8.');
    break;
  }
  return end;
}

/** false, true, null, undefined and floats; the lone break byte and unassigned simple values are refused. */
function scanSimple(bytes: Uint8Array, at: number, low: number): number {
  if (low >= 20 && low <= 23) return at + 1;
  if (low >= 25 && low <= 27) return checkedEnd(bytes, at + 1 + argumentSize(low));
  throw badBytes('It contains an unknown simple value.');
}

/** Bytes of argument that follow the initial byte (RFC 8949, section 3). */
function argumentSize(low: number): number {
  if (low < 24) return 0;
  if (low > 27) throw badBytes('A length is indefinite or reserved.');
  return 1 << (low - 24);
}

function readUint(bytes: Uint8Array, at: number, size: number): number {
  checkedEnd(bytes, at + size);
  let value = 0;
  for (let index = 0; index < size; index += 1) value = value * 256 + byteAt(bytes, at + index);
  return value;
}

function checkedEnd(bytes: Uint8Array, end: number): number {
  if (end > bytes.byteLength) throw badBytes('It ends too early.');
  return end;
}

function byteAt(bytes: Uint8Array, at: number): number {
  const byte = bytes[at];
  if (byte === undefined) throw badBytes('It ends too early.');
  return byte;
}

/** The raw bytes of a key as a string; two keys are equal when these are, since lengths are part of it. */
function latin1(bytes: Uint8Array, start: number, end: number): string {
  let text = '';
  for (let at = start; at < end; at += 1) text += String.fromCharCode(byteAt(bytes, at));
  return text;
}
