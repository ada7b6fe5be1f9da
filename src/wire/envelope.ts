/**
 * Bytes of one mesh message, written and read by hand because every message pays for them.
 *
 * Layout, big endian: ttl 1, flags 1, origin 16, boot 6, seq 6, hlc wall ms 6, hlc count 2, topic length 2,
 * skipped 6, then, when addressed, target 16 and passage id 6, when its publisher chose a channel the name's length 1 and the
 * name, when it is for one member of a group the length 2 of its shared subscription and that in UTF-8 without `$share/`, when
 * it is a part of a large message which one (`envelope-part.ts`), then the topic in UTF-8 and the payload up to the end.
 */

import { BoundedMap } from '../kernel/bounded-map.ts';
import { MycelError } from '../kernel/errors.ts';
import type { Hlc } from '../kernel/hlc.ts';
import type { NodeId } from '../kernel/ids.ts';
import {
  isReservedTopic,
  sharePrefix,
  subscriptionProblem,
  topicProblem,
} from '../kernel/topic.ts';
import type { Envelope, Passage } from '../protocol/routing/messages.ts';
import type { EnvelopeCodec } from '../protocol/routing/router-world.ts';
import { payloadBytesMax } from '../kernel/large-message.ts';
import { byteAt, readU16, readU48, writeU16, writeU48 } from './big-endian.ts';
import { carve } from './carve.ts';
import { partFlag, partHeadBytes, readPart, writePart } from './envelope-part.ts';
import { idAt, idBytes, isSameRun } from './node-id.ts';

const ttlAt = 0;
const flagsAt = 1;
const originAt = 2;
const bootAt = 18;
const seqAt = 24;
const wallAt = 30;
const countAt = 36;
const topicLengthAt = 38;
const skippedAt = 40;
const headBytes = 46;
const passageBytes = 22;

const eventFlag = 1;
const retainFlag = 2;
const addressedFlag = 4;
const floodFlag = 8;
const channelFlag = 16;
const shareFlag = 32;
const knownFlags = 127;

/** Longest name of a channel, in characters. */
export const channelNameMax = 32;

/** What a channel may be called. */
export const channelNamePattern: RegExp = /^[a-z][a-z0-9-]{0,31}$/;

/** Slots of the two caches below: direct-mapped, a newer entry simply takes the slot. */
const cacheSlots = 1024;
/** Longer topics are decoded each time, so that the cache stays small. */
const cachedTopicBytesMax = 128;

const topicBytesByText = new BoundedMap<string, Uint8Array>(cacheSlots);
const topicSlots: ({ bytes: Uint8Array; text: string } | undefined)[] = Array.from({
  length: cacheSlots,
});
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Encodes a message, into `into` when it fits there, else into fresh memory.
 * @throws {MycelError} MYCEL_TOO_LARGE above `payloadBytesMax`, MYCEL_BAD_TOPIC for a topic no node would read.
 */
export function encodeEnvelope(fields: Envelope, into?: Uint8Array): Uint8Array {
  const { payload, passage, part } = fields;
  if (payload.length > payloadBytesMax) {
    throw new MycelError('MYCEL_TOO_LARGE', { bytes: payload.length });
  }
  const topic = topicBytes(fields.topic);
  const channel = fields.channel ?? '';
  const nameBytes = channel === '' ? 0 : 1 + channel.length;
  const share = fields.share === undefined ? undefined : shareBytes(fields.share);
  const shareAt = headBytes + (passage === undefined ? 0 : passageBytes) + nameBytes;
  const partAt = shareAt + (share === undefined ? 0 : 2 + share.length);
  const bodyAt = partAt + (part === undefined ? 0 : partHeadBytes);
  const size = bodyAt + topic.length + payload.length;
  const bytes = into !== undefined && into.length >= size ? headOf(into, size) : carve(size);
  bytes[ttlAt] = fields.ttl;
  bytes[flagsAt] =
    (fields.class === 'event' ? eventFlag : 0) |
    (fields.retain ? retainFlag : 0) |
    (nameBytes === 0 ? 0 : channelFlag) |
    (share === undefined ? 0 : shareFlag) |
    (part === undefined ? 0 : partFlag) |
    flagsOf(passage);
  bytes.set(idBytes(fields.origin), originAt);
  writeU48(bytes, bootAt, fields.boot);
  writeU48(bytes, seqAt, fields.seq);
  writeU48(bytes, wallAt, fields.hlc.wallMs);
  writeU16(bytes, countAt, fields.hlc.count);
  writeU16(bytes, topicLengthAt, topic.length);
  writeU48(bytes, skippedAt, fields.skipped);
  if (passage !== undefined) writePassage(bytes, passage);
  if (nameBytes > 0) writeName(bytes, shareAt - nameBytes, channel);
  if (share !== undefined) {
    writeU16(bytes, shareAt, share.length);
    bytes.set(share, shareAt + 2);
  }
  if (part !== undefined) writePart(bytes, partAt, part);
  bytes.set(topic, bodyAt);
  bytes.set(payload, bodyAt + topic.length);
  return bytes;
}

