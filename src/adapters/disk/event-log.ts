/**
 * The event log on disk: one file of framed entries that is only appended to and synced once a batch. After a power cut the
 * file ends somewhere inside a batch: what is not whole is cut off, and what lies before it is believed by its checksum.
 *
 * Frame: length 4, CRC-32 of the entry 4 (both big endian), the entry. `events-<n>` replaces `events-<n-1>`.
 */

import { mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { MycelError } from '../../kernel/errors.ts';
import type { EventLog } from '../../ports/event-log.ts';
import { asStoreError, syncDirectory } from './directory.ts';

/** Largest entry, in bytes: an event of the largest size and all members that are owed it. */
export const eventLogEntryBytesMax: number = 1024 * 1024;

/** Largest file that is read, in bytes; a larger one is none of ours. */
const eventLogBytesMax: number = 256 * 1024 * 1024;

const frameBytes = 8;

const ownFile = /^events-(\d{1,9})$/;

/**
 * Opens (and creates, mode 0700) the directory of an event log. Damage is cut off, never thrown.
 * @throws {MycelError} MYCEL_STORE_FULL, MYCEL_STORE_READ_ONLY or MYCEL_STORE_FAILED.
 */
export async function openDiskEventLog(directory: string): Promise<EventLog> {
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const numbers = await tidy(directory);
    const number = numbers.at(-1) ?? 1;
    const { entries, size } = await readWhole(pathOf(directory, number));
    return createDiskEventLog(directory, number, entries, size);
  } catch (error) {
    throw asStoreError(error, directory);
  }
}

function createDiskEventLog(
  directory: string,
  first: number,
  found: readonly Uint8Array[],
  wholeBytes: number,
): EventLog {
  let number = first;
  let bytes = wholeBytes;
  let written = 0;
  let file: FileHandle | undefined;
  let tail: Promise<unknown> = Promise.resolve();
  let isClosed = false;

  /** One action at a time, in the order of the calls. */
  function queue(action: () => Promise<void>): Promise<void> {
    if (isClosed) {
      return Promise.reject(new MycelError('MYCEL_STORE_FAILED', { reason: 'It is closed.' }));
    }
    const result = tail.then(action).catch((error: unknown) => {
      throw asStoreError(error, directory);
    });
    tail = result.catch(() => undefined);
    return result;
  }

  async function opened(): Promise<FileHandle> {
    if (file !== undefined) return file;
    file = await open(pathOf(directory, number), 'a', 0o600);
    // What a power cut, or a failed write, left half done behind the last whole entry.
    await file.truncate(bytes);
    await syncDirectory(directory);
    return file;
  }

  async function append(entries: readonly Uint8Array[]): Promise<void> {
    const batch = frame(entries);
    const handle = await opened();
    try {
      await handle.appendFile(batch);
      await handle.datasync();
    } catch (error) {
      // The rest of it may be there or not: the next batch must not come to lie behind a torn one.
      file = undefined;
      await handle.close().catch(() => undefined);
      throw error;
    }
    bytes += batch.length;
    written += batch.length;
  }

  async function replace(entries: readonly Uint8Array[]): Promise<void> {
    const batch = frame(entries);
    const draft = join(directory, 'draft');
    const fresh = await open(draft, 'w', 0o600);
    try {
      await fresh.writeFile(batch);
      await fresh.sync();
    } finally {
      await fresh.close();
    }
    await rename(draft, pathOf(directory, number + 1));
    await syncDirectory(directory);
    await file?.close();
    file = undefined;
    await rm(pathOf(directory, number), { force: true });
    number += 1;
    bytes = batch.length;
    written += batch.length;
  }

  return {
    found,
    append: (entries) => queue(() => append(entries)),
    replace: (entries) => queue(() => replace(entries)),
    bytes: () => bytes,
    bytesWritten: () => written,
    async close() {
      isClosed = true;
      await tail;
      await file?.close();
      file = undefined;
    },
  };
}

function pathOf(directory: string, number: number): string {
  return join(directory, `events-${number}`);
}

/** Removes what a crash left behind; returns the numbers of the files, the last one being the one that counts. */
async function tidy(directory: string): Promise<number[]> {
  const numbers: number[] = [];
  for (const name of await readdir(directory)) {
    const [, digits] = ownFile.exec(name) ?? [];
    if (digits !== undefined) numbers.push(Number(digits));
  }
  numbers.sort((left, right) => left - right);
  // On a read-only disk they stay, and do no harm.
  const old = numbers.slice(0, -1).map((number) => pathOf(directory, number));
  for (const path of [...old, join(directory, 'draft')]) {
    await rm(path, { force: true }).catch(() => undefined);
  }
  return numbers;
}

function frame(entries: readonly Uint8Array[]): Buffer {
  const parts: Uint8Array[] = [];
  for (const entry of entries) {
    if (entry.length === 0 || entry.length > eventLogEntryBytesMax) {
      throw new RangeError(`an entry of ${entry.length} bytes`);
    }
    const head = Buffer.allocUnsafe(frameBytes);
    head.writeUInt32BE(entry.length, 0);
    head.writeUInt32BE(crc32(entry), 4);
    parts.push(head, entry);
  }
  return Buffer.concat(parts);
}

async function readWhole(path: string): Promise<{ entries: Uint8Array[]; size: number }> {
  let content: Buffer;
  try {
    const file = await open(path, 'r');
    try {
      const { size } = await file.stat();
      content = size > eventLogBytesMax ? Buffer.alloc(0) : await file.readFile();
    } finally {
      await file.close();
    }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    // A bad block, or nothing there: nothing is found.
    if (code === 'ENOENT' || code === 'EIO') return { entries: [], size: 0 };
    throw error;
  }
  const entries: Uint8Array[] = [];
  let at = 0;
  while (at + frameBytes <= content.length) {
    const length = content.readUInt32BE(at);
    const end = at + frameBytes + length;
    if (length === 0 || length > eventLogEntryBytesMax || end > content.length) break;
    const entry = content.subarray(at + frameBytes, end);
    if (crc32(entry) !== content.readUInt32BE(at + 4)) break;
    entries.push(Uint8Array.from(entry));
    at = end;
  }
  return { entries, size: at };
}
