/** Numbers in network order, read and written by hand: a DataView for each message would cost more than its bytes. */

/** The largest that 48 bits hold. */
export const u48Max: number = 2 ** 48 - 1;

/** A byte; 0 beyond the end. */
export function byteAt(bytes: Uint8Array, at: number): number {
  return bytes[at] ?? 0;
}

/** Reads 16 bits. */
export function readU16(bytes: Uint8Array, at: number): number {
  return (byteAt(bytes, at) << 8) | byteAt(bytes, at + 1);
}

/** Reads 48 bits. */
export function readU48(bytes: Uint8Array, at: number): number {
  const low = (readU16(bytes, at + 2) << 16) | readU16(bytes, at + 4);
  return readU16(bytes, at) * 4_294_967_296 + (low >>> 0);
}

/** Writes 16 bits. */
export function writeU16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = (value >>> 8) & 0xff;
  bytes[at + 1] = value & 0xff;
}

/** Writes 48 bits. Numbers beyond them are a bug of the caller; they saturate, so that a reader refuses or ignores them. */
export function writeU48(bytes: Uint8Array, at: number, value: number): void {
  const safe = Math.min(Math.max(0, value), u48Max);
  writeU16(bytes, at, Math.floor(safe / 4_294_967_296));
  const low = safe % 4_294_967_296;
  writeU16(bytes, at + 2, low >>> 16);
  writeU16(bytes, at + 4, low & 0xffff);
}
