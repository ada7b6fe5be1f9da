/** The events a node keeps: in order of their time, bounded by age, number and bytes; the oldest goes first. */

import { compareHlc } from '../../kernel/hlc.ts';
import type { ChronicleEvent, EventFilter } from '../../wire/event-codec.ts';

/** Bounds of a shelf. */
export interface ShelfLimits {
  readonly countMax: number;
  readonly bytesMax: number;
  readonly ageMsMax: number;
}

/** The defaults: a week, 20 000 events, 8 MiB. */
export const shelfLimits: ShelfLimits = {
  countMax: 20_000,
  bytesMax: 8 * 1024 * 1024,
  ageMsMax: 7 * 86_400_000,
};

interface Kept {
  readonly event: ChronicleEvent;
  readonly bytes: number;
}

/** The shelf. */
export class EventShelf {
  #kept: Kept[] = [];
  #bytes = 0;
  #limits: ShelfLimits;

  constructor(limits: ShelfLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#kept.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Puts an event in its place and prunes. Gives how many went. */
  put(event: ChronicleEvent, bytes: number, wallMs: number): number {
    let at = this.#kept.length;
    while (at > 0 && isBefore(event, (this.#kept[at - 1] as Kept).event)) at -= 1;
    this.#kept.splice(at, 0, { event, bytes });
    this.#bytes += bytes;
    return this.prune(wallMs);
  }

  prune(wallMs: number): number {
    const { countMax, bytesMax, ageMsMax } = this.#limits;
    let count = 0;
    let bytes = this.#bytes;
    for (const kept of this.#kept) {
      const isOver = this.#kept.length - count > countMax || bytes > bytesMax;
      if (!isOver && kept.event.at.wallMs >= wallMs - ageMsMax) break;
      count += 1;
      bytes -= kept.bytes;
    }
    this.#kept.splice(0, count);
    this.#bytes = bytes;
    return count;
  }

  all(): IterableIterator<ChronicleEvent> {
    return this.#kept.map(({ event }) => event)[Symbol.iterator]();
  }

  /** The latest events that fit, oldest first. */
  query(filter: EventFilter): ChronicleEvent[] {
    const found: ChronicleEvent[] = [];
    for (let at = this.#kept.length - 1; at >= 0 && found.length < filter.limit; at -= 1) {
      const { event } = this.#kept[at] as Kept;
      if (fitsFilter(event, filter)) found.push(event);
    }
    return found.reverse();
  }
}

/** Whether an event is asked for. */
export function fitsFilter(event: ChronicleEvent, filter: EventFilter): boolean {
  return (
    fitsType(event.type, filter.type) &&
    event.at.wallMs >= (filter.sinceMs ?? 0) &&
    event.at.wallMs <= (filter.untilMs ?? Infinity) &&
    (filter.correlation === undefined || event.correlation === filter.correlation)
  );
}

function fitsType(type: string, wanted: string | undefined): boolean {
  if (wanted === undefined) return true;
  return wanted.endsWith('*') ? type.startsWith(wanted.slice(0, -1)) : type === wanted;
}

/** Orders events by time, then by node, then by id: the same on every node. */
export function isBefore(left: ChronicleEvent, right: ChronicleEvent): boolean {
  const order = compareHlc(left.at, right.at);
  if (order !== 0) return order < 0;
  return left.node === right.node ? left.id < right.id : left.node < right.node;
}
