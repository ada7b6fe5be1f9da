/** The simulator's agenda: a binary heap of calls, ordered by time, then by a drawn number, then by age. */

import type { Millis } from '../../src/kernel/core.ts';

/** Calls that wait for their instant. Two calls of one instant come out in the order of their drawn numbers. */
export class EventHeap {
  #ats: number[] = [];
  #ties: number[] = [];
  #ages: number[] = [];
  #calls: (() => void)[] = [];
  #pushedCount = 0;

  get size(): number {
    return this.#calls.length;
  }

  /** When the next call is due, or Infinity. */
  nextAt(): Millis {
    return this.#ats[0] ?? Infinity;
  }

  push(at: Millis, tie: number, call: () => void): void {
    let slot = this.#calls.length;
    this.#ats.push(at);
    this.#ties.push(tie);
    this.#ages.push(this.#pushedCount);
    this.#calls.push(call);
    this.#pushedCount += 1;
    while (slot > 0) {
      const parent = (slot - 1) >> 1;
      if (!this.#isBefore(slot, parent)) return;
      this.#swap(slot, parent);
      slot = parent;
    }
  }

  /** Takes the next call. */
  pop(): (() => void) | undefined {
    const last = this.#calls.length - 1;
    if (last < 0) return undefined;
    this.#swap(0, last);
    this.#ats.pop();
    this.#ties.pop();
    this.#ages.pop();
    const call = this.#calls.pop();
    this.#sink(last);
    return call;
  }

  #sink(size: number): void {
    for (let slot = 0; ;) {
      const left = slot * 2 + 1;
      if (left >= size) return;
      const child = left + 1 < size && this.#isBefore(left + 1, left) ? left + 1 : left;
      if (!this.#isBefore(child, slot)) return;
      this.#swap(slot, child);
      slot = child;
    }
  }

  #isBefore(left: number, right: number): boolean {
    const at = (this.#ats[left] as number) - (this.#ats[right] as number);
    if (at !== 0) return at < 0;
    const tie = (this.#ties[left] as number) - (this.#ties[right] as number);
    if (tie !== 0) return tie < 0;
    return (this.#ages[left] as number) < (this.#ages[right] as number);
  }

  #swap(left: number, right: number): void {
    swapIn(this.#ats, left, right);
    swapIn(this.#ties, left, right);
    swapIn(this.#ages, left, right);
    swapIn(this.#calls, left, right);
  }
}

function swapIn<Item>(items: Item[], left: number, right: number): void {
  const held = items[left] as Item;
  items[left] = items[right] as Item;
  items[right] = held;
}
