/**
 * Bytes of what callers and responders say: version and kind in one byte, numbers as LEB128, names with their length,
 * the body of a piece up to the end. Written and read by hand: every call pays for it.
 */

import { callNameMax, confirmsMax, pieceBytesMax } from '../kernel/call.ts';
import type { CommandMessage, Credit, Piece } from '../protocol/command/messages.ts';
import { plainBytes } from './bytes.ts';
import { createLender } from './lend.ts';

/** Version in the high half of the first byte. */
const commandVersion = 1;

const kinds = [
  'who',
  'request',
  'feed',
  'accept',
  'cancel',
  'confirm',
  'here',
  'reply',
  'grant',
  'working',
  'refused',
] as const satisfies readonly CommandMessage['kind'][];
const kindNumbers = new Map(kinds.map((kind, at) => [kind, at]));

const reasons = ['boot', 'lost', 'busy', 'too-large'] as const;

const itemEndFlag = 1;
const endFlag = 2;
const errorFlag = 4;
const streamFlag = 8;
const keyFlag = 16;

/** Largest number that is read: exact in a double. */
const numberMax = Number.MAX_SAFE_INTEGER;

/** Longest name in bytes: a UTF-16 unit takes at most three. */
const nameBytesMax = callNameMax * 3;

/** Room for the longest head. */
const headBytesMax: number = 4 * 1024;
const scratch = new Uint8Array(headBytesMax);
const lend = createLender(headBytesMax + pieceBytesMax);
const utf8Encoder = new TextEncoder();
const utf8Decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const noBytes = new Uint8Array(0);
let at = 0;

function put(value: number): void {
  let rest = value;
  while (rest >= 128) {
    scratch[at] = (rest % 128) | 128;
    at += 1;
    rest = Math.floor(rest / 128);
  }
  scratch[at] = rest;
  at += 1;
}

function putName(name: string): void {
  const { written } = utf8Encoder.encodeInto(name, scratch.subarray(at + 2));
  scratch[at] = written >>> 8;
  scratch[at + 1] = written & 0xff;
  at += 2 + written;
}

function flagsOf({ isItemEnd, isEnd, isError }: Piece): number {
  return (isItemEnd ? itemEndFlag : 0) | (isEnd ? endFlag : 0) | (isError ? errorFlag : 0);
}

function putCredit(credit: Credit, isAsking: boolean): void {
  put(credit.next);
  put(credit.upTo);
  put(isAsking ? 1 : 0);
}

function putIds(ids: readonly number[]): void {
  put(ids.length);
  for (const id of ids) put(id);
}

function putMessage(message: CommandMessage): Uint8Array {
  put(message.callerBoot);
  if ('id' in message) put(message.id);
  switch (message.kind) {
    case 'who':
    case 'cancel':
    case 'working':
      return noBytes;
    case 'here':
      put(message.boot);
      return noBytes;
    case 'request': {
      const { piece, key, isStream } = message;
      put(message.boot);
      put(flagsOf(piece) | (isStream ? streamFlag : 0) | (key === undefined ? 0 : keyFlag));
      put(Math.min(numberMax, Math.ceil(message.deadlineMs)));
      putName(message.method);
      if (key !== undefined) putName(key);
      putIds(message.confirmed);
      return piece.bytes;
    }
    case 'feed':
    case 'reply':
      put(message.piece.seq);
      put(flagsOf(message.piece));
      return message.piece.bytes;
    case 'accept':
    case 'grant':
      putCredit(message.credit, message.isAsking);
      return noBytes;
    case 'confirm':
      putIds(message.confirmed);
      return noBytes;
    default:
      put(reasons.indexOf(message.reason));
      put(message.boot);
      return noBytes;
  }
}

/**
 * Encodes a message. Names are within `callNameMax`, a piece within `pieceBytesMax`: else it is a bug of the caller.
 * More than 4 KiB are good until the next message is encoded.
 */
export function encodeCommand(message: CommandMessage): Uint8Array {
  at = 1;
  scratch[0] = (commandVersion << 4) | (kindNumbers.get(message.kind) ?? 0);
  const body = putMessage(message);
  const bytes = lend(at + body.length);
  bytes.set(scratch.subarray(0, at));
  if (body.length > 0) bytes.set(body, at);
  return bytes;
}

/** Names read last, by a hash of their bytes: methods are few, and making the same text again for each call costs. */
const namesKept = 256;
const nameBytes: (Uint8Array | undefined)[] = Array.from({ length: namesKept });
const nameTexts: string[] = Array.from({ length: namesKept }, () => '');

/** Ends and the middle tell names apart well enough; what collides is read again. */
function nameSlot(bytes: Uint8Array, from: number, length: number): number {
  const last = bytes[from + length - 1] ?? 0;
  const middle = bytes[from + (length >> 1)] ?? 0;
  const before = bytes[from + length - 2] ?? 0;
  return (length * 31 + last * 7 + middle * 13 + before * 3) % namesKept;
}

function knownName(bytes: Uint8Array, from: number, length: number): string | undefined {
  const slot = nameSlot(bytes, from, length);
  const kept = nameBytes[slot];
  if (kept?.length !== length) return undefined;
  for (let index = 0; index < length; index += 1) {
    if (kept[index] !== bytes[from + index]) return undefined;
  }
  return nameTexts[slot];
}

