/**
 * Frames: many records in one write, which is what makes a link fast (ten times the messages of one write each).
 *
 * Layout: version 1, then for each record its length in 3 bytes (big endian, never 0) and its bytes.
 */

import { Buffer } from 'node:buffer';
import { plainBytes } from './bytes.ts';

/** The only version there is; a frame with another one is refused whole. */
const frameVersion = 1;

const lengthBytes = 3;

/** Largest record a frame may hold, in bytes: a frame with one of them stays within a link's 256 KiB. */
export const recordBytesMax: number = 256 * 1024 - 1 - lengthBytes;

/** Empty buffers kept for the next frames; more are left to the collector. */
const spareMax = 4;

/** Knobs of a frame writer. */
export interface FrameWriterConfig {
  /** A frame is closed before it would exceed this, in bytes; a larger record gets a frame of its own. @default 16_384 */
  readonly bytesMax?: number;
  /** What each frame is to have before its own first byte: the head of a special frame. @default nothing */
  readonly prefix?: Uint8Array;
}

/** Packs records into frames. */
export interface FrameWriter {
  /**
   * Copies a record into the current frame.
   * @returns a full frame that must be sent before what follows, or undefined when there is none yet.
   * A record that is empty or larger than `recordBytesMax` is a bug of the caller: it throws a RangeError.
   */
  add(record: Uint8Array): Uint8Array | undefined;
  /** Closes the current frame: at the end of a turn of the event loop. Undefined when it holds nothing. */
  take(): Uint8Array | undefined;
  /** Gives a frame back whose bytes nobody reads any more, to spare an allocation. */
  recycle(frame: Uint8Array): void;
  /** Bytes waiting in the current frame. */
  pendingBytes(): number;
}

/** Builds a frame writer. One per link and lane. */
export function createFrameWriter(config: FrameWriterConfig = {}): FrameWriter {
  const bytesMax = Math.max(64, config.bytesMax ?? 16 * 1024);
  const head = Uint8Array.of(...(config.prefix ?? []), frameVersion);
  const spare: Uint8Array[] = [];
  let buffer: Uint8Array | undefined;
  let used = 0;

  function open(size: number): Uint8Array {
    const fresh = size > bytesMax ? undefined : spare.pop();
    // Not filled with zeros: no byte behind those that are written leaves here.
    const bytes = fresh ?? new Uint8Array(Buffer.allocUnsafeSlow(Math.max(size, bytesMax)).buffer);
    bytes.set(head);
    used = head.length;
    buffer = bytes;
    return bytes;
  }

  function take(): Uint8Array | undefined {
    const full = buffer;
    if (full === undefined) return undefined;
    buffer = undefined;
    const size = used;
    used = 0;
    // A small frame is cheaper to copy than a fresh buffer is to get.
    if (size * 4 <= bytesMax && full.length === bytesMax && spare.length < spareMax) {
      spare.push(full);
      return full.slice(0, size);
    }
    return full.length === size ? full : full.subarray(0, size);
  }

  return {
    take,
    add(record) {
      const length = record.length;
      if (length === 0 || length > recordBytesMax)
        throw new RangeError('a record of no legal size');
      const needed = length + lengthBytes;
      const full = buffer !== undefined && used + needed > buffer.length ? take() : undefined;
      const bytes = buffer ?? open(head.length + needed);
      bytes[used] = length >>> 16;
      bytes[used + 1] = (length >>> 8) & 0xff;
      bytes[used + 2] = length & 0xff;
      bytes.set(record, used + lengthBytes);
      used += needed;
      return full;
    },
    recycle(frame) {
      if (frame.buffer.byteLength !== bytesMax || spare.length >= spareMax) return;
      spare.push(new Uint8Array(frame.buffer));
    },
    pendingBytes: () => used,
  };
}

/**
 * Hands every record of a frame to `onRecord`, in order, as a view of `frame`.
 * @returns false, and calls nothing, when the frame is malformed. Never throws by itself, allocates only the views.
 */
export function readFrame(frame: Uint8Array, onRecord: (record: Uint8Array) => void): boolean {
  // Views of a Buffer would be Buffers: slower to make, and their slice() does not copy.
  const bytes = plainBytes(frame);
  const size = bytes.length;
  if (size <= 1 || bytes[0] !== frameVersion) return false;
  let at = 1;
  while (at < size) {
    if (at + lengthBytes > size) return false;
    const length = lengthAt(bytes, at);
    if (length === 0 || length > recordBytesMax) return false;
    at += lengthBytes + length;
  }
  if (at !== size) return false;
  for (at = 1; at < size;) {
    const end = at + lengthBytes + lengthAt(bytes, at);
    onRecord(bytes.subarray(at + lengthBytes, end));
    at = end;
  }
  return true;
}

function lengthAt(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
}
