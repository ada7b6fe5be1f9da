/** Counts of simulated messages by kind: sent, delivered, and dropped with the reason. */

/** Why a message did not arrive. */
export type DropReason =
  | 'loss'
  | 'partition'
  | 'capacity'
  | 'down'
  | 'suspended'
  | 'buffer'
  | 'reset';

/** What became of the messages of one kind. */
export interface KindCount {
  sent: number;
  delivered: number;
  bytes: number;
  readonly dropped: Partial<Record<DropReason, number>>;
}

/** The counters of a world. */
export class Counters {
  readonly kinds: Map<string, KindCount> = new Map();

  of(kind: string): KindCount {
    let count = this.kinds.get(kind);
    if (count === undefined) {
      count = { sent: 0, delivered: 0, bytes: 0, dropped: {} };
      this.kinds.set(kind, count);
    }
    return count;
  }

  sent(kind: string, bytes: number): void {
    const count = this.of(kind);
    count.sent += 1;
    count.bytes += bytes;
  }

  delivered(kind: string): void {
    this.of(kind).delivered += 1;
  }

  dropped(kind: string, reason: DropReason): void {
    const { dropped } = this.of(kind);
    dropped[reason] = (dropped[reason] ?? 0) + 1;
  }

  /** Messages of all kinds sent so far. */
  sentTotal(): number {
    let total = 0;
    for (const count of this.kinds.values()) total += count.sent;
    return total;
  }
}
