/** A first-in first-out queue with a bound and a stated overflow policy, over a ring buffer. */

/** What happens when the queue is full: the oldest entry goes, or the new one is refused. */
export type OverflowPolicy = 'drop-oldest' | 'drop-newest';

/** A ring-buffer queue. `push` tells what was lost, so that every drop can be counted with its reason. */
export class BoundedQueue<Item> {
  readonly limit: number;
  readonly policy: OverflowPolicy;
  #ring: (Item | undefined)[] = [];
  #head = 0;
  #length = 0;
  #droppedCount = 0;

  constructor(limit: number, policy: OverflowPolicy) {
    this.limit = Math.max(1, Math.floor(limit));
    this.policy = policy;
  }

  get length(): number {
    return this.#length;
  }

  /** Entries lost to the overflow policy since the start. */
  get droppedCount(): number {
    return this.#droppedCount;
  }

  /** Adds an entry. Returns the entry that was lost because of it (possibly itself), or undefined. */
  push(item: Item): Item | undefined {
    let lost: Item | undefined;
    if (this.#length >= this.limit) {
      this.#droppedCount += 1;
      if (this.policy === 'drop-newest') return item;
      lost = this.shift();
    }
    if (this.#length === this.#ring.length) this.#grow();
    this.#ring[(this.#head + this.#length) % this.#ring.length] = item;
    this.#length += 1;
    return lost;
  }

  /** Takes the oldest entry. */
  shift(): Item | undefined {
    if (this.#length === 0) return undefined;
    const item = this.#ring[this.#head];
    this.#ring[this.#head] = undefined;
    this.#head = (this.#head + 1) % this.#ring.length;
    this.#length -= 1;
    return item;
  }

  peek(): Item | undefined {
    return this.#length === 0 ? undefined : this.#ring[this.#head];
  }

  clear(): void {
    this.#ring = [];
    this.#head = 0;
    this.#length = 0;
  }

  #grow(): void {
    const size = Math.min(this.limit, Math.max(8, this.#ring.length * 2));
    const next: (Item | undefined)[] = Array.from({ length: size });
    for (let at = 0; at < this.#length; at += 1) {
      next[at] = this.#ring[(this.#head + at) % this.#ring.length];
    }
    this.#ring = next;
    this.#head = 0;
  }
}
