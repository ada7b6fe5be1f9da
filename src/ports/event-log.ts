/** What the outbox keeps: a list of entries that only grows, and survives a power cut at any instant up to the last batch that was synced. */

/** One event log, owned by one process. */
export interface EventLog {
  /** The whole entries that were there when it was opened, in order. What a power cut tore is cut off. */
  readonly found: readonly Uint8Array[];
  /**
   * Adds entries, in order and after those of earlier calls. Resolves when they survive a power cut.
   * @throws {MycelError} MYCEL_STORE_FULL, MYCEL_STORE_READ_ONLY or MYCEL_STORE_FAILED; none of them may be counted on then.
   */
  append(entries: readonly Uint8Array[]): Promise<void>;
  /** Puts these entries in place of all that are there, at once or not at all. Throws as `append` does. */
  replace(entries: readonly Uint8Array[]): Promise<void>;
  /** Bytes on the disk now. */
  bytes(): number;
  /** Bytes handed to the disk since it was opened. */
  bytesWritten(): number;
  /** Idempotent. */
  close(): Promise<void>;
}
