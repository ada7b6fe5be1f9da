/**
 * What an outbox does when its memory is full. What is on the disk already and nobody takes now is put away: its bytes
 * leave the memory and come back when they are to be sent. Only when the disk's share is full, too, is the oldest that
 * dead members are owed given up, or the publishers are held, as configured.
 */

import type { Destination } from './destination.ts';
import { Claim } from './message-ring.ts';
import type { MessageRing } from './message-ring.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { OutboxConfig } from './outbox-types.ts';

/** Events that have their bytes on the disk alone: each takes about 16 bytes of memory. */
export const awayCountMax = 131_072;
/** Their bytes. The journal that has them is at most about three times as large, once more while it is written anew. */
export const awayBytesMax: number = 64 * 1024 * 1024;

/** Bytes that are brought back at once; the last one may exceed them. */
export const bringBytes: number = 512 * 1024;

/** An event that is on the disk. */
export interface Brought {
  readonly seq: number;
  readonly raw: Uint8Array;
}

/** Called synchronously. */
export interface OverflowOutputs {
  /** Bring back events from this one on, about `bringBytes` of them; answered once, later, with `brought`. */
  bring(seq: number): void;
  /** The memory is full of what is not on the disk yet: write it now. */
  press(): void;
  /** Give up what dead members are owed up to `seq`. */
  giveUp(seq: number): void;
}

/** Makes room. */
export interface Overflow {
  /** One step. False: somebody has to wait. */
  makeRoom(): boolean;
  /** What is in the ring now comes from the disk. */
  restored(): void;
  /** Everything up to `seq` is on the disk, or nobody is owed it. */
  written(seq: number): void;
  /** The disk takes nothing: what is there can still be read. */
  diskLost(): void;
  /** An event that is put away has to be sent. */
  want(seq: number): void;
  /** The answer to `bring`; empty: it could not be read, and is not asked for again before `retry`. */
  brought(events: readonly Brought[]): void;
  /** @returns whether there is something to ask for again. */
  retry(): boolean;
}

/** Builds it over the parts of an outbox. */
export function createOverflow(
  config: OutboxConfig,
  ring: MessageRing,
  destinations: ReadonlyMap<NodeId, Destination>,
  outputs: OverflowOutputs,
): Overflow {
  const countMax = config.awayCountMax ?? awayCountMax;
  const bytesMax = config.awayBytesMax ?? awayBytesMax;
  const isHolding = config.whenFull === 'hold';
  let hasDisk = config.hasDisk === true;
  let writtenTo = 0;
  /** Everything below is put away, or has to stay. */
  let lookFrom = 0;
  /** The highest that was ever put away. */
  let awayTo = 0;
  /** What was brought back last: it stays until something else is. */
  let handFrom = Infinity;
  let handTo = -1;
  let isBringing = false;
  let isBroken = false;

  /** How far nobody who is here is in the way. Who has to be sent what was put away is not: that can be brought back. */
  function freeTo(): number {
    let limit = ring.last();
    for (const to of destinations.values()) {
      if (to.goneAt === undefined && to.acked >= awayTo && to.acked < limit) limit = to.acked;
    }
    return limit;
  }

  function hasQuota(): boolean {
    return ring.awayCount() < countMax && ring.awayBytes() < bytesMax;
  }

  /** @returns events put away */
  function putAway(upTo: number): number {
    const countGoal = Math.ceil((ring.count() - ring.awayCount()) / 8);
    const bytesGoal = ring.bytes() / 8;
    let count = 0;
    let bytes = 0;
    let seq = ring.next(Math.max(lookFrom, ring.first()) - 1);
    while (seq <= upTo && (count < countGoal || bytes < bytesGoal) && hasQuota()) {
      const isStaying = (seq >= handFrom && seq <= handTo) || ring.excludedAt(seq) instanceof Claim;
      if (!isStaying && !ring.isAway(seq)) {
        bytes += ring.putAway(seq);
        count += 1;
        awayTo = Math.max(awayTo, seq);
      }
      seq = ring.next(seq);
    }
    lookFrom = seq;
    return count;
  }

  /** Puts away what was brought back, where there is no room beside it: it can be brought again. */
  function letGo(limit: number): boolean {
    if (handTo < 0) return false;
    lookFrom = Math.min(lookFrom, handFrom);
    handFrom = Infinity;
    handTo = -1;
    return putAway(Math.min(limit, writtenTo)) > 0;
  }

  function giveUp(): boolean {
    if (isHolding) return false;
    const upTo = Math.min(ring.last(), ring.first() - 1 + Math.ceil(ring.count() / 8));
    let limit = upTo;
    for (const to of destinations.values()) {
      if (to.goneAt === undefined && to.acked < limit) limit = to.acked;
    }
    if (limit < ring.first()) return false;
    outputs.giveUp(limit);
    return true;
  }

  return {
    makeRoom() {
      if (!hasDisk || !hasQuota()) return giveUp();
      const limit = freeTo();
      if (putAway(Math.min(limit, writtenTo)) > 0) return true;
      if (letGo(limit)) return true;
      if (limit > writtenTo) {
        outputs.press();
        return false;
      }
      return limit >= ring.last() && giveUp();
    },
    restored() {
      writtenTo = ring.last();
      awayTo = ring.last();
    },
    written(seq) {
      hasDisk = true;
      writtenTo = Math.max(writtenTo, seq);
    },
    diskLost() {
      hasDisk = false;
    },
    want(seq) {
      if (isBringing || isBroken) return;
      isBringing = true;
      outputs.bring(seq);
    },
    brought(events) {
      isBringing = false;
      isBroken = events.length === 0;
      const from = events[0]?.seq ?? Infinity;
      lookFrom = Math.min(lookFrom, handFrom, from);
      handFrom = from;
      handTo = events.at(-1)?.seq ?? -1;
      for (const { seq, raw } of events) ring.bringBack(seq, raw);
      while (!ring.hasRoom(0) && putAway(Math.min(freeTo(), writtenTo)) > 0);
    },
    retry() {
      const wasBroken = isBroken;
      isBroken = false;
      return wasBroken;
    },
  };
}
