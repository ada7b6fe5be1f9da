/** Documents that several people edit at once: a library that merges their edits, loaded when one is opened. */

/** The library. */
export interface DocumentLibrary {
  /** A document in which nothing is written yet. */
  create(): LiveDocument;
  /** Several updates as one. */
  merge(updates: readonly Uint8Array[]): Uint8Array;
}

/** A document in memory. Updates may be applied in any order and more than once. */
export interface LiveDocument {
  /** The library's own document: programs edit it. */
  readonly content: object;
  /** Its text of this name. */
  text(name: string): LiveText;
  /** Takes what another document wrote. False: this is no update. */
  apply(update: Uint8Array): boolean;
  /** Everything that was written, as one update. */
  whole(): Uint8Array;
  /** Whether both know the same edits. */
  equals(other: LiveDocument): boolean;
  /** Hears of every edit made here, as an update, and not of those applied. */
  onEdit(listener: (update: Uint8Array) => void): () => void;
  destroy(): void;
}

/** A text inside a document. Places and lengths are counted in UTF-16 units. */
export interface LiveText {
  insert(at: number, text: string): void;
  delete(at: number, length: number): void;
  toString(): string;
  /** Hears of every change, made here or elsewhere. */
  observe(listener: () => void): () => void;
}

/**
 * Loads the library.
 * @throws {MycelError} MYCEL_NOT_INSTALLED
 */
export type LoadDocuments = () => Promise<DocumentLibrary>;
