/** A set that gives a random member in constant time. */

import type { Random } from '../../kernel/random.ts';

/** Order is arbitrary, but the same for the same history. */
export class RandomSet<Item> {
  #items: Item[] = [];
  #places = new Map<Item, number>();

  get size(): number {
    return this.#items.length;
  }

  has(item: Item): boolean {
    return this.#places.has(item);
  }

  items(): readonly Item[] {
    return this.#items;
  }

  /** @returns false when it was there already. */
  add(item: Item): boolean {
    if (this.#places.has(item)) return false;
    this.#places.set(item, this.#items.length);
    this.#items.push(item);
    return true;
  }

  /** @returns false when it was not there. */
  delete(item: Item): boolean {
    const place = this.#places.get(item);
    if (place === undefined) return false;
    this.#places.delete(item);
    const last = this.#items.pop() as Item;
    if (place < this.#items.length) {
      this.#items[place] = last;
      this.#places.set(last, place);
    }
    return true;
  }

  /** A random member that fits; undefined when none does. */
  find(random: Random, fits: (item: Item) => boolean): Item | undefined {
    const { length } = this.#items;
    const start = random.below(length);
    for (let step = 0; step < length; step += 1) {
      const item = this.#items[(start + step) % length] as Item;
      if (fits(item)) return item;
    }
    return undefined;
  }
}
