/** Small named records that survive a power cut at any instant. */

/** One data directory, owned by one process. */
export interface Store {
  /** The last fully written content, or undefined when there is none. Damage is set aside and reported, never thrown. */
  read(name: string): Promise<Uint8Array | undefined>;
  /**
   * Replaces the record atomically: after the promise resolves the new content survives a power cut;
   * before that, the old content does.
   * @throws {MycelError} MYCEL_STORE_FULL, MYCEL_STORE_READ_ONLY or MYCEL_STORE_FAILED; the old content stays.
   */
  write(name: string, bytes: Uint8Array): Promise<void>;
  remove(name: string): Promise<void>;
  list(): Promise<readonly string[]>;
  /** Records that were found damaged since the store was opened, with what was done about each. */
  damage(): readonly { readonly name: string; readonly action: string }[];
  /** Gives the directory back. Idempotent. */
  close(): Promise<void>;
}
