/** The frame around every record on disk: a torn, truncated or bit-rotten file is recognised, never believed. */

import { crc32 } from 'node:zlib';

/** Bytes before the payload: magic 4, version 1, length 4, checksum 4. */
const headerBytes = 13;

/** "MYCR", so that a stray file is told from a record. */
const magic = 0x4d59_4352;

/** The version this build writes and reads. */
const recordVersion = 1;

/** Largest payload of one record, in bytes: a node holds a record in memory twice while it writes it. */
export const recordBytesMax: number = 16 * 1024 * 1024;

/** What a file turned out to be. `newer`: whole, but written by a later version of mycel. */
export type RecordVerdict =
  | { readonly type: 'whole'; readonly payload: Uint8Array }
  | { readonly type: 'newer'; readonly version: number }
  | { readonly type: 'damaged'; readonly reason: string };

/** Frames a payload: magic, version, length, CRC-32 over everything but magic and itself. */
export function encodeRecord(payload: Uint8Array): Uint8Array {
  const file = Buffer.allocUnsafe(headerBytes + payload.length);
  file.writeUInt32BE(magic, 0);
  file.writeUInt8(recordVersion, 4);
  file.writeUInt32BE(payload.length, 5);
  file.set(payload, headerBytes);
  file.writeUInt32BE(checksum(file), 9);
  return file;
}

/** Reads a file's content. Total: any bytes give a verdict. */
export function decodeRecord(file: Uint8Array): RecordVerdict {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.byteLength);
  if (bytes.length < headerBytes) return damaged(`it has only ${bytes.length} bytes`);
  if (bytes.readUInt32BE(0) !== magic) return damaged('it does not start like a record');
  const length = bytes.readUInt32BE(5);
  if (length !== bytes.length - headerBytes) {
    return damaged(`it has ${bytes.length - headerBytes} bytes of content instead of ${length}`);
  }
  if (bytes.readUInt32BE(9) !== checksum(bytes)) return damaged('its checksum does not fit');
  const version = bytes.readUInt8(4);
  if (version !== recordVersion) return { type: 'newer', version };
  return { type: 'whole', payload: Uint8Array.from(bytes.subarray(headerBytes)) };
}

function checksum(file: Buffer): number {
  return crc32(file.subarray(headerBytes), crc32(file.subarray(4, 9)));
}

function damaged(reason: string): RecordVerdict {
  return { type: 'damaged', reason };
}
