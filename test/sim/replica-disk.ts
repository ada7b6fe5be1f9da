/** A replica's disk in the simulated world, byte by byte: torn and misdirected writes, rot, loss, and a disk that lies. */

import type { Millis } from '../../src/kernel/core.ts';
import type { Random } from '../../src/kernel/random.ts';
import type { Entry, HardState, Snapshot } from '../../src/protocol/consensus/messages.ts';
import type { RaftEffect } from '../../src/protocol/consensus/raft-types.ts';
import {
  decodeSnapshot,
  encodeSnapshot,
  entryOfRecord,
  recordOfEntry,
} from '../../src/wire/raft-codec.ts';
import {
  encodeBatch,
  encodeRecords,
  encodeSlot,
  isCutShort,
  readSlots,
  scanLog,
  slotBytes,
  snapshotSum,
} from '../../src/wire/replica-file.ts';
import type { LogScan } from '../../src/wire/replica-file.ts';
import { exponential } from './network.ts';

/** Bytes that a disk writes whole or not at all. */
const sectorBytes = 512;

/** How good a disk is. */
export interface DiskKnobs {
  readonly writeMsMin: Millis;
  readonly writeMsMean: Millis;
  /** Share of writes that take an exponential of `stallMsMean` longer. */
  readonly stallRate: number;
  readonly stallMsMean: Millis;
  /** Share of writes that land somewhere else in the file. */
  readonly misdirectRate: number;
  /** Share of restarts before which a durable byte has rotted. */
  readonly rotRate: number;
  /** Share of those in which a whole stretch has, with both copies of what was in it. */
  readonly stretchRate: number;
  /** Share of restarts before which the last batch goes with both copies, if a slot says that it was durable. */
  readonly lostEndRate: number;
  /** What a slot says about the log is not believed. */
  readonly isMarkIgnored: boolean;
  /** It is the last thing written that rots, if anything does. */
  readonly isRotAtEnd: boolean;
  /** Batches are written once only, as if a log needed no copies. */
  readonly isSingle: boolean;
  /** Share of restarts that find an empty disk. */
  readonly lossRate: number;
  /** It says that writes are durable when they are not: a crash loses some of the last ones. */
  readonly isLiar: boolean;
}

/** A disk without a fault. */
export const goodDisk: DiskKnobs = {
  writeMsMin: 0.5,
  writeMsMean: 1,
  stallRate: 0,
  stallMsMean: 0,
  misdirectRate: 0,
  rotRate: 0,
  stretchRate: 0,
  lostEndRate: 0,
  isMarkIgnored: false,
  isRotAtEnd: false,
  isSingle: false,
  lossRate: 0,
  isLiar: false,
};

/** What a replica finds. */
export interface Found {
  readonly hard: HardState;
  readonly snapshot: Snapshot | undefined;
  readonly entries: readonly Entry[];
}

type Persist = Extract<RaftEffect, { type: 'persist' }>;

interface Image {
  log: Uint8Array;
  slots: Uint8Array;
  snapshot: Uint8Array | undefined;
  slotSeq: number;
  /** Where the last durable batch begins. */
  lastStart: number;
  /** A slot says that the log is durable up to there; 0 when none does. */
  markedEnd: number;
}

/** One disk. It is driven by whoever owns the world's time: `write` says how long it takes, `done` ends it. */
export class ReplicaDisk {
  readonly knobs: DiskKnobs;
  #random: Random;
  #image: Image = emptyImage();
  #old: Image[] = [];
  #running: { readonly writes: readonly Persist[]; readonly image: Image } | undefined;

  constructor(knobs: DiskKnobs, random: Random) {
    this.knobs = knobs;
    this.#random = random;
  }

