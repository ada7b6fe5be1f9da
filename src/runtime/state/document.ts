/**
 * One open document over its cell of replicated state. Every edit is an entry; whoever writes when there are many puts
 * what it knows into one and replaces what it has seen. An entry that was not understood here is never replaced.
 */

import { MycelError } from '../../kernel/errors.ts';
import type { DocumentLibrary, LiveDocument } from '../../ports/documents.ts';
import type { CellAddress, Entry } from '../../protocol/replication/cell.ts';
import { clear } from '../../protocol/replication/writes.ts';
import { bytesOf, cutUpdate, findUpdates } from './document-parts.ts';
import type { StateRoom } from './state-room.ts';

/** Bytes a document may take when it is put into one. */
export const documentBytesMax: number = 256 * 1024;

/** Entries beyond those of the last whole before a writer puts them into one. */
export const documentEditsMax = 32;

/** Bytes beyond twice the last whole before a writer puts them into one. */
const slackBytes: number = 16 * 1024;

/** What the document needs to know of its place. */
export interface DocumentPlace {
  readonly room: StateRoom;
  readonly library: DocumentLibrary;
  readonly address: CellAddress;
  readonly key: string;
  /** Edits could not be written, or entries not be read. */
  note(text: string): void;
}

/** An open document. */
export class OpenDocument {
  readonly live: LiveDocument;
  #place: DocumentPlace;
  #applied = new Set<Entry>();
  /** Values of own entries: what they say is in the document already. */
  #own = new WeakSet<object>();
  #refused = new WeakSet<Entry>();
  #pending: Uint8Array[] = [];
  #writing: Promise<void> | undefined;
  #failure: unknown;
  /** Entries are gone: what they said may be said nowhere any more. */
  #isDoubtful = false;
  #isDeleted = false;
  #wholeBytes: number;
  #wholeEntries = 0;
  #stops: (() => void)[];

