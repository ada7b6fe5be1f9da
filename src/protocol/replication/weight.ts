/** How many bytes facts will take at most, so that a message fits its parcel without being encoded twice. */

import type { Dot, ReplicaId } from './causal-context.ts';
import type { CellAddress, Plain } from './cell.ts';
import type { CellFact } from './replica-state.ts';

/** Bytes around an entry beside its dot: its time, and what holds it together. */
const entryBytes = 32;

/** Bytes of a dead or listed dot, without its replica's name. */
const dotBytes = 8;

/** Bytes around an address. */
const addressBytes = 12;

/** Bytes around a name; a message has each once, and numbers in its place. */
const nameBytes = 3;

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

/** What is left of a message. */
export class MessageRoom {
  #bytes: number;
  readonly #names = new Set<ReplicaId>();

  constructor(bytes: number) {
    this.#bytes = bytes;
  }

  /** Takes so many bytes. False: there is not as much, and nothing was taken. */
  take(bytes: number): boolean {
    if (this.#bytes < bytes) return false;
    this.#bytes -= bytes;
    return true;
  }

  /** Takes a dot and `bytes` more; its replica's name weighs the first time. */
  takeDot({ replica }: Dot, bytes: number = 0): boolean {
    const isNew = !this.#names.has(replica);
    if (!this.take(dotBytes + bytes + (isNew ? nameBytes + weighText(replica) : 0))) return false;
    if (isNew) this.#names.add(replica);
    return true;
  }
}

/** Collects facts until a message is full; what belongs to one address may come in several messages. */
export class FactBasket {
  readonly facts: CellFact[] = [];
  readonly #room: MessageRoom;
  /** Whether something did not fit. */
  isFull = false;

  constructor(bytesMax: number) {
    this.#room = new MessageRoom(bytesMax);
  }

  get isEmpty(): boolean {
    return this.facts.length === 0;
  }

  /** Puts in as much of a fact as fits. False: not all of it did. */
  put(fact: CellFact): boolean {
    if (fact.live.length + fact.dead.length === 0) return true;
    const isRoom = this.#room.take(weighAddress(fact.address));
    const live = fact.live.filter(
      (entry) => isRoom && this.#room.takeDot(entry, entryBytes + weighValue(entry.value)),
    );
    // A death never overtakes the write that replaces it: nobody shall see nothing in between.
    const isLiveWhole = isRoom && live.length === fact.live.length;
    const dead = fact.dead.filter((dot) => isLiveWhole && this.#room.takeDot(dot));
    if (live.length + dead.length > 0) this.facts.push({ address: fact.address, live, dead });
    const isWhole = live.length === fact.live.length && dead.length === fact.dead.length;
    if (!isWhole) this.isFull = true;
    return isWhole;
  }
}
