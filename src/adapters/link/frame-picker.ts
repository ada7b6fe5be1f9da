/**
 * Takes a link's frames out of the plain bytes of its connection: they go straight to the session, and the MQTT library of
 * each end keeps the login, the pings and the end of the connection (decision 0071).
 */

import { reservedRoot } from '../../kernel/topic.ts';
import type { Lane } from '../../ports/link.ts';

/** First byte of a publish at QoS 0 that is neither retained nor a duplicate (MQTT 3.1.1, 3.3.1). */
const publishByte = 0x30;

/** The topics of the lanes are this and one letter more. */
const topicRoot: Buffer = Buffer.from(`${reservedRoot}/`, 'latin1');
const topicBytes: number = topicRoot.length + 1;
const letters: ReadonlyMap<number, Lane> = new Map([
  ['c'.charCodeAt(0), 'control'],
  ['d'.charCodeAt(0), 'data'],
]);

const topicLengthBytes = 2;
const remainingLengthBytesMax = 4;

/** Splits the bytes that come in. */
export interface FramePicker {
  /**
   * Takes bytes that a guard has judged, hands over the frames that end in them, as views of them or in memory of their own.
   * @returns what the MQTT library is to have, in order
   */
  pick(plain: Uint8Array): readonly Uint8Array[];
}

/** Builds one for one direction of one connection. */
export function createFramePicker(took: (lane: Lane, frame: Uint8Array) => void): FramePicker {
  /** The beginning of a packet that does not tell yet what it is; a dozen bytes at most. */
  let start: Uint8Array | undefined;
  /** A frame whose end is still to come. */
  let part: { readonly lane: Lane; readonly bytes: Uint8Array; filled: number } | undefined;
  /** Bytes of a packet that is no frame and whose end is still to come. */
  let passing = 0;
  let bodyAt = 0;

  /** The length of the packet's rest, and `bodyAt` behind it; -1 when its bytes are still to come. */
  function remainingAt(bytes: Uint8Array, at: number): number {
    let length = 0;
    for (let index = 0; index < remainingLengthBytesMax; index += 1) {
      const byte = bytes[at + 1 + index];
      if (byte === undefined) return -1;
      length += (byte & 0x7f) * 128 ** index;
      if (byte < 0x80) {
        bodyAt = at + 2 + index;
        return length;
      }
    }
    return -1;
  }

  function isRoot(bytes: Uint8Array, at: number): boolean {
    for (let index = 0; index < topicRoot.length; index += 1) {
      if (bytes[at + index] !== topicRoot[index]) return false;
    }
    return true;
  }

  /** The lane of the packet that begins there and whose body is at `bodyAt`; 'short': more bytes will tell. */
  function laneOfPacket(
    bytes: Uint8Array,
    at: number,
    remaining: number,
  ): Lane | 'short' | undefined {
    const headBytes = topicLengthBytes + topicBytes;
    if (bytes[at] !== publishByte || remaining < headBytes) return undefined;
    if (bodyAt + headBytes > bytes.length) return 'short';
    const topicAt = bodyAt + topicLengthBytes;
    const isTopic = bytes[bodyAt] === 0 && bytes[bodyAt + 1] === topicBytes;
    if (!isTopic || !isRoot(bytes, topicAt)) return undefined;
    return letters.get(bytes[topicAt + topicRoot.length] as number);
  }

  /** Goes on with what began before. @returns where the next packet begins */
  function goOn(bytes: Uint8Array): number {
    if (passing > 0) {
      const taken = Math.min(passing, bytes.length);
      passing -= taken;
      return taken;
    }
    if (part === undefined) return 0;
    const taken = Math.min(part.bytes.length - part.filled, bytes.length);
    part.bytes.set(taken === bytes.length ? bytes : bytes.subarray(0, taken), part.filled);
    part.filled += taken;
    if (part.filled < part.bytes.length) return taken;
    const { lane, bytes: frame } = part;
    part = undefined;
    took(lane, frame);
    return taken;
  }

  return {
    pick(plain) {
      const rest: Uint8Array[] = [];
      const bytes = start === undefined ? plain : Buffer.concat([start, plain]);
      start = undefined;
      const isPassing = passing > 0;
      let at = goOn(bytes);
      if (isPassing) rest.push(bytes.subarray(0, at));
      while (at < bytes.length) {
        const remaining = remainingAt(bytes, at);
        const lane = remaining < 0 ? 'short' : laneOfPacket(bytes, at, remaining);
        if (lane === 'short') {
          start = bytes.slice(at);
          return rest;
        }
        const end = bodyAt + remaining;
        if (lane === undefined) {
          rest.push(bytes.subarray(at, end));
          passing = Math.max(0, end - bytes.length);
        } else {
          const frameAt = bodyAt + topicLengthBytes + topicBytes;
          if (end <= bytes.length) took(lane, bytes.subarray(frameAt, end));
          else {
            part = { lane, bytes: new Uint8Array(end - frameAt), filled: bytes.length - frameAt };
            part.bytes.set(bytes.subarray(frameAt));
          }
        }
        at = end;
      }
      return rest;
    },
  };
}
