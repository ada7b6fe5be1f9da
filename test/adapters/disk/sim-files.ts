/** A directory whose power can be cut at any step: what was not synced is there in part, sector by sector, or not at all. */

import type { JournalFile, JournalFiles } from '../../../src/adapters/disk/journal-files.ts';
import type { Random } from '../../../src/kernel/random.ts';

/** Bytes that are written or not as one. */
const sectorBytes = 512;

interface Node {
  content: Buffer;
  durable: Buffer;
}

/** The directory. */
export class SimFiles implements JournalFiles {
  /** Steps until the power goes; Infinity: never. */
  stepsLeft = Infinity;
  /** Every write and sync fails with this errno. */
  errno: string | undefined;
  #entries = new Map<string, Node>();
  #durableEntries = new Map<string, Node>();
  #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  names(): string[] {
    return [...this.#entries.keys()].sort();
  }

  /** Changes what lies on the disk. */
  edit(name: string, change: (content: Buffer) => Buffer): void {
    const node = this.#entries.get(name);
    if (node === undefined) throw new Error(`no ${name}`);
    node.content = change(Buffer.from(node.content));
    node.durable = Buffer.from(node.content);
  }

  /** The power goes, and comes back. */
  cut(): void {
    this.stepsLeft = Infinity;
    const isOld = this.#random.below(2) === 0;
    this.#entries = new Map(isOld ? this.#durableEntries : this.#entries);
    for (const node of this.#entries.values()) {
      const survivor = Buffer.alloc(Math.max(node.durable.length, node.content.length));
      node.durable.copy(survivor);
      let end = node.durable.length;
      for (let at = 0; at < node.content.length; at += sectorBytes) {
        if (this.#random.below(2) === 0) continue;
        const sector = node.content.subarray(at, at + sectorBytes);
        sector.copy(survivor, at);
        end = Math.max(end, at + sector.length);
      }
      node.content = survivor.subarray(0, end);
      node.durable = Buffer.from(node.content);
    }
    this.#durableEntries = new Map(this.#entries);
  }

  async read(name: string): Promise<Buffer | undefined> {
    this.#step();
    const node = this.#entries.get(name);
    return node && Buffer.from(node.content);
  }

  async open(name: string, isFresh: boolean): Promise<JournalFile> {
    this.#step(true);
    let node = this.#entries.get(name);
    if (node === undefined || isFresh) {
      node = { content: Buffer.alloc(0), durable: Buffer.alloc(0) };
      this.#entries.set(name, node);
    }
    const own = node;
    return {
      write: async (bytes, at) => {
        this.#step(true);
        const content = Buffer.alloc(Math.max(own.content.length, at + bytes.length));
        own.content.copy(content);
        content.set(bytes, at);
        own.content = content;
      },
      sync: async () => {
        this.#step(true);
        own.durable = Buffer.from(own.content);
      },
      truncate: async (length) => {
        this.#step(true);
        own.content = own.content.subarray(0, length);
      },
      close: async () => {},
    };
  }

  async rename(from: string, to: string): Promise<void> {
    this.#step(true);
    const node = this.#entries.get(from);
    if (node === undefined) throw new Error(`no ${from}`);
    this.#entries.delete(from);
    this.#entries.set(to, node);
  }

  async remove(name: string): Promise<void> {
    this.#step();
    this.#entries.delete(name);
  }

  async sync(): Promise<void> {
    this.#step(true);
    this.#durableEntries = new Map(this.#entries);
  }

  #step(isWrite = false): void {
    if (isWrite && this.errno !== undefined) {
      throw Object.assign(new Error(this.errno), { code: this.errno });
    }
    this.stepsLeft -= 1;
    if (this.stepsLeft < 0) throw Object.assign(new Error('no power'), { code: 'EIO' });
  }
}
