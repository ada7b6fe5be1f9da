/**
 * A journal on disk. What is acknowledged is synced; a torn end is cut off; damage in the middle is set aside and told;
 * a disk that is full or read-only costs durability, never the node (decision 0027).
 */

import type { Clock } from '../../ports/clock.ts';
import type { Durability, Journal, JournalView } from '../../ports/journal.ts';
import { journalRecordBytesMax } from '../../ports/journal.ts';
import type { Log } from '../../ports/log.ts';
import { frameRecord, journalHeader, journalHeaderBytes, readJournal } from './journal-frames.ts';
import type { JournalFile, JournalFiles } from './journal-files.ts';

/** How long lazy records may wait for the disk, in ms, and how many bytes of them. */
const lazyMs = 5_000;
const lazyBytesMax: number = 128 * 1024;

/** A journal below this is never compacted, in bytes. */
const compactBytesMin: number = 1024 * 1024;

/** A disk that refused is tried again after so long, in ms. */
const retryMs = 10_000;

/** Damaged stretches of one journal that are kept. */
const damagedMax = 3;

/** Bytes a flash page takes: what a synced write costs at least. */
const pageBytes = 4096;

/** Bytes written at once while compacting. */
const chunkBytes: number = 256 * 1024;

/** What a journal needs. */
export interface JournalOptions {
  readonly files: JournalFiles;
  readonly name: string;
  readonly clock: Clock;
  readonly log: Log;
}

/** Opens a journal. Never rejects: whatever the disk says, there is a journal, if only in memory. */
export async function openJournal(
  options: JournalOptions,
  replay: (record: Uint8Array) => void,
): Promise<Journal> {
  const journal = new DiskJournal(options);
  await journal.open(replay);
  return journal;
}

interface Waiting {
  readonly frame: Uint8Array;
  readonly done: (() => void) | undefined;
}

class DiskJournal implements Journal {
  readonly #options: JournalOptions;
  readonly #fileName: string;
  readonly #notes: string[] = [];
  #hasLosses = false;
  #file: JournalFile | undefined;
  #size = 0;
  /** Size after the last compaction. */
  #baseSize = 0;
  #recordCount = 0;
  #flashBytes = 0;
  #syncCount = 0;
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  /** Frames appended since a running compaction began, until it takes them. */
  #since: Uint8Array[] | undefined;
  #isCompacting = false;
  #trouble: string | undefined;
  #retryAt = 0;
  #isBehind = false;
  #isClosed = false;
  #cancelLazy: (() => void) | undefined;
  /** Everything that touches the file, one after the other. */
  #tail: Promise<void> = Promise.resolve();
  #isFlushQueued = false;

  constructor(options: JournalOptions) {
    this.#options = options;
    this.#fileName = `${options.name}.journal`;
  }