function keepName(bytes: Uint8Array, from: number, length: number, text: string): void {
  const slot = nameSlot(bytes, from, length);
  nameBytes[slot] = bytes.slice(from, from + length);
  nameTexts[slot] = text;
}

const noIds: readonly number[] = [];

/** Where reading stands; `isBad` once something could not be read. */
class Reader {
  readonly bytes: Uint8Array;
  at = 1;
  isBad = false;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  number(): number {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < 8; count += 1) {
      const byte = this.bytes[this.at];
      if (byte === undefined) break;
      this.at += 1;
      value += (byte & 127) * scale;
      if (byte < 128) {
        // One spelling only, and exact.
        if ((byte === 0 && count > 0) || value > numberMax) break;
        return value;
      }
      scale *= 128;
    }
    this.isBad = true;
    return 0;
  }

  name(): string {
    const length = ((this.bytes[this.at] ?? 0) << 8) | (this.bytes[this.at + 1] ?? 0);
    const from = this.at + 2;
    this.at = from + length;
    if (this.at > this.bytes.length || length > nameBytesMax) {
      this.isBad = true;
      return '';
    }
    const known = knownName(this.bytes, from, length);
    if (known !== undefined) return known;
    for (let index = from; index < this.at; index += 1) {
      if ((this.bytes[index] ?? 0) >= 128) return this.#wideName(from);
    }
    const text = this.#checked(
      String.fromCharCode.apply(undefined, this.bytes.subarray(from, this.at) as never),
    );
    if (!this.isBad) keepName(this.bytes, from, length, text);
    return text;
  }

  #wideName(from: number): string {
    try {
      return this.#checked(utf8Decoder.decode(this.bytes.subarray(from, this.at)));
    } catch {
      this.isBad = true;
      return '';
    }
  }

  #checked(text: string): string {
    if (text.length === 0 || text.length > callNameMax) this.isBad = true;
    return text;
  }

  ids(): readonly number[] {
    const count = this.number();
    if (count === 0) return noIds;
    const ids: number[] = [];
    if (count > confirmsMax) this.isBad = true;
    else for (let index = 0; index < count && !this.isBad; index += 1) ids.push(this.number());
    return ids;
  }

  piece(seq: number, flags: number): Piece {
    const bytes = this.bytes.subarray(this.at);
    this.at = this.bytes.length;
    const isItemEnd = (flags & itemEndFlag) !== 0;
    const isEnd = (flags & endFlag) !== 0;
    const isError = (flags & errorFlag) !== 0;
    const isEmptyPart = bytes.length === 0 && !isItemEnd;
    if (bytes.length > pieceBytesMax || isEmptyPart || (isEnd && !isItemEnd)) this.isBad = true;
    return { seq, bytes, isItemEnd, isEnd, isError };
  }

  flags(known: number): number {
    const flags = this.number();
    if ((flags & ~known) !== 0) this.isBad = true;
    return flags;
  }
}

const pieceFlags = itemEndFlag | endFlag | errorFlag;

function readMessage(kind: CommandMessage['kind'], from: Reader): CommandMessage {
  const callerBoot = from.number();
  if (kind === 'who') return { kind, callerBoot };
  if (kind === 'here') return { kind, callerBoot, boot: from.number() };
  if (kind === 'confirm') return { kind, callerBoot, confirmed: from.ids() };
  const id = from.number();
  switch (kind) {
    case 'cancel':
    case 'working':
      return { kind, callerBoot, id };
    case 'request': {
      const boot = from.number();
      const flags = from.flags(pieceFlags | streamFlag | keyFlag);
      const deadlineMs = from.number();
      const method = from.name();
      const key = (flags & keyFlag) === 0 ? undefined : from.name();
      const confirmed = from.ids();
      const isStream = (flags & streamFlag) !== 0;
      const piece = from.piece(0, flags & pieceFlags);
      return {
        kind,
        callerBoot,
        id,
        boot,
        method,
        key,
        deadlineMs,
        isStream,
        piece,
        confirmed,
      };
    }
    case 'feed':
    case 'reply': {
      const seq = from.number();
      return { kind, callerBoot, id, piece: from.piece(seq, from.flags(pieceFlags)) };
    }
    case 'accept':
    case 'grant': {
      const credit = { next: from.number(), upTo: from.number() };
      return { kind, callerBoot, id, credit, isAsking: from.flags(1) === 1 };
    }
    default: {
      const reason = reasons[from.number()];
      if (reason === undefined) from.isBad = true;
      return { kind, callerBoot, id, reason: reason ?? 'lost', boot: from.number() };
    }
  }
}

/** Reads a message; undefined for anything that `encodeCommand` would not have written. Bodies are views of `bytes`. */
export function decodeCommand(bytes: Uint8Array): CommandMessage | undefined {
  const head = bytes[0];
  if (head === undefined || head >> 4 !== commandVersion) return undefined;
  const kind = kinds[head & 15];
  if (kind === undefined) return undefined;
  const from = new Reader(plainBytes(bytes));
  const message = readMessage(kind, from);
  return from.isBad || from.at !== bytes.length ? undefined : message;
}