/**
 * Reads one message; undefined for anything that `encodeEnvelope` or `withheldEnvelope` would not have written. Never
 * throws, copies no payload. The topic of a withheld event is empty.
 */
export function readEnvelope(bytes: Uint8Array): Envelope | undefined {
  const size = bytes.length;
  if (size < headBytes) return undefined;
  const flags = byteAt(bytes, flagsAt);
  const isEvent = (flags & eventFlag) !== 0;
  const isAddressed = (flags & addressedFlag) !== 0;
  const isShare = (flags & shareFlag) !== 0;
  if ((flags & ~knownFlags) !== 0 || (!isAddressed && (flags & floodFlag) !== 0)) return undefined;
  // A signal has an address only as the share of a group, which is never retained.
  if (isShare ? (flags & retainFlag) !== 0 : isAddressed && !isEvent) return undefined;
  const isNamed = (flags & channelFlag) !== 0;
  const channel = isNamed ? envelopeChannel(bytes) : undefined;
  if (isNamed && channel === undefined) return undefined;
  const share = isShare ? envelopeShare(bytes) : undefined;
  if (isShare && share === undefined) return undefined;
  const topicAt = topicStart(bytes);
  const payloadAt = topicAt + readU16(bytes, topicLengthAt);
  const isPart = (flags & partFlag) !== 0;
  const part = isPart ? readPart(bytes, topicAt - partHeadBytes, size - payloadAt) : undefined;
  if (isPart && (part === undefined || !isEvent || (flags & retainFlag) !== 0)) return undefined;
  const seq = readU48(bytes, seqAt);
  const skipped = readU48(bytes, skippedAt);
  if (payloadAt > size || size - payloadAt > payloadBytesMax || seq === 0) return undefined;
  if (skipped >= seq || (skipped > 0 && !isEvent)) return undefined;
  const isWithheld =
    !isNamed &&
    !isShare &&
    !isPart &&
    (flags & (eventFlag | retainFlag)) === eventFlag &&
    topicAt === size;
  const topic = isWithheld ? '' : topicText(bytes, topicAt, payloadAt);
  if (topic === undefined) return undefined;
  return {
    ttl: byteAt(bytes, ttlAt),
    class: isEvent ? 'event' : 'signal',
    retain: (flags & retainFlag) !== 0,
    origin: idAt(bytes, originAt),
    boot: readU48(bytes, bootAt),
    seq,
    skipped,
    hlc: { wallMs: readU48(bytes, wallAt), count: readU16(bytes, countAt) },
    topic,
    payload: bytes.subarray(payloadAt, size),
    passage: isAddressed ? readPassage(bytes, (flags & floodFlag) !== 0) : undefined,
    channel,
    share,
    part,
  };
}

/** Writes the hops left into an encoded message, in place: the bytes must be the caller's own. */
export function writeTtl(raw: Uint8Array, ttl: number): void {
  raw[ttlAt] = ttl;
}

/** Writes how many events before an encoded one are not for its receiver, in place. */
export function writeSkipped(raw: Uint8Array, skipped: number): void {
  writeU48(raw, skippedAt, skipped);
}

/** Makes the next message of an encoded one, in place: all but sequence, time stamp and payload, which is as large, stays. */
export function restampEnvelope(raw: Uint8Array, seq: number, hlc: Hlc, payload: Uint8Array): void {
  writeU48(raw, seqAt, seq);
  writeU48(raw, wallAt, hlc.wallMs);
  writeU16(raw, countAt, hlc.count);
  raw.set(payload, raw.length - payload.length);
}

