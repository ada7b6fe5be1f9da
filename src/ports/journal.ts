/** An append-only journal of small records that survives power cuts: what large and lively state is kept in. */

/**
 * When a record has to be on disk. `now`: before the append resolves, together with whatever else waits (group commit).
 * `lazy`: within seconds, for what others hold too; the append resolves at once.
 */
export type Durability = 'now' | 'lazy';

/** What became of a journal when it was opened. */
export interface JournalFindings {
  /** Parts in the middle were damaged or written by a newer version: they are set aside, and records are missing. */
  readonly hasLosses: boolean;
  /** What was found, in words, with where the rest was put. */
  readonly notes: readonly string[];
}

/** How a journal is doing. */
export interface JournalView {
  readonly recordCount: number;
  readonly bytes: number;
  /** Bytes handed to the disk since the journal was opened, whole 4 KiB pages as flash counts them. */
  readonly flashBytes: number;
  readonly syncCount: number;
  /** Why nothing reaches the disk at the moment; what is appended lives in memory only. */
  readonly trouble: string | undefined;
}

/** One open journal. Its owner can always tell the whole state again: that is how it is compacted. */
export interface Journal {
  readonly findings: JournalFindings;
  /**
   * Appends a record. Resolves when it is as durable as asked, or when the disk has refused it (`trouble` says so): the
   * owner goes on with what it has in memory.
   * @throws {RangeError} a record that is empty or above `journalRecordBytesMax`: a bug of the caller.
   */
  append(record: Uint8Array, durability: Durability): Promise<void>;
  /** Whether the owner should tell its state again: the journal is mostly history, or the disk had refused records. */
  wantsCompaction(): boolean;
  /**
   * Replaces all records by these, atomically. Records appended meanwhile are kept behind them.
   * @returns false when the disk refused; the old content stays.
   */
  compact(records: Iterable<Uint8Array>): Promise<boolean>;
  view(): JournalView;
  /** Writes what waits and closes. Idempotent. */
  close(): Promise<void>;
}

/** Opens a journal; `replay` gets every whole record, oldest first, before the promise resolves. */
export type OpenJournal = (name: string, replay: (record: Uint8Array) => void) => Promise<Journal>;

/** Largest record, in bytes. */
export const journalRecordBytesMax: number = 64 * 1024;
