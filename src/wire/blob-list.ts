/** The list of a blob: its size and the SHA-256 of each chunk. The blob's name is the SHA-256 of the list. */

import { createHash } from 'node:crypto';
import { MycelError } from '../kernel/errors.ts';
import { concatBytes, isSameBytes, toHex } from './bytes.ts';

/** Bytes of a chunk; the last one of a blob may be shorter. */
export const blobChunkBytes: number = 256 * 1024;

/** Largest blob, in bytes: its list is one answer of a call. */
export const blobBytesMax: number = 32 * 1024 * 1024 * 1024;

const version = 1;
const headBytes = 9;
const hashBytes = 32;

/** What is known of a blob's content. */
export interface BlobList {
  readonly size: number;
  /** SHA-256 of each chunk, one after the other. */
  readonly hashes: Uint8Array;
}

/** SHA-256. */
export function hashOf(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash('sha256').update(bytes).digest());
}

/** Encodes: version 1, size 8 (big endian), hashes. */
export function encodeBlobList({ size, hashes }: BlobList): Uint8Array {
  const head = new Uint8Array(headBytes);
  head[0] = version;
  new DataView(head.buffer).setBigUint64(1, BigInt(size));
  return concatBytes(head, hashes);
}

/** The name of the blob with this list: 64 hex digits. */
export function blobNameOf(list: Uint8Array): string {
  return toHex(hashOf(list));
}

/** Reads the list of a blob of this name. @throws {MycelError} MYCEL_BLOB_DAMAGED when it is not that blob's. */
export function readBlobList(name: string, bytes: Uint8Array): BlobList {
  if (blobNameOf(bytes) !== name || bytes[0] !== version || bytes.length < headBytes) {
    throw new MycelError('MYCEL_BLOB_DAMAGED', { reason: 'Its list is not the one of this name.' });
  }
  const size = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(1));
  const hashes = bytes.subarray(headBytes);
  const count = Math.ceil(size / blobChunkBytes);
  if (size > blobBytesMax || hashes.length !== count * hashBytes) {
    throw new MycelError('MYCEL_BLOB_DAMAGED', { reason: 'Its list contradicts itself.' });
  }
  return { size, hashes };
}

/** How many chunks there are. */
export function chunkCountOf({ hashes }: BlobList): number {
  return hashes.length / hashBytes;
}

/** Whether these bytes are the chunk at `index`. */
export function isChunk(list: BlobList, index: number, bytes: Uint8Array): boolean {
  const wanted = list.hashes.subarray(index * hashBytes, (index + 1) * hashBytes);
  const length = Math.min(blobChunkBytes, list.size - index * blobChunkBytes);
  return bytes.length === length && isSameBytes(hashOf(bytes), wanted);
}
