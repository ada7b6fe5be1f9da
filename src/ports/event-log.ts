/** What the outbox keeps: a list of entries that only grows, and survives a power cut at any instant up to the last batch that was synced. */

/** An entry, and where it lies: for `read`, until the log is written anew. */
export interface PlacedEntry {
  readonly at: number;
  readonly entry: Uint8Array;
}

/** One event log, owned by one process. What a power cut tore is cut off when it is opened. */
export interface EventLog {
  /**
   * Adds entries, in order and after those of earlier calls. Resolves with their places when they survive a power cut.
   * @throws {MycelError} MYCEL_STORE_FULL, MYCEL_STORE_READ_ONLY or MYCEL_STORE_FAILED; none of them may be counted on then.
   */
  append(entries: readonly Uint8Array[]): Promise<readonly number[]>;
  /**
   * Writes the log anew, at once or not at all: `first`, then what `keep` makes of each entry that is there (undefined:
   * nothing), in order, then `last`. `at` is the place that the kept one gets. Throws as `append` does.
   * @returns the places of `last`
   */
  rewrite(
    first: readonly Uint8Array[],
    keep: (entry: Uint8Array, at: number) => Uint8Array | undefined,
    last: readonly Uint8Array[],
  ): Promise<readonly number[]>;
  /**
   * The entries from a place on (0: the first one), about so many bytes of them, at least one; none at the end. Its bytes are the reader's.
   * @throws {MycelError} MYCEL_STORE_FAILED
   */
  read(at: number, bytes: number): Promise<readonly PlacedEntry[]>;
  /** The place behind an entry. */
  after(placed: PlacedEntry): number;
  /** Bytes on the disk now. */
  bytes(): number;
  /** Bytes handed to the disk since it was opened. */
  bytesWritten(): number;
  /** Idempotent. */
  close(): Promise<void>;
}
