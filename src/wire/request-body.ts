/**
 * The body of a request to a service: a CBOR map of the input and what travels with it, by one letter a field. Any order
 * is read; the usual one is written and read by hand, since every call pays for it.
 */

import { callBodyBytesMax } from '../kernel/call.ts';
import { cborDepthMax, decodeCbor, encodeCbor } from './cbor.ts';
import type { CborLimits } from './cbor.ts';
import { carve } from './carve.ts';

/** Longest trace and longest correlation, in characters. */
const traceLengthMax = 64;
const correlationLengthMax = 256;

/** What travels: the input, and trace, correlation, user fields and depth of the context. */
export interface RequestBody {
  readonly i: unknown;
  readonly t: string;
  readonly c: string;
  readonly u: Readonly<Record<string, string>>;
  readonly d: number;
}

const mapOfFive = 0xa5;
const emptyMap = 0xa0;
/** Heads of texts: up to 23 bytes, and up to 255. */
const shortText = 0x60;
const longText = 0x78;
const shortMax = 23;
/** A key of one letter is its head and the letter. */
const keyHead = 0x61;

/** The letters, in ASCII. */
const inputKey = 0x69;
const traceKey = 0x74;
const correlationKey = 0x63;
const userKey = 0x75;
const depthKey = 0x64;

/** What bodies of calls are read with; the input is one level down. */
export const bodyLimits: CborLimits = { bytesMax: callBodyBytesMax };
const inputLimits: CborLimits = { bytesMax: callBodyBytesMax, depthMax: cborDepthMax - 1 };

const noFields: Readonly<Record<string, string>> = {};

/** Room for the longest head that is written by hand. */
const scratch = new Uint8Array(2 * (correlationLengthMax + 4) + 8);

/** Puts a short ASCII text at `at`; -1 when it is none. */
function putText(text: string, at: number): number {
  const { length } = text;
  if (length > 255) return -1;
  let to = at;
  if (length > shortMax) {
    scratch[to] = longText;
    scratch[to + 1] = length;
    to += 2;
  } else {
    scratch[to] = shortText + length;
    to += 1;
  }
  for (let index = 0; index < length; index += 1) {
    const code = text.charCodeAt(index);
    if (code > 0x7f) return -1;
    scratch[to + index] = code;
  }
  return to + length;
}

function hasFields(fields: Readonly<Record<string, string>>): boolean {
  for (const _ in fields) return true;
  return false;
}

/** Puts everything but the input; -1 when it is not of the usual kind. */
function putHead({ t, c, u, d }: RequestBody): number {
  if (!(d >= 0 && d <= shortMax) || hasFields(u)) return -1;
  scratch[0] = mapOfFive;
  scratch[1] = keyHead;
  scratch[2] = traceKey;
  let at = putText(t, 3);
  if (at < 0) return at;
  scratch[at] = keyHead;
  scratch[at + 1] = correlationKey;
  at = putText(c, at + 2);
  if (at < 0) return at;
  for (const byte of [keyHead, userKey, emptyMap, keyHead, depthKey, d, keyHead, inputKey]) {
    scratch[at] = byte;
    at += 1;
  }
  return at;
}

/** Encodes one. */
export function encodeRequest(request: RequestBody): Uint8Array {
  const length = putHead(request);
  if (length < 0) {
    const { i, t, c, u, d } = request;
    return encodeCbor({ t, c, u, d, i });
  }
  const input = encodeCbor(request.i);
  const bytes = carve(length + input.byteLength);
  for (let at = 0; at < length; at += 1) bytes[at] = scratch[at] as number;
  bytes.set(input, length);
  return bytes;
}

/** Reads a text of the usual kind; where it ends is left in `textEnd`, which is -1 when it is none. */
let textEnd = -1;
function readText(bytes: Uint8Array, at: number, lengthMax: number): string {
  const head = bytes[at] ?? 0;
  const isLong = head === longText;
  const length = isLong ? (bytes[at + 1] ?? 0) : head - shortText;
  const from = at + (isLong ? 2 : 1);
  textEnd = -1;
  if (length < 0 || length > lengthMax || from + length > bytes.length) return '';
  if (!isLong && length > shortMax) return '';
  let text = '';
  for (let index = from; index < from + length; index += 1) {
    const byte = bytes[index] as number;
    if (byte > 0x7f) return '';
    text += String.fromCharCode(byte);
  }
  textEnd = from + length;
  return text;
}

/** Whether the bytes from one place on are the same as those from another. */
function isRepeated(bytes: Uint8Array, from: number, to: number, at: number): boolean {
  for (let index = from; index < to; index += 1) {
    if (bytes[index] !== bytes[at + index - from]) return false;
  }
  return true;
}

/** Reads the usual kind; undefined when it is another, or none. */
function readUsual(bytes: Uint8Array): RequestBody | undefined {
  if (bytes[0] !== mapOfFive || bytes[1] !== keyHead || bytes[2] !== traceKey) return undefined;
  const t = readText(bytes, 3, traceLengthMax);
  if (textEnd < 0) return undefined;
  let at = textEnd;
  if (bytes[at] !== keyHead || bytes[at + 1] !== correlationKey) return undefined;
  at += 2;
  let c = t;
  // Nearly always the trace.
  if (isRepeated(bytes, 3, textEnd, at)) at += textEnd - 3;
  else {
    c = readText(bytes, at, correlationLengthMax);
    if (textEnd < 0) return undefined;
    at = textEnd;
  }
  const d = bytes[at + 5] ?? 255;
  const isUsual =
    bytes[at] === keyHead &&
    bytes[at + 1] === userKey &&
    bytes[at + 2] === emptyMap &&
    bytes[at + 3] === keyHead &&
    bytes[at + 4] === depthKey &&
    d <= shortMax &&
    bytes[at + 6] === keyHead &&
    bytes[at + 7] === inputKey;
  if (!isUsual) return undefined;
  return { i: decodeCbor(bytes.subarray(at + 8), inputLimits), t, c, u: noFields, d };
}

/**
 * Reads one; undefined when it is something else.
 * @throws {MycelError} MYCEL_BAD_BYTES
 */
export function decodeRequest(bytes: Uint8Array): RequestBody | undefined {
  return readUsual(bytes) ?? readRequest(decodeCbor(bytes, bodyLimits));
}

function readRequest(value: unknown): RequestBody | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { i, t, c, u, d } = value as Partial<Record<keyof RequestBody, unknown>>;
  if (typeof t !== 'string' || t.length > traceLengthMax) return undefined;
  if (typeof c !== 'string' || c.length > correlationLengthMax) return undefined;
  if (typeof d !== 'number' || !Number.isSafeInteger(d) || d < 0) return undefined;
  if (typeof u !== 'object' || u === null || Array.isArray(u)) return undefined;
  for (const name in u) {
    if (typeof (u as Record<string, unknown>)[name] !== 'string') return undefined;
  }
  return { i, t, c, u: u as Record<string, string>, d };
}
