/** How many bytes facts will take at most, so that a message fits its parcel without being encoded twice. */

import type { CellAddress, Plain } from './cell.ts';
import type { CellFact } from './replica-state.ts';

/** Bytes around an entry: its dot and its time. */
const entryBytes = 40;

/** Bytes of a dead or listed dot. */
export const dotBytes = 8;

/** Bytes around an address. */
export const addressBytes = 12;

/** Most bytes a value takes. */
export function weighValue(value: Plain): number {
  if (value instanceof Uint8Array) return value.length + 5;
  if (typeof value === 'string') return 5 + weighText(value);
  if (typeof value !== 'object' || value === null) return 9;
  let bytes = 5;
  if (Array.isArray(value)) {
    for (const item of value as readonly Plain[]) bytes += weighValue(item);
    return bytes;
  }
  for (const [key, item] of Object.entries(value)) bytes += 5 + weighText(key) + weighValue(item);
  return bytes;
}

/** Bytes of a text in UTF-8. */
function weighText(text: string): number {
  let bytes = text.length;
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    if (unit > 0x7f) bytes += unit > 0x7ff ? 2 : 1;
  }
  return bytes;
}

/** Most bytes of an address in a message. */
export function weighAddress(address: CellAddress): number {
  return addressBytes + weighText(address);
}

/** Collects facts until a message is full; what belongs to one address may come in several messages. */
export class FactBasket {
  readonly facts: CellFact[] = [];
  #room: number;
  /** Whether something did not fit. */
  isFull = false;

  constructor(bytesMax: number) {
    this.#room = bytesMax;
  }

  get isEmpty(): boolean {
    return this.facts.length === 0;
  }

  /** Puts in as much of a fact as fits. False: not all of it did. */
  put(fact: CellFact): boolean {
    if (fact.live.length + fact.dead.length === 0) return true;
    this.#room -= weighAddress(fact.address);
    const live = fact.live.filter(({ value }) => this.#take(entryBytes + weighValue(value)));
    // A death never overtakes the write that replaces it: nobody shall see nothing in between.
    const isLiveWhole = live.length === fact.live.length;
    const dead = fact.dead.filter(() => isLiveWhole && this.#take(dotBytes));
    if (live.length + dead.length > 0) this.facts.push({ address: fact.address, live, dead });
    const isWhole = live.length === fact.live.length && dead.length === fact.dead.length;
    if (!isWhole) this.isFull = true;
    return isWhole;
  }

  #take(bytes: number): boolean {
    if (this.#room < bytes) return false;
    this.#room -= bytes;
    return true;
  }
}