  /** Erases everything and lays down where a replica begins. */
  format(found: Found): void {
    this.#image = emptyImage();
    this.#old = [];
    this.#running = undefined;
    const { hard, snapshot, entries } = found;
    this.#image.slotSeq = 1;
    this.#image.slots.set(encodeSlot({ seq: 1, ...hard }), slotBytes);
    if (snapshot !== undefined) this.#image.snapshot = encodeSnapshot(snapshot);
    this.#image.log = encodeBatch(entries.map(recordOfEntry), 0);
  }

  /** Begins to write a group. @returns how long it takes */
  begin(writes: readonly Persist[]): Millis {
    const { writeMsMin, writeMsMean, stallRate, stallMsMean } = this.knobs;
    const image = copyOf(this.#image);
    for (const write of writes) this.#apply(image, write);
    this.#running = { writes, image };
    const stall = this.#random.unit() < stallRate ? exponential(this.#random, stallMsMean) : 0;
    return writeMsMin + exponential(this.#random, Math.max(1e-3, writeMsMean)) + stall;
  }

  /** The group is durable, or so the disk says. */
  done(): void {
    if (this.#running === undefined) return;
    this.#old.push(this.#image);
    if (this.#old.length > 4) this.#old.shift();
    const before = this.#image;
    this.#image = this.#running.image;
    this.#running = undefined;
    if (this.knobs.lostEndRate > 0) mark(this.#image);
    if (this.#random.unit() < this.knobs.misdirectRate) this.#misdirect(before);
  }

  /** The appended part of the log goes to an earlier place instead of its own. */
  #misdirect(before: Image): void {
    const { log } = this.#image;
    const length = log.length - before.log.length;
    const target = Math.floor((this.#random.unit() * before.log.length) / 3);
    if (length <= 0 || before.log.length < 600 || target + length > before.log.length / 2) return;
    log.set(log.subarray(before.log.length), target);
    log.fill(0, before.log.length);
  }

  /** The power goes. Of what was being written each sector is there or not. */
  crash(): void {
    const running = this.#running;
    this.#running = undefined;
    if (this.knobs.isLiar && this.#old.length > 0 && this.#random.below(2) === 0) {
      this.#image = this.#old[this.#random.below(this.#old.length)] as Image;
      return;
    }
    if (running === undefined) return;
    // Whole groups with a snapshot in them end between two of their writes, others anywhere.
    const hasSnapshot = running.writes.some(({ snapshot }) => snapshot !== undefined);
    if (hasSnapshot) {
      const count = this.#random.below(running.writes.length + 1);
      for (const write of running.writes.slice(0, count)) this.#apply(this.#image, write);
      return;
    }
    this.#image.log = this.#tear(this.#image.log, running.image.log);
    this.#image.slots = this.#tear(this.#image.slots, running.image.slots);
    this.#image.slotSeq = running.image.slotSeq;
  }

  #apply(image: Image, write: Persist): void {
    const encode = this.knobs.isSingle ? encodeRecords : encodeBatch;
    if (write.hard !== undefined) {
      image.slotSeq += 1;
      const slot = encodeSlot({ seq: image.slotSeq, ...write.hard });
      image.slots.set(slot, (image.slotSeq % 2) * slotBytes);
    }
    if (write.snapshot !== undefined) {
      const { snapshot, keepFrom, isForeign } = write.snapshot;
      image.snapshot = encodeSnapshot(snapshot);
      const { records, end, verdict } = scanLog(image.log);
      // What does not read as it was written stays as it is, to be found when it is opened.
      const isWhole = verdict !== 'rotten' && end === image.log.length;
      if (isForeign || isWhole) image.log = new Uint8Array();
      if (isForeign || isWhole) image.lastStart = 0;
      const kept = records.filter(({ index }) => !isForeign && isWhole && index >= keepFrom);
      for (const record of kept) appendTo(image, encode([record], image.log.length));
    }
    if (write.entries.length > 0) {
      appendTo(image, encode(write.entries.map(recordOfEntry), image.log.length));
    }
  }

  /** The last durable batch reads as if it had never been written, and whatever was torn behind it. */
  #loseEnd({ log, lastStart, markedEnd }: Image): void {
    if (markedEnd > lastStart) log.fill(0, lastStart);
  }

  /** A bit anywhere, or both copies of a stretch: never of the last batch, for there nothing can tell it from a torn end. */
  #rot({ log, lastStart }: Image): void {
    const isStretch = lastStart > 0 && this.#random.unit() < this.knobs.stretchRate;
    const from = this.knobs.isRotAtEnd ? Math.min(lastStart, log.length - 1) : 0;
    const at = isStretch
      ? this.#random.below(lastStart)
      : from + this.#random.below(log.length - from);
    const end = isStretch ? at + 1 + this.#random.below(lastStart - at) : at + 1;
    for (let place = at; place < end; place += 1) {
      log[place] = (log[place] as number) ^ (1 << this.#random.below(8));
    }
  }

  #tear(before: Uint8Array, after: Uint8Array): Uint8Array {
    const length = before.length + this.#random.below(after.length - before.length + 1);
    const torn = new Uint8Array(Math.max(before.length, length));
    torn.set(before);
    for (let at = 0; at < torn.length; at += sectorBytes) {
      if (this.#random.below(2) === 0) continue;
      const end = Math.min(at + sectorBytes, torn.length);
      torn.set(after.subarray(at, end), at);
    }
    return torn;
  }

  /** What a starting replica finds: `lost` when nothing, `rotten` when something durable is damaged. */
  open(): Found | 'lost' | 'rotten' {
    if (this.#random.unit() < this.knobs.lossRate) this.#image = emptyImage();
    const image = this.#image;
    if (this.#random.unit() < this.knobs.rotRate && image.log.length > 0) this.#rot(image);
    if (this.#random.unit() < this.knobs.lostEndRate) this.#loseEnd(image);
    const slot = readSlots(image.slots);
    const scan = scanLog(image.log);
    if (slot === 'rotten' || scan.verdict === 'rotten') return 'rotten';
    if (slot === 'empty') return 'lost';
    const isShort = isCutShort(scan.end, slot, snapshotSum(image.snapshot));
    if (isShort && !this.knobs.isMarkIgnored) return 'rotten';
    const snapshot = image.snapshot === undefined ? undefined : decodeSnapshot(image.snapshot);
    if (snapshot === 'newer') return 'rotten';
    image.log = mended(image.log, scan);
    const entries = scan.records.map(entryOfRecord).filter((entry) => entry !== undefined);
    return { hard: { term: slot.term, vote: slot.vote }, snapshot, entries };
  }
}

function emptyImage(): Image {
  return {
    log: new Uint8Array(),
    slots: new Uint8Array(2 * slotBytes),
    snapshot: undefined,
    slotSeq: 0,
    lastStart: 0,
    markedEnd: 0,
  };
}

/** As the disk does some seconds after a write: here at once, so that a crash finds it done. */
function mark(image: Image): void {
  const slot = readSlots(image.slots);
  if (slot === 'empty' || slot === 'rotten') return;
  image.markedEnd = image.log.length;
  const { seq, term, vote } = slot;
  const told = { end: image.markedEnd, snapshot: snapshotSum(image.snapshot) };
  image.slots.set(encodeSlot({ seq, term, vote, mark: told }), (seq % 2) * slotBytes);
}

function copyOf(image: Image): Image {
  return { ...image, log: image.log.slice(), slots: image.slots.slice() };
}

function mended(log: Uint8Array, { end, repairs }: LogScan): Uint8Array {
  const whole = new Uint8Array(end);
  whole.set(log.subarray(0, end));
  for (const { at, bytes } of repairs) whole.set(bytes, at);
  return whole;
}

function appendTo(image: Image, bytes: Uint8Array): void {
  const log = new Uint8Array(image.log.length + bytes.length);
  log.set(image.log);
  log.set(bytes, image.log.length);
  image.lastStart = image.log.length;
  image.log = log;
}
