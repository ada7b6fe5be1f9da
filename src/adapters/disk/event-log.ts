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
import type { EventLog, PlacedEntry } from '../../ports/event-log.ts';
import { asStoreError, syncDirectory } from './directory.ts';

/** Largest entry, in bytes: an event of the largest size and all members that are owed it. */
export const eventLogEntryBytesMax: number = 1024 * 1024;

/** Largest file that is read, in bytes; a larger one is none of ours. */
const eventLogBytesMax: number = 256 * 1024 * 1024;

const frameBytes = 8;

/** How much is read, or written anew, at once. */
const blockBytes: number = 1024 * 1024;

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
    return createDiskEventLog(directory, number, await wholeBytes(pathOf(directory, number)));
  } catch (error) {
    throw asStoreError(error, directory);
  }
}

function createDiskEventLog(directory: string, first: number, whole: number): EventLog {
  let number = first;
  let bytes = whole;
  let written = 0;
  let file: FileHandle | undefined;
  let tail: Promise<unknown> = Promise.resolve();
  let isClosed = false;

  /** One action at a time, in the order of the calls. */
  function queue<Result>(action: () => Promise<Result>): Promise<Result> {
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

  async function append(entries: readonly Uint8Array[]): Promise<readonly number[]> {
    const { batch, places } = frame(entries, bytes);
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
    return places;
  }

  async function rewrite(...parts: Parameters<EventLog['rewrite']>): Promise<readonly number[]> {
    const [head, keep, last] = parts;
    const draft = join(directory, 'draft');
    const fresh = await open(draft, 'w', 0o600);
    let size = 0;
    let places: readonly number[] = [];
    const put = async (entries: readonly Uint8Array[]): Promise<void> => {
      const { batch, places: fresher } = frame(entries, size);
      await fresh.writeFile(batch);
      size += batch.length;
      places = fresher;
    };
    try {
      await put(head);
      for (let at = 0; at < bytes;) {
        const some = await readFrom(
          pathOf(directory, number),
          at,
          Math.min(bytes, at + blockBytes),
        );
        if (some.length === 0) {
          // Going on without them would lose what is owed.
          const reason = `The entries from byte ${at} on cannot be read any more.`;
          throw new MycelError('MYCEL_STORE_FAILED', { reason });
        }
        const kept: Uint8Array[] = [];
        let keptAt = size;
        for (const { entry } of some) {
          const one = keep(entry, keptAt);
          if (one === undefined) continue;
          kept.push(one);
          keptAt += frameBytes + one.length;
        }
        await put(kept);
        at = after(some.at(-1) as PlacedEntry);
      }
      await put(last);
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
    bytes = size;
    written += size;
    return places;
  }

  return {
    append: (entries) => queue(() => append(entries)),
    rewrite: (...parts) => queue(() => rewrite(...parts)),
    read: (at, size) =>
      queue(() => readFrom(pathOf(directory, number), at, Math.min(bytes, at + size))),
    after,
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

function after({ at, entry }: PlacedEntry): number {
  return at + frameBytes + entry.length;
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

/** `from`: where the batch will lie. */
function frame(
  entries: readonly Uint8Array[],
  from: number,
): { batch: Buffer; places: readonly number[] } {
  const parts: Uint8Array[] = [];
  const places: number[] = [];
  let at = from;
  for (const entry of entries) {
    if (entry.length === 0 || entry.length > eventLogEntryBytesMax) {
      throw new RangeError(`an entry of ${entry.length} bytes`);
    }
    const head = Buffer.allocUnsafe(frameBytes);
    head.writeUInt32BE(entry.length, 0);
    head.writeUInt32BE(crc32(entry), 4);
    parts.push(head, entry);
    places.push(at);
    at += frameBytes + entry.length;
  }
  return { batch: Buffer.concat(parts), places };
}

/** Bytes of a file up to where its entries stop being whole. */
async function wholeBytes(path: string): Promise<number> {
  let at = 0;
  for (;;) {
    const some = await readFrom(path, at, at + blockBytes);
    const last = some.at(-1);
    if (last === undefined) return at;
    at = after(last);
  }
}

/** The whole entries of a file from `at` to about `end`, the first one whatever its size. */
async function readFrom(path: string, at: number, end: number): Promise<PlacedEntry[]> {
  let file: FileHandle;
  try {
    file = await open(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  try {
    const { size } = await file.stat();
    if (size > eventLogBytesMax) return [];
    const entries = entriesIn(await bytesOf(file, at, end - at), at);
    if (entries.length > 0) return entries;
    return entriesIn(await bytesOf(file, at, eventLogEntryBytesMax + frameBytes), at).slice(0, 1);
  } catch (error) {
    // A bad block: nothing is found from there on.
    if ((error as NodeJS.ErrnoException).code === 'EIO') return [];
    throw error;
  } finally {
    await file.close();
  }
}

async function bytesOf(file: FileHandle, at: number, size: number): Promise<Buffer> {
  const content = Buffer.allocUnsafe(Math.max(0, size));
  const { bytesRead } = await file.read(content, 0, content.length, at);
  return content.subarray(0, bytesRead);
}

function entriesIn(content: Buffer, from: number): PlacedEntry[] {
  const entries: PlacedEntry[] = [];
  let at = 0;
  while (at + frameBytes <= content.length) {
    const length = content.readUInt32BE(at);
    const end = at + frameBytes + length;
    if (length === 0 || length > eventLogEntryBytesMax || end > content.length) break;
    const entry = content.subarray(at + frameBytes, end);
    if (crc32(entry) !== content.readUInt32BE(at + 4)) break;
    entries.push({ at: from + at, entry: Uint8Array.from(entry) });
    at = end;
  }
  return entries;
}
