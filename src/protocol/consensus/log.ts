/** The log of one replica in memory: what is decided, what is durable, and which configuration rules. */

import { entryBytes } from './messages.ts';
import type { Configuration, Entry, Snapshot } from './messages.ts';
import { emptyConfiguration } from './quorum.ts';

/** A write that is on its way to the disk. */
interface Write {
  readonly seq: number;
  /** The first index that it writes (what was there before is gone once it is done); Infinity: no entries. */
  readonly from: number;
  readonly last: number;
}

/** The log. Entries below `firstIndex` are in the snapshot only. */
export class ReplicaLog {
  /** The newest snapshot. It may reach further than `firstIndex`: a few entries are kept for followers that are behind. */
  snapshot: Snapshot | undefined;
  /** Everything up to here is on disk, and no write on its way changes it. */
  stable: number;
  #entries: Entry[];
  /** Index and term just before the first entry. */
  #base: { index: number; term: number };
  #configs: { readonly index: number; readonly config: Configuration }[];
  #writes: Write[] = [];
  #bytes = 0;

  constructor(snapshot: Snapshot | undefined, entries: readonly Entry[]) {
    this.snapshot = snapshot;
    const first = entries[0];
    // Trailing entries before the snapshot's end come first on disk; what does not join on is not part of the log.
    this.#base =
      first === undefined || snapshot === undefined || first.index > snapshot.index
        ? { index: snapshot?.index ?? 0, term: snapshot?.term ?? 0 }
        : { index: first.index - 1, term: 0 };
    this.#entries = [];
    for (const entry of entries) {
      if (entry.index === this.#base.index + this.#entries.length + 1) this.#entries.push(entry);
    }
    if (snapshot !== undefined && this.lastIndex < snapshot.index) {
      this.#entries = [];
      this.#base = { index: snapshot.index, term: snapshot.term };
    }
    this.#configs = [
      { index: snapshot?.index ?? 0, config: snapshot?.config ?? emptyConfiguration },
    ];
    for (const entry of this.#entries) {
      if (entry.type === 'config' && entry.index > (snapshot?.index ?? 0)) {
        this.#configs.push({ index: entry.index, config: entry.config });
      }
      this.#bytes += entryBytes(entry);
    }
    this.stable = this.lastIndex;
  }

  get firstIndex(): number {
    return this.#base.index + 1;
  }

  get lastIndex(): number {
    return this.#base.index + this.#entries.length;
  }

  get lastTerm(): number {
    return this.termAt(this.lastIndex) ?? 0;
  }

  /** Bytes of all entries held. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The configuration that rules: the last one in the log, committed or not (thesis 4.1). */
  get config(): Configuration {
    return this.#configs.at(-1)?.config ?? emptyConfiguration;
  }

  /** Where that one stands. */
  get configIndex(): number {
    return this.#configs.at(-1)?.index ?? 0;
  }

  /** The configuration that ruled at an index. */
  configAt(index: number): Configuration {
    return this.#configs.findLast((one) => one.index <= index)?.config ?? emptyConfiguration;
  }

  /** The term of an entry; undefined: compacted away, or not there yet. */
  termAt(index: number): number | undefined {
    if (index === 0) return 0;
    if (index === this.snapshot?.index) return this.snapshot.term;
    if (index === this.#base.index && this.#base.term > 0) return this.#base.term;
    return this.#entries[index - this.firstIndex]?.term;
  }

  at(index: number): Entry | undefined {
    return this.#entries[index - this.firstIndex];
  }

  /** Entries from an index on, at least one when there is one, then as many as fit into the bytes. */
  slice(from: number, to: number, bytesMax: number): Entry[] {
    const slice: Entry[] = [];
    let bytes = 0;
    for (let index = Math.max(from, this.firstIndex); index <= to; index += 1) {
      const entry = this.at(index);
      if (entry === undefined) break;
      bytes += entryBytes(entry);
      if (slice.length > 0 && bytes > bytesMax) break;
      slice.push(entry);
    }
    return slice;
  }

  /** Whether another log is at least as good as this one (Raft 5.4.1). */
  isBehindOrEqual(lastIndex: number, lastTerm: number): boolean {
    return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.lastIndex);
  }

  /** Adds entries after `at - 1`; what was there goes. They must join on. */
  append(entries: readonly Entry[]): void {
    const first = entries[0];
    if (first === undefined) return;
    this.#truncate(first.index);
    for (const entry of entries) {
      this.#entries.push(entry);
      this.#bytes += entryBytes(entry);
      if (entry.type === 'config') this.#configs.push({ index: entry.index, config: entry.config });
    }
  }

  /** The last index up to `index` whose term is at most `term`: the best place to try next. */
  hintFor(index: number, term: number): { index: number; term: number } {
    for (let at = Math.min(index, this.lastIndex); at >= this.firstIndex; at -= 1) {
      const here = this.termAt(at);
      if (here !== undefined && here <= term) return { index: at, term: here };
    }
    const before = Math.max(0, Math.min(index, this.firstIndex - 1));
    return { index: before, term: this.termAt(before) ?? 0 };
  }

  /** A write leaves for the disk. */
  writing(seq: number, from: number, last: number): void {
    this.#writes.push({ seq, from, last });
    if (from <= this.stable) this.stable = from - 1;
  }

  /**
   * All writes up to `seq` are done. An entry is durable only when no later write on its way replaces it: the same
   * entry may have been overwritten and written again meanwhile, and the disk still has to go through both.
   */
  written(seq: number): void {
    let last = this.stable;
    while (this.#writes[0] !== undefined && this.#writes[0].seq <= seq) {
      last = Math.max(last, this.#writes[0].last);
      this.#writes.shift();
    }
    let limit = this.lastIndex;
    for (const write of this.#writes) limit = Math.min(limit, write.from - 1);
    this.stable = Math.max(0, Math.min(last, limit));
  }

  /** Takes over a snapshot of the leader: the whole log goes. */
  restore(snapshot: Snapshot): void {
    this.snapshot = snapshot;
    this.#entries = [];
    this.#bytes = 0;
    this.#base = { index: snapshot.index, term: snapshot.term };
    this.#configs = [{ index: snapshot.index, config: snapshot.config }];
  }

  /** A snapshot of the own state machine is durable: all but `trailing` entries before it may go. */
  compact(snapshot: Snapshot, trailing: number): void {
    const config = this.configAt(snapshot.index);
    this.snapshot = snapshot;
    const keepFrom = Math.max(this.firstIndex, snapshot.index - trailing + 1);
    const term = this.termAt(keepFrom - 1);
    const gone = this.#entries.splice(0, keepFrom - this.firstIndex);
    for (const entry of gone) this.#bytes -= entryBytes(entry);
    if (gone.length > 0) this.#base = { index: keepFrom - 1, term: term ?? 0 };
    this.#configs = [
      { index: snapshot.index, config },
      ...this.#configs.filter(({ index }) => index > snapshot.index),
    ];
  }

  #truncate(from: number): void {
    const gone = this.#entries.splice(Math.max(0, from - this.firstIndex));
    for (const entry of gone) this.#bytes -= entryBytes(entry);
    while (this.#configs.length > 1 && (this.#configs.at(-1)?.index ?? 0) >= from) {
      this.#configs.pop();
    }
    this.stable = Math.min(this.stable, from - 1);
  }
}
