/** Values with an end: bounded by number and bytes, the one that was used longest ago goes first. */

import type { Millis } from '../../kernel/core.ts';
import type { Plain } from '../../protocol/replication/cell.ts';

interface Kept {
  readonly value: Plain;
  readonly bytes: number;
  readonly until: Millis;
}

/** Bounds of a shelf. */
export interface CacheLimits {
  readonly entriesMax: number;
  readonly bytesMax: number;
}

/** The shelf. */
export class CacheShelf {
  #kept = new Map<string, Kept>();
  #bytes = 0;
  #limits: CacheLimits;

  constructor(limits: CacheLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#kept.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** The value and how long it holds, in ms. */
  get(key: string, now: Millis): { readonly value: Plain; readonly leftMs: Millis } | undefined {
    const kept = this.#kept.get(key);
    if (kept === undefined) return undefined;
    this.#kept.delete(key);
    if (kept.until <= now) {
      this.#bytes -= kept.bytes;
      return undefined;
    }
    this.#kept.set(key, kept);
    return { value: kept.value, leftMs: kept.until - now };
  }

  put(key: string, value: Plain, bytes: number, until: Millis): void {
    this.delete(key);
    this.#kept.set(key, { value, bytes, until });
    this.#bytes += bytes;
    const { entriesMax, bytesMax } = this.#limits;
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= entriesMax && this.#bytes <= bytesMax) break;
      this.delete(oldest);
    }
  }

  delete(key: string): boolean {
    const kept = this.#kept.get(key);
    if (kept === undefined) return false;
    this.#bytes -= kept.bytes;
    return this.#kept.delete(key);
  }

  clear(): void {
    this.#kept.clear();
    this.#bytes = 0;
  }
}
