/** A map that cannot grow past a count and a weight: the entries written longest ago make room. */

/** How much one may hold. */
interface WeighedLimits {
  readonly count: number;
  readonly weight: number;
}

/** Insertion-ordered map with two bounds. Writing a key again makes it the youngest; the youngest always stays. */
export class WeighedMap<Key, Value> {
  readonly #limits: WeighedLimits;
  readonly #weightOf: (value: Value) => number;
  readonly #entries = new Map<Key, Value>();
  #weight = 0;
  #evictedCount = 0;

  constructor(limits: WeighedLimits, weightOf: (value: Value) => number) {
    this.#limits = limits;
    this.#weightOf = weightOf;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** What all entries weigh. */
  get weight(): number {
    return this.#weight;
  }

  /** How many entries were pushed out since the start. */
  get evictedCount(): number {
    return this.#evictedCount;
  }

  get(key: Key): Value | undefined {
    return this.#entries.get(key);
  }

  set(key: Key, value: Value): void {
    this.delete(key);
    this.#entries.set(key, value);
    this.#weight += this.#weightOf(value);
    while (
      this.size > 1 &&
      (this.size > this.#limits.count || this.#weight > this.#limits.weight)
    ) {
      const oldest = this.#entries.keys().next().value as Key;
      this.delete(oldest);
      this.#evictedCount += 1;
    }
  }

  delete(key: Key): boolean {
    const value = this.#entries.get(key);
    if (value === undefined && !this.#entries.has(key)) return false;
    this.#weight -= this.#weightOf(value as Value);
    return this.#entries.delete(key);
  }

  keys(): IterableIterator<Key> {
    return this.#entries.keys();
  }
}
