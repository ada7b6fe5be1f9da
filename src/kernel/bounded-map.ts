/** A map that cannot grow past its named limit: the least recently written entry makes room. */

/** Insertion-ordered map with a bound. Writing a key again makes it the youngest. */
export class BoundedMap<Key, Value> {
  /** How many entries may live at once. */
  readonly limit: number;
  #entries = new Map<Key, Value>();
  #evictedCount = 0;
  #onEvict: ((key: Key, value: Value) => void) | undefined;

  constructor(limit: number, onEvict?: (key: Key, value: Value) => void) {
    this.limit = Math.max(1, limit);
    this.#onEvict = onEvict;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** How many entries were pushed out since the start: a number above 0 belongs in `status`. */
  get evictedCount(): number {
    return this.#evictedCount;
  }

  get(key: Key): Value | undefined {
    return this.#entries.get(key);
  }

  has(key: Key): boolean {
    return this.#entries.has(key);
  }

  set(key: Key, value: Value): void {
    this.#entries.delete(key);
    this.#entries.set(key, value);
    if (this.#entries.size <= this.limit) return;
    const oldest = this.#entries.entries().next().value as [Key, Value];
    this.#entries.delete(oldest[0]);
    this.#evictedCount += 1;
    this.#onEvict?.(oldest[0], oldest[1]);
  }

  delete(key: Key): boolean {
    return this.#entries.delete(key);
  }

  clear(): void {
    this.#entries.clear();
  }

  keys(): IterableIterator<Key> {
    return this.#entries.keys();
  }

  values(): IterableIterator<Value> {
    return this.#entries.values();
  }

  entries(): IterableIterator<[Key, Value]> {
    return this.#entries.entries();
  }

  [Symbol.iterator](): IterableIterator<[Key, Value]> {
    return this.#entries.entries();
  }
}
