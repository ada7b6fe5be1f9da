/**
 * Letters that carry a parcel, written and read by hand: every call, every decision and every item of a stream pays for one.
 * The bytes are the CBOR that `control.ts` writes and reads for letters of every kind; what is written in another way than
 * here is left to it.
 */

import type { NodeId } from '../kernel/ids.ts';
import { parcelBytesMax, protocolNameMax } from '../kernel/parcel.ts';
import type { Letter } from '../protocol/routing/messages.ts';
import { byteAt, u48Max } from './big-endian.ts';
import { createLender } from './lend.ts';
import { idAt, idBytes } from './node-id.ts';

/** An array of nine items, the first of which is the number of letters among control messages. */
const arrayOfNine = 0x89;
const idBytesLength = 16;
const idHead = 0x40 | idBytesLength;
const doubleHead = 0xfb;

/** Heads of the numbers, the ids and the name are never longer than this together. */
const headBytesMax = 128;

const lend = createLender(headBytesMax + parcelBytesMax);
const head = new Uint8Array(headBytesMax);
const headView = new DataView(head.buffer);
let at = 0;

function putByte(value: number): void {
  head[at] = value;
  at += 1;
}

/** A length or a number below 2^32 with its major type (RFC 8949, section 3). */
function putHead(major: number, value: number): void {
  if (value < 24) return putByte(major | value);
  if (value < 0x1_00) {
    putByte(major | 24);
    return putByte(value);
  }
  if (value < 0x1_0000) {
    putByte(major | 25);
    headView.setUint16(at, value);
    at += 2;
    return;
  }
  putByte(major | 26);
  headView.setUint32(at, value);
  at += 4;
}

function putNumber(value: number): void {
  if (value <= 0xffff_ffff) return putHead(0, value);
  putByte(doubleHead);
  headView.setFloat64(at, value);
  at += 8;
}

function putId(node: NodeId): void {
  putByte(idHead);
  head.set(idBytes(node), at);
  at += idBytesLength;
}

/**
 * Encodes one; undefined when it carries no parcel, or one whose protocol is not in ASCII. More than 4 KiB are good until the
 * next letter is encoded.
 */
export function encodeParcelLetter(tag: number, letter: Letter): Uint8Array | undefined {
  const { from, fromBoot, ttl, passage, body } = letter;
  if (body.kind !== 'parcel') return undefined;
  const { protocol, bytes } = body;
  at = 0;
  putByte(arrayOfNine);
  putHead(0, tag);
  putId(from);
  putNumber(fromBoot);
  putHead(0, ttl);
  putId(passage.to);
  putNumber(passage.id);
  putByte(passage.isFlood ? 1 : 0);
  putHead(0x60, protocol.length);
  for (let index = 0; index < protocol.length; index += 1) {
    const code = protocol.charCodeAt(index);
    if (code >= 0x80) return undefined;
    putByte(code);
  }
  putHead(0x40, bytes.length);
  const record = lend(at + bytes.length);
  record.set(head.subarray(0, at));
  record.set(bytes, at);
  return record;
}

/** Where reading stands: one for all, since a letter is read in one go. `isBad`: it is not written as here. */
const from = { at: 0, isBad: false };

function nat(bytes: Uint8Array, major: number, max: number): number {
  const first = byteAt(bytes, from.at);
  const low = first & 31;
  from.at += 1;
  let value = low;
  if (major === 0 && first === doubleHead) value = double(bytes);
  else if (first >> 5 !== major >> 5 || low > 26) from.isBad = true;
  else if (low >= 24) {
    value = 0;
    for (let left = 1 << (low - 24); left > 0; left -= 1) {
      value = value * 256 + byteAt(bytes, from.at);
      from.at += 1;
    }
  }
  if (!Number.isInteger(value) || value < 0 || value > max) from.isBad = true;
  return value;
}

function double(bytes: Uint8Array): number {
  if (from.at + 8 > bytes.length) return -1;
  const value = new DataView(bytes.buffer, bytes.byteOffset + from.at, 8).getFloat64(0);
  from.at += 8;
  return value;
}

function id(bytes: Uint8Array): NodeId | undefined {
  const start = from.at + 1;
  from.at = start + idBytesLength;
  if (byteAt(bytes, start - 1) !== idHead || from.at > bytes.length) return undefined;
  return idAt(bytes, start);
}

/** The name read last: calls come in a row. */
let lastName = '';

function name(bytes: Uint8Array): string {
  const length = nat(bytes, 0x60, protocolNameMax);
  const start = from.at;
  from.at += length;
  if (length === 0 || from.at > bytes.length) from.isBad = true;
  if (from.isBad) return '';
  let isLast = length === lastName.length;
  for (let index = 0; index < length; index += 1) {
    const code = byteAt(bytes, start + index);
    if (code >= 0x80) from.isBad = true;
    if (isLast && code !== lastName.charCodeAt(index)) isLast = false;
  }
  if (isLast || from.isBad) return lastName;
  lastName = String.fromCharCode(...bytes.subarray(start, from.at));
  return lastName;
}

/** Decodes one; undefined for anything else than `encodeParcelLetter` would have written. The parcel is a view of `bytes`. */
export function decodeParcelLetter(tag: number, bytes: Uint8Array): Letter | undefined {
  if (bytes[0] !== arrayOfNine || bytes[1] !== tag) return undefined;
  from.at = 2;
  from.isBad = false;
  const author = id(bytes);
  const fromBoot = nat(bytes, 0, u48Max);
  const ttl = nat(bytes, 0, 255);
  const to = id(bytes);
  const passageId = nat(bytes, 0, u48Max);
  const isFlood = nat(bytes, 0, 1) === 1;
  const protocol = name(bytes);
  const length = nat(bytes, 0x40, parcelBytesMax);
  if (author === undefined || to === undefined || from.isBad) return undefined;
  if (from.at + length !== bytes.length) return undefined;
  return {
    from: author,
    fromBoot,
    ttl,
    passage: { to, id: passageId, isFlood },
    body: { kind: 'parcel', protocol, bytes: bytes.subarray(from.at) },
  };
}
