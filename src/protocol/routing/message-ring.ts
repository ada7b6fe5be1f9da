/** The outbox's memory: encoded events in a ring, found by their sequence number, counted in entries and bytes. */

/** Encoded events with consecutive sequence numbers. */
export interface MessageRing {
  /** The lowest sequence number held; one past `last` when empty. */
  first(): number;
  /** The highest sequence number ever appended; 0 at the start. */
  last(): number;
  count(): number;
  bytes(): number;
  hasRoom(bytes: number): boolean;
  /** Appends as `last() + 1`. The caller has asked `hasRoom`. */
  append(raw: Uint8Array): void;
  at(seq: number): Uint8Array | undefined;
  /** Forgets everything up to `seq`. */
  trim(seq: number): void;
}

/** Builds a ring of at most `countMax` entries and `bytesMax` bytes; a single entry may exceed the bytes. */
export function createMessageRing(countMax: number, bytesMax: number): MessageRing {
  let slots: (Uint8Array | undefined)[] = Array.from({ length: 64 });
  let first = 1;
  let last = 0;
  let bytes = 0;

  function grow(): void {
    const wider: (Uint8Array | undefined)[] = Array.from({ length: slots.length * 2 });
    for (let seq = first; seq <= last; seq += 1) {
      wider[seq % wider.length] = slots[seq % slots.length];
    }
    slots = wider;
  }

  return {
    first: () => first,
    last: () => last,
    count: () => last - first + 1,
    bytes: () => bytes,
    hasRoom(size) {
      const count = last - first + 1;
      return count === 0 || (count < countMax && bytes + size <= bytesMax);
    },
    append(raw) {
      if (last - first + 1 === slots.length) grow();
      last += 1;
      slots[last % slots.length] = raw;
      bytes += raw.length;
    },
    at(seq) {
      return seq < first || seq > last ? undefined : slots[seq % slots.length];
    },
    trim(seq) {
      for (; first <= seq && first <= last; first += 1) {
        const slot = first % slots.length;
        bytes -= slots[slot]?.length ?? 0;
        slots[slot] = undefined;
      }
    },
  };
}
