/** How large a message may be, and into which pieces one is cut that is larger than what travels as one. */

/** Largest payload of a message, in bytes. Above `payloadBytesMax` it travels in parts. */
export const messageBytesMax: number = 16 * 1024 * 1024;

/** Payload bytes of a part; only the last one of a message has fewer. */
export const partBytes: number = 96 * 1024;

/** Largest payload that travels as one, in bytes; a retained one is never larger. */
export const payloadBytesMax: number = 128 * 1024;

/** Whether a payload travels in parts. */
export function isLarge(payload: Uint8Array): boolean {
  return payload.byteLength > payloadBytesMax;
}
