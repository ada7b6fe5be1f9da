/** The transmit-limited queue: news rides on every datagram until it has been sent often enough (memberlist queue.go). */

import { BoundedMap } from '../../kernel/bounded-map.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Update } from './messages.ts';

interface Broadcast {
  readonly update: Update;
  readonly bytes: number;
  transmits: number;
}

/** How often one member sends one piece of news in a mesh of `memberCount`. */
export function transmitLimit(retransmitMult: number, memberCount: number): number {
  return retransmitMult * Math.ceil(Math.log10(memberCount + 1));
}

/** One live broadcast per subject, so its length is bounded by the members known. */
export class BroadcastQueue {
  readonly #sizeOf: (update: Update) => number;
  readonly #broadcasts: BoundedMap<NodeId, Broadcast>;

  constructor(limit: number, sizeOf: (update: Update) => number) {
    this.#sizeOf = sizeOf;
    this.#broadcasts = new BoundedMap(limit);
  }

  get length(): number {
    return this.#broadcasts.size;
  }

  /** Queues news about its subject; what was queued about it before is superseded. */
  push(update: Update): void {
    const bytes = this.#sizeOf(update);
    this.#broadcasts.set(update.node, { update, bytes, transmits: 0 });
  }

  has(subject: NodeId): boolean {
    return this.#broadcasts.has(subject);
  }

  drop(subject: NodeId): void {
    this.#broadcasts.delete(subject);
  }

  /** Takes what fits into `bytesFree`: fewest transmits first, then largest first. Counts one transmit for each. */
  take(bytesFree: number, limit: number): Update[] {
    if (this.#broadcasts.size === 0) return [];
    const order = [...this.#broadcasts.values()];
    order.sort((left, right) => left.transmits - right.transmits || right.bytes - left.bytes);
    const taken: Update[] = [];
    let free = bytesFree;
    for (const broadcast of order) {
      if (broadcast.bytes > free) continue;
      free -= broadcast.bytes;
      taken.push(broadcast.update);
      broadcast.transmits += 1;
      if (broadcast.transmits >= limit) this.#broadcasts.delete(broadcast.update.node);
    }
    return taken;
  }
}
