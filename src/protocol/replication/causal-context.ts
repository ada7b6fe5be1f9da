/**
 * Which writes a replica has heard of: per replica a few intervals of counters, so that what is contiguous costs two
 * numbers however much was written and removed (Preguiça et al., "Dotted Version Vectors", 2010; protocols 3.5).
 */

/** Names a replica for all time: a node and the life in which it began; never used again after its storage was lost. */
export type ReplicaId = string;

/** One write, named by who made it and his how-manieth it was (from 1). */
export interface Dot {
  readonly replica: ReplicaId;
  readonly count: number;
}

/** Intervals of one replica, both ends included: first, last, first, last… ascending and never touching. */
export type Intervals = readonly number[];

/** A set of dots. Joins are unions: commutative, associative, idempotent. */
export class CausalContext {
  #known = new Map<ReplicaId, number[]>();

  /** How many replicas it knows. */
  get replicaCount(): number {
    return this.#known.size;
  }

  /** How many intervals it takes: one a replica when nothing is missing in between. */
  get intervalCount(): number {
    let count = 0;
    for (const spans of this.#known.values()) count += spans.length / 2;
    return count;
  }

  spansOf(replica: ReplicaId): Intervals {
    return this.#known.get(replica) ?? [];
  }

  has(replica: ReplicaId, count: number): boolean {
    const spans = this.#known.get(replica);
    if (spans === undefined) return false;
    const at = indexBefore(spans, count);
    return at >= 0 && count <= (spans[at + 1] as number);
  }

  /** The highest counter of a replica, 0 when there is none. */
  last(replica: ReplicaId): number {
    return this.#known.get(replica)?.at(-1) ?? 0;
  }

  /** The first counter from `from` on that is not known. */
  firstFree(replica: ReplicaId, from: number): number {
    const spans = this.#known.get(replica) ?? [];
    const at = indexBefore(spans, from);
    const last = at < 0 ? 0 : (spans[at + 1] as number);
    return Math.max(from, last + 1);
  }

  add(replica: ReplicaId, count: number): void {
    this.addInterval(replica, count, count);
  }

  /** Adds all counters from `first` to `last`. What is not a counter range is ignored. */
  addInterval(replica: ReplicaId, first: number, last: number): void {
    if (!isCount(first) || !isCount(last) || last < first) return;
    const spans = this.#known.get(replica);
    if (spans === undefined) {
      this.#known.set(replica, [first, last]);
      return;
    }
    const end = spans[spans.length - 1] as number;
    if (first === end + 1) spans[spans.length - 1] = last;
    else if (first > end) spans.push(first, last);
    else insert(spans, first, last);
  }

  /** Forgets every dot of a replica. */
  forget(replica: ReplicaId): void {
    this.#known.delete(replica);
  }

  join(other: Iterable<readonly [ReplicaId, Intervals]>): void {
    for (const [replica, spans] of other) {
      for (let at = 0; at + 1 < spans.length; at += 2) {
        this.addInterval(replica, spans[at] as number, spans[at + 1] as number);
      }
    }
  }

  /** Whether every dot of the other is known here. */
  covers(other: Iterable<readonly [ReplicaId, Intervals]>): boolean {
    for (const [replica, spans] of other) {
      const own = this.#known.get(replica) ?? [];
      for (let at = 0; at + 1 < spans.length; at += 2) {
        const index = indexBefore(own, spans[at] as number);
        if (index < 0 || (own[index + 1] as number) < (spans[at + 1] as number)) return false;
      }
    }
    return true;
  }

  replicas(): ReplicaId[] {
    return [...this.#known.keys()];
  }

  /** By replica name, so that equal sets give equal bytes. */
  entries(): [ReplicaId, Intervals][] {
    return [...this.#known].sort(([left], [right]) => (left < right ? -1 : 1));
  }
}

/** Whether a number can be a counter. */
export function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value > 0;
}

/** Index of the last interval that begins at or before `count`; -2 when there is none. */
function indexBefore(spans: Intervals, count: number): number {
  let low = 0;
  let high = spans.length / 2 - 1;
  let found = -2;
  while (low <= high) {
    const middle = (low + high) >> 1;
    if ((spans[2 * middle] as number) <= count) {
      found = 2 * middle;
      low = middle + 1;
    } else high = middle - 1;
  }
  return found;
}

function insert(spans: number[], first: number, last: number): void {
  let from = Math.max(0, indexBefore(spans, first));
  // Whatever touches the new interval is swallowed by it.
  if (from < spans.length && (spans[from + 1] as number) < first - 1) from += 2;
  let to = from;
  let low = first;
  let high = last;
  while (to < spans.length && (spans[to] as number) <= last + 1) {
    low = Math.min(low, spans[to] as number);
    high = Math.max(high, spans[to + 1] as number);
    to += 2;
  }
  spans.splice(from, to - from, low, high);
}
