/** Files for content too large for a record: written in order, read anywhere. */

/** One directory of files, named by lower-case letters, digits, '-' and '.'. */
export interface BlobFiles {
  /** Bytes of the file; undefined: there is none. */
  size(name: string): Promise<number | undefined>;
  /** At most `length` bytes from `at`; fewer at the end of the file. */
  read(name: string, at: number, length: number): Promise<Uint8Array>;
  /** Writes at a place; makes the file if there is none. @throws {MycelError} MYCEL_STORE_FULL, MYCEL_STORE_FAILED */
  write(name: string, at: number, bytes: Uint8Array): Promise<void>;
  /** Gives the file another name for good: it survives a power cut with its content. */
  settle(from: string, to: string): Promise<void>;
  remove(name: string): Promise<void>;
  /** Every file with its bytes, in no order. */
  list(): Promise<readonly { readonly name: string; readonly bytes: number }[]>;
  /** Bytes of all files. */
  used(): Promise<number>;
}