/** A copy of an encoded event, addressed to one member. */
export function addressEnvelope(raw: Uint8Array, passage: Passage, ttl: number): Uint8Array {
  const isAddressed = (byteAt(raw, flagsAt) & addressedFlag) !== 0;
  const bodyAt = headBytes + (isAddressed ? passageBytes : 0);
  const bytes = carve(headBytes + passageBytes + raw.length - bodyAt);
  bytes.set(raw.subarray(0, headBytes));
  bytes[ttlAt] = ttl;
  bytes[flagsAt] = (byteAt(raw, flagsAt) & ~(addressedFlag | floodFlag)) | flagsOf(passage);
  writePassage(bytes, passage);
  bytes.set(raw.subarray(bodyAt), headBytes + passageBytes);
  return bytes;
}

/** Whether the topic of an encoded message begins with this ASCII text. */
export function isEnvelopeUnder(raw: Uint8Array, root: string): boolean {
  const topicAt = topicStart(raw);
  if (readU16(raw, topicLengthAt) < root.length) return false;
  for (let at = 0; at < root.length; at += 1) {
    if (raw[topicAt + at] !== root.charCodeAt(at)) return false;
  }
  return true;
}

/** The channel that the publisher of an encoded message chose, if it did; undefined, too, when it is no name. */
export function envelopeChannel(raw: Uint8Array): string | undefined {
  const flags = byteAt(raw, flagsAt);
  if ((flags & channelFlag) === 0) return undefined;
  const nameAt = headBytes + ((flags & addressedFlag) === 0 ? 0 : passageBytes);
  const end = nameAt + 1 + byteAt(raw, nameAt);
  let name = '';
  if (end > raw.length || byteAt(raw, nameAt) > channelNameMax) return undefined;
  for (let at = nameAt + 1; at < end; at += 1) name += String.fromCharCode(byteAt(raw, at));
  return channelNamePattern.test(name) ? name : undefined;
}

/** The topic of an encoded message; empty when it has none. */
export function envelopeTopic(raw: Uint8Array): string {
  const topicAt = topicStart(raw);
  return topicText(raw, topicAt, topicAt + readU16(raw, topicLengthAt)) ?? '';
}

/** Who published an encoded message. */
export function envelopeOrigin(raw: Uint8Array): NodeId {
  return idAt(raw, originAt);
}

/** The wall part of the time stamp of an encoded message. */
export function envelopeWallMs(raw: Uint8Array): number {
  return readU48(raw, wallAt);
}

/** The count in the time stamp of an encoded message. */
export function envelopeCount(raw: Uint8Array): number {
  return readU16(raw, countAt);
}

/** Bytes of the payload of an encoded message. */
export function envelopePayloadBytes(raw: Uint8Array): number {
  return raw.length - topicStart(raw) - readU16(raw, topicLengthAt);
}

/** The shared subscription that an encoded message is for; undefined when it is for none, or for what is none. */
export function envelopeShare(raw: Uint8Array): string | undefined {
  if ((byteAt(raw, flagsAt) & shareFlag) === 0) return undefined;
  const at = shareStart(raw);
  const end = at + 2 + readU16(raw, at);
  const text = end > raw.length ? undefined : decodeUtf8(raw.subarray(at + 2, end));
  const filter = text === undefined ? undefined : `${sharePrefix}${text}`;
  return filter !== undefined && subscriptionProblem(filter) === undefined ? filter : undefined;
}

/** Where the shared subscription begins, if there is one. */
function shareStart(raw: Uint8Array): number {
  const flags = byteAt(raw, flagsAt);
  const nameAt = headBytes + ((flags & addressedFlag) === 0 ? 0 : passageBytes);
  return (flags & channelFlag) === 0 ? nameAt : nameAt + 1 + byteAt(raw, nameAt);
}

/** Where the topic begins. */
function topicStart(raw: Uint8Array): number {
  const flags = byteAt(raw, flagsAt);
  const at = shareStart(raw) + ((flags & partFlag) === 0 ? 0 : partHeadBytes);
  return (flags & shareFlag) === 0 ? at : at + 2 + readU16(raw, shareStart(raw));
}

/**
 * An event that its receiver may count and not read: the same place in its origin's stream, no topic, no payload.
 * Undefined for signals, which leave no hole, and for what is only to be passed on by the receiver.
 */
