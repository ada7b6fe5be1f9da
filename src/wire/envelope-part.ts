/** Which part of a large message an envelope carries: index 2, bytes of the whole message 4, flags 1, big endian. */

import { messageBytesMax, partBytes, payloadBytesMax } from '../kernel/large-message.ts';
import type { Part } from '../protocol/routing/messages.ts';

/** Bytes of it. */
export const partHeadBytes = 7;

/** Marks it among the flags of an envelope, which are its second byte. */
export const partFlag = 64;

const signalFlag = 1;

/** Whether an encoded message is a part of a large one. */
export function isPartEnvelope(raw: Uint8Array): boolean {
  return ((raw[1] ?? 0) & partFlag) !== 0;
}

/** Writes it. */
export function writePart(bytes: Uint8Array, at: number, part: Part): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, partHeadBytes);
  view.setUint16(0, part.index);
  view.setUint32(2, part.totalBytes);
  view.setUint8(6, part.isSignal ? signalFlag : 0);
}

/** Reads it; undefined when no sender would have written that, or when so many payload bytes are not its own. */
export function readPart(bytes: Uint8Array, at: number, payloadBytes: number): Part | undefined {
  if (at + partHeadBytes > bytes.length) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, partHeadBytes);
  const index = view.getUint16(0);
  const totalBytes = view.getUint32(2);
  const flags = view.getUint8(6);
  if (totalBytes <= payloadBytesMax || totalBytes > messageBytesMax || flags > signalFlag) {
    return undefined;
  }
  const wanted = Math.min(partBytes, totalBytes - index * partBytes);
  return wanted === payloadBytes
    ? { index, totalBytes, isSignal: flags === signalFlag }
    : undefined;
}