  constructor(place: DocumentPlace) {
    const { room, library, address } = place;
    this.#place = place;
    this.live = library.create();
    this.#absorb();
    this.#wholeBytes = this.live.whole().length;
    this.#stops = [
      this.live.onEdit((update) => {
        this.#pending.push(update);
        this.#write();
      }),
      room.onChanged((addresses) => {
        if (!addresses.includes(address)) return;
        this.#absorb();
        this.#write();
      }),
    ];
  }

  get isDeleted(): boolean {
    return this.#isDeleted;
  }

  /** Whether so many bytes more are sure to fit. */
  hasRoomFor(bytes: number): boolean {
    const kept = bytesOf(this.#entries()) + this.#pending.reduce((sum, one) => sum + one.length, 0);
    if (kept + bytes <= documentBytesMax) return true;
    return this.live.whole().length + bytes <= documentBytesMax;
  }

  /**
   * Resolves when every edit made here is on disk.
   * @throws {MycelError} MYCEL_TOO_LARGE, MYCEL_STATE_INVALID, MYCEL_NOT_RUNNING
   */
  async saved(): Promise<void> {
    if (this.#pending.length > 0) this.#write();
    while (this.#writing !== undefined) await this.#writing;
    if (this.#isDeleted) throw this.#deleted();
    if (this.#pending.length > 0) throw this.#failure;
  }

  /** Removes it from the state of the mesh. An edit made elsewhere at the same time brings it back. */
  async delete(): Promise<void> {
    await this.saved();
    await this.#place.room.change(this.#place.address, () => clear());
  }

  async close(): Promise<void> {
    try {
      await this.saved();
    } finally {
      for (const end of this.#stops) end();
      this.live.destroy();
    }
  }

  #entries(): readonly Entry[] {
    return this.#place.room.entries(this.#place.address);
  }

  /** Takes in what is new in the cell. */
  #absorb(): void {
    const entries = this.#entries();
    for (const entry of this.#applied) {
      if (entries.includes(entry)) continue;
      this.#applied.delete(entry);
      this.#isDoubtful = true;
    }
    const fresh = entries.filter((entry) => !this.#applied.has(entry));
    for (const { entries: from, update } of findUpdates(fresh)) {
      const isOwn = from.every(({ value }) => this.#own.has(value as object));
      if (isOwn || this.live.apply(update)) for (const entry of from) this.#applied.add(entry);
      else for (const entry of from) this.#refuse(entry);
    }
  }

  #refuse(entry: Entry): void {
    if (!this.#refused.has(entry)) {
      this.#place.note(
        `An entry of document '${this.#place.key}' is no update of Yjs 13; it stays.`,
      );
    }
    this.#refused.add(entry);
  }

  /** Writes what is to be written, unless it is being done. */
  #write(): void {
    if (this.#writing !== undefined || this.#isDeleted) return;
    if (this.#pending.length === 0 && !this.#isDoubtful) return;
    this.#writing = this.#writeAll().finally(() => {
      this.#writing = undefined;
      // Something may have come when the last look was over.
      if (this.#failure === undefined) this.#write();
    });
  }

  async #writeAll(): Promise<void> {
    // Edits of one turn become one entry.
    await Promise.resolve();
    try {
      while (this.#pending.length > 0 || this.#isDoubtful) {
        if (this.#pending.length > 0) await this.#writeEdits();
        else await this.#checkCell();
      }
      this.#failure = undefined;
    } catch (error) {
      this.#failure = error;
      this.#place.note(
        `Edits of document '${this.#place.key}' could not be kept: ${String(error)}`,
      );
    }
  }

  async #writeEdits(): Promise<void> {
    const edits = this.#pending;
    const update = this.#place.library.merge(edits);
    const entries = this.#entries();
    const isMuch = entries.length - this.#wholeEntries >= documentEditsMax;
    const bytes = bytesOf(entries) + update.length;
    if (isMuch || bytes > 2 * this.#wholeBytes + slackBytes) return await this.#writeWhole();
    this.#pending = [];
    await this.#put(update, () => false, edits);
  }

  /** Puts everything that is known here into one update, instead of all it was learned from. */
  async #writeWhole(): Promise<void> {
    const update = this.live.whole();
    if (update.length > documentBytesMax) {
      throw new MycelError('MYCEL_TOO_LARGE', {
        key: this.#place.key,
        reason: `Document '${this.#place.key}' takes ${update.length} bytes; ${documentBytesMax} are allowed. What was edited since is not kept.`,
        fix: 'Delete some of it, or split it into several documents.',
      });
    }
    const edits = this.#pending;
    this.#pending = [];
    const written = this.#put(update, (entry) => this.#applied.has(entry), edits);
    // Whatever is gone by now, this write says it.
    this.#isDoubtful = false;
    this.#wholeBytes = update.length;
    this.#wholeEntries = this.#entries().length;
    await written;
  }

  async #put(
    update: Uint8Array,
    replaces: (entry: Entry) => boolean,
    edits: readonly Uint8Array[],
  ): Promise<void> {
    const { room, address } = this.#place;
    const { wallMs, count } = room.tick();
    const values = cutUpdate(update, `${wallMs}.${count}`);
    for (const value of values) this.#own.add(value as object);
    try {
      await room.change(address, () => ({ replaces, values }));
    } catch (error) {
      this.#pending = [...edits, ...this.#pending];
      throw error;
    }
  }

  /**
   * Entries are gone. When others put them into one, the cell says as much as before. When the document was deleted
   * while it was edited here, the edit wins: it brings the whole document back, not a piece that means nothing.
   */
  async #checkCell(): Promise<void> {
    this.#isDoubtful = false;
    const entries = this.#entries();
    if (entries.length === 0) {
      this.#isDeleted = true;
      return;
    }
    const isMine = ({ replica }: Entry): boolean => replica === this.#place.room.replica();
    if (!entries.some(isMine)) return;
    const other = this.#place.library.create();
    for (const { update } of findUpdates(entries)) other.apply(update);
    const isSaid = other.equals(this.live);
    other.destroy();
    if (!isSaid) await this.#writeWhole();
  }

  #deleted(): MycelError {
    return new MycelError('MYCEL_STATE_INVALID', {
      key: this.#place.key,
      reason: `Document '${this.#place.key}' was deleted.`,
      fix: 'Open it again to begin a new one.',
    });
  }
}