export function withheldEnvelope(raw: Uint8Array, receiver: NodeId): Uint8Array | undefined {
  const flags = byteAt(raw, flagsAt);
  if ((flags & eventFlag) === 0) return undefined;
  if ((flags & addressedFlag) !== 0 && idAt(raw, headBytes) !== receiver) return undefined;
  return emptied(raw);
}

/**
 * A part as a node of an older version may have it: the same place in its origin's stream, no topic, no payload. Unless it is
 * addressed nobody passes it on.
 */
export function emptiedPart(raw: Uint8Array): Uint8Array {
  const bytes = emptied(raw);
  if ((byteAt(raw, flagsAt) & addressedFlag) === 0) writeTtl(bytes, 0);
  return bytes;
}

function emptied(raw: Uint8Array): Uint8Array {
  const flags = byteAt(raw, flagsAt);
  const bytes = raw.slice(0, headBytes + ((flags & addressedFlag) === 0 ? 0 : passageBytes));
  bytes[flagsAt] = flags & ~(retainFlag | channelFlag | shareFlag | partFlag);
  writeU16(bytes, topicLengthAt, 0);
  return bytes;
}

let lastHead: Uint8Array = new Uint8Array(0);

/** The first bytes of a buffer. The view is kept: messages of one size follow each other, and a view costs as much as its bytes. */
function headOf(memory: Uint8Array, size: number): Uint8Array {
  const isSame = lastHead.length === size && lastHead.buffer === memory.buffer;
  if (!isSame || lastHead.byteOffset !== memory.byteOffset) lastHead = memory.subarray(0, size);
  return lastHead;
}

function flagsOf(passage: Passage | undefined): number {
  if (passage === undefined) return 0;
  return passage.isFlood ? addressedFlag | floodFlag : addressedFlag;
}

function writeName(bytes: Uint8Array, at: number, name: string): void {
  bytes[at] = name.length;
  for (let index = 0; index < name.length; index += 1)
    bytes[at + 1 + index] = name.charCodeAt(index);
}

function writePassage(bytes: Uint8Array, passage: Passage): void {
  bytes.set(idBytes(passage.to), headBytes);
  writeU48(bytes, headBytes + 16, passage.id);
}

function readPassage(bytes: Uint8Array, isFlood: boolean): Passage {
  return { to: idAt(bytes, headBytes), id: readU48(bytes, headBytes + 16), isFlood };
}

function topicBytes(topic: string): Uint8Array {
  const cached = topicBytesByText.get(topic);
  if (cached !== undefined) return cached;
  const problem = topicProblem(topic);
  if (problem !== undefined)
    throw new MycelError('MYCEL_BAD_TOPIC', { reason: `Here ${problem}.` });
  const bytes = new TextEncoder().encode(topic);
  topicBytesByText.set(topic, bytes);
  return bytes;
}

function shareBytes(filter: string): Uint8Array {
  return new TextEncoder().encode(filter.slice(sharePrefix.length));
}

/** The topic, or undefined when it is not UTF-8 or no topic a user may publish to. */
function topicText(bytes: Uint8Array, from: number, to: number): string | undefined {
  const length = to - from;
  let hash = length;
  for (let at = from; at < to; at += 1) hash = (Math.imul(hash, 31) + byteAt(bytes, at)) | 0;
  const slot = (hash ^ (hash >>> 15)) & (cacheSlots - 1);
  const cached = topicSlots[slot];
  if (cached !== undefined && cached.bytes.length === length) {
    if (isSameRun(cached.bytes, bytes, from)) return cached.text;
  }
  const run = bytes.subarray(from, to);
  const text = decodeUtf8(run);
  if (text === undefined || topicProblem(text) !== undefined || isReservedTopic(text)) {
    return undefined;
  }
  if (length <= cachedTopicBytesMax) topicSlots[slot] = { bytes: Uint8Array.from(run), text };
  return text;
}

function decodeUtf8(run: Uint8Array): string | undefined {
  try {
    return utf8.decode(run);
  } catch {
    return undefined;
  }
}

/** The byte work that a router leaves to this file. */
export const envelopeCodec: EnvelopeCodec = {
  encode: encodeEnvelope,
  read: readEnvelope,
  writeTtl,
  address: addressEnvelope,
  writeSkipped,
  restamp: restampEnvelope,
};
