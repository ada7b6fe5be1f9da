/**
 * Frames that are not plain data: deflated ones, control records on a data lane, and barriers.
 *
 * Layout: version 2, kind, then a whole plain frame (deflated for kind 1), or the 8 bytes of a barrier's number.
 */

import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { recordBytesMax } from './frame.ts';

const specialVersion = 2;
const headBytes = 2;

const kinds = { deflated: 1, control: 2, barrier: 3 } as const;

/** What a special frame carries. */
export type SpecialFrame =
  | { readonly kind: 'deflated' | 'control'; readonly frame: Uint8Array }
  /** Whoever gets it answers on the control lane: everything before it on this lane has come. */
  | { readonly kind: 'barrier'; readonly token: number };

/** Whether these are the bytes of a special frame, to be read with `readSpecialFrame`. */
export function isSpecialFrame(bytes: Uint8Array): boolean {
  return bytes[0] === specialVersion;
}

/** Deflates a plain frame (RFC 1951, the fastest level). Undefined when that saves less than a tenth. */
export function deflateFrame(frame: Uint8Array): Uint8Array | undefined {
  const packed = deflateRawSync(frame, { level: 1 });
  if (packed.length + headBytes > frame.length * 0.9) return undefined;
  return withHead(kinds.deflated, packed);
}

/** Before a plain frame it marks its records as control messages. */
export const controlPrefix: Uint8Array = Uint8Array.of(specialVersion, kinds.control);

/** Builds a barrier. */
export function barrierFrame(token: number): Uint8Array {
  const bytes = new Uint8Array(headBytes + 8);
  bytes[0] = specialVersion;
  bytes[1] = kinds.barrier;
  new DataView(bytes.buffer).setFloat64(headBytes, token);
  return bytes;
}

/** Reads a special frame; undefined for anything that was not written by the above. Never inflates to more than a frame. */
export function readSpecialFrame(bytes: Uint8Array): SpecialFrame | undefined {
  const rest = bytes.subarray(headBytes);
  if (bytes[0] !== specialVersion || rest.length === 0) return undefined;
  switch (bytes[1]) {
    case kinds.deflated:
      return inflate(rest);
    case kinds.control:
      return { kind: 'control', frame: rest };
    case kinds.barrier: {
      if (rest.length !== 8) return undefined;
      const token = new DataView(rest.buffer, rest.byteOffset).getFloat64(0);
      return Number.isFinite(token) ? { kind: 'barrier', token } : undefined;
    }
    default:
      return undefined;
  }
}

function inflate(packed: Uint8Array): SpecialFrame | undefined {
  try {
    const frame = inflateRawSync(packed, { maxOutputLength: recordBytesMax + 4 });
    return { kind: 'deflated', frame };
  } catch {
    return undefined;
  }
}

function withHead(kind: number, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(headBytes + body.length);
  bytes[0] = specialVersion;
  bytes[1] = kind;
  bytes.set(body, headBytes);
  return bytes;
}
