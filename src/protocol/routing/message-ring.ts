/**
 * The outbox's memory: encoded events in a ring, found by their sequence number, counted in entries and bytes.
 *
 * Sequence numbers are consecutive but for holes: a stream that a restarted node goes on with leaves some out.
 * An event that is put away keeps its place here and has its bytes on the disk alone.
 */

import type { NodeId } from '../../kernel/ids.ts';

/** Whom an event is not owed to. Shared by the events of a topic. */
export interface Excluded {
  has(node: NodeId): boolean;
}

/** An event that one node alone is owed, in place of a group: another one of the group may be owed it instead. */
export class Claim implements Excluded {
  /** The shared subscription. */
  readonly filter: string;
  /** Undefined: nobody is owed it any more. */
  to: NodeId | undefined;

  constructor(filter: string, to: NodeId | undefined) {
    this.filter = filter;
    this.to = to;
  }

  has(node: NodeId): boolean {
    return node !== this.to;
  }
}

/** Encoded events with growing sequence numbers. */
export interface MessageRing {
  /** The lowest sequence number held; one past `last` when empty. */
  first(): number;
  /** The highest sequence number ever appended; 0 at the start. */
  last(): number;
  /** The one that the next event gets: `last() + 1` unless numbers are left out. */
  nextSeq(): number;
  /** The next sequence number after this one that is, or may come to be, held. */
  next(seq: number): number;
  /** Events in all, also those put away. */
  count(): number;
  /** Bytes in memory. */
  bytes(): number;
  awayCount(): number;
  awayBytes(): number;
  /** Whether memory has room: what is put away does not count. */
  hasRoom(bytes: number): boolean;
  /** Appends as `nextSeq()`. The caller has asked `hasRoom`. `excluded` undefined: it is owed to everybody. */
  append(raw: Uint8Array, excluded?: Excluded): void;
  /** Appends one that is on the disk alone. */
  appendAway(size: number, excluded?: Excluded): void;
  /** Undefined: there is none, or it is put away. */
  at(seq: number): Uint8Array | undefined;
  isAway(seq: number): boolean;
  /** Forgets the bytes of an event, not the event. @returns how many */
  putAway(seq: number): number;
  /** The bytes of one that is put away are here again. */
  bringBack(seq: number, raw: Uint8Array): void;
  excludedAt(seq: number): Excluded | undefined;
  /** Leaves sequence numbers out: the next one appended is `seq`. */
  jump(seq: number): void;
  /** Forgets everything up to `seq`. */
  trim(seq: number): void;
}

interface Hole {
  readonly from: number;
  readonly to: number;
}

/** The bytes of an event, or how many there are on the disk. */
type Slot = Uint8Array | number | undefined;

/** Builds a ring of at most `countMax` entries and `bytesMax` bytes in memory; a single entry may exceed the bytes. */
export function createMessageRing(countMax: number, bytesMax: number): MessageRing {
  let slots: Slot[] = Array.from({ length: 64 });
  let without: (Excluded | undefined)[] = Array.from({ length: 64 });
  /** Numbers left out between `first` and `last`; one for each restart with events left over, at most `countMax`. */
  let holes: Hole[] = [];
  /** Numbers in all holes, also forgotten ones. */
  let leftOut = 0;
  let first = 1;
  let last = 0;
  let bytes = 0;
  let count = 0;
  let awayCount = 0;
  let awayBytes = 0;
  let upcoming = 1;

  /** The place of a number, as if there were no holes. */
  function placeOf(seq: number): number {
    let place = seq - leftOut;
    for (const { from, to } of holes) if (seq < from) place += to - from + 1;
    return place & (slots.length - 1);
  }

  function next(seq: number): number {
    if (seq + 1 < first) return first;
    if (holes.length > 0) {
      for (const { from, to } of holes) if (seq + 1 >= from && seq + 1 <= to) return to + 1;
    }
    return seq + 1;
  }

  function grow(): void {
    const held: [Slot, Excluded | undefined][] = [];
    for (let seq = first; seq <= last; seq = next(seq)) {
      held.push([slots[placeOf(seq)], without[placeOf(seq)]]);
    }
    slots = Array.from({ length: slots.length * 2 });
    without = Array.from({ length: slots.length });
    let at = 0;
    for (let seq = first; seq <= last; seq = next(seq)) {
      const place = placeOf(seq);
      [slots[place], without[place]] = held[at] ?? [undefined, undefined];
      at += 1;
    }
  }

  function add(slot: Uint8Array | number, excluded: Excluded | undefined): void {
    if (count === slots.length) grow();
    if (upcoming > last + 1) {
      leftOut += upcoming - last - 1;
      if (count === 0) first = upcoming;
      else holes.push({ from: last + 1, to: upcoming - 1 });
    }
    last = upcoming;
    upcoming += 1;
    const place = placeOf(last);
    slots[place] = slot;
    without[place] = excluded;
    counted(slot, 1);
    count += 1;
  }

  function counted(slot: Slot, by: 1 | -1): void {
    if (typeof slot === 'number') {
      awayBytes += by * slot;
      awayCount += by;
    } else bytes += by * (slot?.length ?? 0);
  }

  function slotAt(seq: number): Slot {
    return seq < first || seq > last ? undefined : slots[placeOf(seq)];
  }

  return {
    first: () => first,
    last: () => last,
    nextSeq: () => upcoming,
    next,
    count: () => count,
    bytes: () => bytes,
    awayCount: () => awayCount,
    awayBytes: () => awayBytes,
    hasRoom: (size) =>
      count === awayCount || (count - awayCount < countMax && bytes + size <= bytesMax),
    append: add,
    appendAway: add,
    at(seq) {
      const slot = slotAt(seq);
      return typeof slot === 'number' ? undefined : slot;
    },
    isAway: (seq) => typeof slotAt(seq) === 'number',
    putAway(seq) {
      const slot = slotAt(seq);
      if (slot === undefined || typeof slot === 'number') return 0;
      slots[placeOf(seq)] = slot.length;
      counted(slot, -1);
      counted(slot.length, 1);
      return slot.length;
    },
    bringBack(seq, raw) {
      const slot = slotAt(seq);
      if (typeof slot !== 'number') return;
      slots[placeOf(seq)] = raw;
      counted(slot, -1);
      counted(raw, 1);
    },
    excludedAt: (seq) => without[placeOf(seq)],
    jump(seq) {
      upcoming = Math.max(upcoming, seq);
    },
    trim(seq) {
      if (first > seq || count === 0) return;
      while (first <= seq && count > 0) {
        const place = placeOf(first);
        counted(slots[place], -1);
        slots[place] = undefined;
        without[place] = undefined;
        count -= 1;
        first = count === 0 ? last + 1 : next(first);
      }
      if (holes.length > 0) holes = holes.filter(({ to }) => to >= first);
    },
  };
}