  get findings(): { readonly hasLosses: boolean; readonly notes: readonly string[] } {
    return { hasLosses: this.#hasLosses, notes: this.#notes };
  }

  async open(replay: (record: Uint8Array) => void): Promise<void> {
    const { files } = this.#options;
    try {
      await files.remove(`${this.#fileName}.next`);
      const content = (await files.read(this.#fileName)) ?? Buffer.alloc(0);
      const reading = readJournal(content, replay);
      if (reading.type === 'newer') {
        await this.#setAside(content, `newer-${reading.version}`);
        this.#note(`it was written by a newer version (${reading.version})`, true);
        return await this.#begin();
      }
      for (const { from, to } of reading.damaged) {
        await this.#setAside(content.subarray(from, to), 'damaged');
        this.#note(`${to - from} bytes at ${from} were damaged`, true);
      }
      if (content.length > reading.end && content.length > 0) {
        this.#note(
          `the last ${content.length - reading.end} bytes were incomplete and cut off`,
          false,
        );
      }
      this.#recordCount = reading.recordCount;
      if (reading.end < journalHeaderBytes) return await this.#begin();
      this.#file = await files.open(this.#fileName, false);
      await this.#file.truncate(reading.end);
      this.#size = reading.end;
      this.#baseSize = reading.end;
      // What is damaged is told again by the owner, whole.
      this.#isBehind = reading.damaged.length > 0;
    } catch (error) {
      this.#failed(error);
    }
  }

  append(record: Uint8Array, durability: Durability): Promise<void> {
    if (record.length === 0 || record.length > journalRecordBytesMax) {
      throw new RangeError(`a record of ${record.length} bytes`);
    }
    if (this.#isClosed) return Promise.resolve();
    const frame = frameRecord(record);
    this.#since?.push(frame);
    this.#waitingBytes += frame.length;
    if (durability === 'lazy') {
      this.#waiting.push({ frame, done: undefined });
      if (this.#waitingBytes >= lazyBytesMax) this.#flushSoon();
      else this.#flushLater();
      return Promise.resolve();
    }
    return new Promise((done) => {
      this.#waiting.push({ frame, done });
      this.#flushSoon();
    });
  }

  wantsCompaction(): boolean {
    if (this.#isClosed || this.#isCompacting) return false;
    if (this.#isBehind) return this.#options.clock.now() >= this.#retryAt;
    return this.#size > Math.max(compactBytesMin, 2 * this.#baseSize);
  }

  async compact(records: Iterable<Uint8Array>): Promise<boolean> {
    if (this.#isClosed || this.#isCompacting) return false;
    this.#isCompacting = true;
    this.#since = [];
    const { files } = this.#options;
    const draftName = `${this.#fileName}.next`;
    let draft: JournalFile | undefined;
    let batch: readonly Waiting[] = [];
    try {
      draft = await files.open(draftName, true);
      let at = await this.#put(draft, 0, [journalHeader()]);
      let count = 0;
      let chunk: Uint8Array[] = [];
      let bytes = 0;
      for (const record of records) {
        const frame = frameRecord(record);
        chunk.push(frame);
        bytes += frame.length;
        count += 1;
        if (bytes < chunkBytes) continue;
        at = await this.#put(draft, at, chunk);
        chunk = [];
        bytes = 0;
      }
      at = await this.#put(draft, at, chunk);
      const whole = draft;
      await this.#serially(async () => {
        // What is appended from here on waits for the next flush, which finds the new file.
        const since = this.#since ?? [];
        this.#since = undefined;
        batch = this.#takeWaiting();
        const end = await this.#put(whole, at, since);
        await whole.sync();
        this.#syncCount += 1;
        await files.rename(draftName, this.#fileName);
        await files.sync();
        await this.#file?.close();
        this.#file = whole;
        this.#size = end;
        this.#baseSize = end;
        this.#recordCount = count + since.length;
        this.#isBehind = false;
        this.#recovered();
      });
      return true;
    } catch (error) {
      this.#since = undefined;
      await draft?.close().catch(() => undefined);
      this.#failed(error);
      return false;
    } finally {
      this.#isCompacting = false;
      // They are in the new file; or, as after any refusal of the disk, in memory only.
      for (const { done } of batch) done?.();
    }
  }

  view(): JournalView {
    return {
      recordCount: this.#recordCount,
      bytes: this.#size,
      flashBytes: this.#flashBytes,
      syncCount: this.#syncCount,
      trouble: this.#trouble,
    };
  }

  async close(): Promise<void> {
    if (this.#isClosed) return await this.#tail;
    this.#cancelLazy?.();
    await this.#serially(() => this.#flush());
    this.#isClosed = true;
    await this.#serially(async () => {
      await this.#file?.close().catch(() => undefined);
      this.#file = undefined;
    });
  }

  async #begin(): Promise<void> {
    const file = await this.#options.files.open(this.#fileName, true);
    this.#size = await this.#put(file, 0, [journalHeader()]);
    await file.sync();
    await this.#options.files.sync();
    this.#file = file;
    this.#baseSize = this.#size;
  }

  async #put(file: JournalFile, at: number, frames: readonly Uint8Array[]): Promise<number> {
    if (frames.length === 0) return at;
    const bytes = frames.length === 1 ? (frames[0] as Uint8Array) : Buffer.concat(frames);
    await file.write(bytes, at);
    this.#flashBytes += Math.ceil(bytes.length / pageBytes) * pageBytes;
    return at + bytes.length;
  }

  #flushLater(): void {
    this.#cancelLazy ??= this.#options.clock.alarm(this.#options.clock.now() + lazyMs, () =>
      this.#flushSoon(),
    );
  }

  #flushSoon(): void {
    if (this.#isFlushQueued) return;
    this.#isFlushQueued = true;
    void this.#serially(() => this.#flush());
  }

  /** Writes all that waits and syncs it: whoever appends while this runs goes with the next one. */
  async #flush(): Promise<void> {
    this.#isFlushQueued = false;
    const batch = this.#takeWaiting();
    if (batch.length === 0) return;
    try {
      if (this.#file !== undefined && !this.#isBehind) {
        const frames = batch.map(({ frame }) => frame);
        this.#size = await this.#put(this.#file, this.#size, frames);
        this.#recordCount += batch.length;
        await this.#file.sync();
        this.#syncCount += 1;
        this.#recovered();
      } else this.#isBehind = true;
    } catch (error) {
      this.#failed(error);
    }
    for (const { done } of batch) done?.();
  }

  #takeWaiting(): readonly Waiting[] {
    this.#cancelLazy?.();
    this.#cancelLazy = undefined;
    const batch = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    return batch;
  }

  #serially(action: () => Promise<void>): Promise<void> {
    const result = this.#tail.then(action);
    this.#tail = result.catch(() => undefined);
    return result;
  }

  /** From now on the file lacks something: only a compaction makes it whole again. */
  #failed(error: unknown): void {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    this.#isBehind = true;
    this.#retryAt = this.#options.clock.now() + retryMs;
    const text = `${words[code] ?? `the disk refuses (${code || String(error)})`}: state is kept in memory only`;
    if (this.#trouble !== text) {
      this.#options.log.error({ journal: this.#fileName, error }, text);
    }
    this.#trouble = text;
  }

  #recovered(): void {
    if (this.#trouble === undefined) return;
    this.#trouble = undefined;
    this.#options.log.info({ journal: this.#fileName }, 'the disk takes state again');
  }

  async #setAside(bytes: Uint8Array, suffix: string): Promise<void> {
    const { files } = this.#options;
    for (let slot = 1; slot <= damagedMax; slot += 1) {
      const name = `${this.#fileName}.${suffix}${suffix === 'damaged' ? `-${slot}` : ''}`;
      if (slot < damagedMax && (await files.read(name)) !== undefined && suffix === 'damaged')
        continue;
      const aside = await files.open(name, true);
      await aside.write(bytes, 0);
      await aside.sync();
      await aside.close();
      this.#notes.push(`set aside as ${name}`);
      return;
    }
  }

  #note(text: string, isLoss: boolean): void {
    if (isLoss) this.#hasLosses = true;
    this.#notes.push(text);
    const { log } = this.#options;
    if (isLoss) log.warn({ journal: this.#fileName }, text);
    else log.info({ journal: this.#fileName }, text);
  }
}

const words: Readonly<Record<string, string>> = {
  ENOSPC: 'The disk is full',
  EDQUOT: 'The disk quota is used up',
  EROFS: 'The disk is read-only',
  EACCES: 'The data directory cannot be written',
  EIO: 'The disk reports errors',
};
