/**
 * Makes acknowledged events survive: an event is safe when everybody who is owed it has acknowledged it, or when it is on
 * this node's disk, whichever comes first. What a healthy mesh acknowledges within the batching time is never written.
 */

import type { Millis } from '../../kernel/core.ts';
import { MycelError } from '../../kernel/errors.ts';
import type { MeshId } from '../../kernel/ids.ts';
import type { Clock } from '../../ports/clock.ts';
import type { EventLog } from '../../ports/event-log.ts';
import type { Log } from '../../ports/log.ts';
import type { Metrics } from '../../ports/metrics.ts';
import { bringBytes } from '../../protocol/routing/overflow.ts';
import type { Brought } from '../../protocol/routing/overflow.ts';
import type { Router } from '../../protocol/routing/router-world.ts';
import {
  encodeEventEntry,
  encodeMarkEntry,
  encodeStreamEntry,
  readOutboxEntry,
} from '../../wire/outbox-entry.ts';
import type { Found, Place } from './found-events.ts';

/** How long events are gathered for one write, in ms (protocols reference, section 10: 50 ms). */
const batchMs: Millis = 50;

/**
 * The same while somebody does not acknowledge, in ms: a publisher with twenty messages in flight (mosquitto_pub) got
 * two hundred messages a second past a frozen member at 50 ms and 800 at 10, and every write carries all that waits.
 */
const pressedMs: Millis = 3;

/** How soon it is written down that everything is settled, in ms: one small write for a burst. */
const markMs: Millis = 1000;

/** After a disk that took nothing: how soon it is tried again, in ms. */
const againMs: Millis = 30_000;

/** Bytes of settled entries beyond which the journal is written anew without them. */
const settledBytesMax: number = 1024 * 1024;

/**
 * Bytes of the journal beyond which no more is put away: memory alone has room then. What is owed takes 64 MiB and the ids
 * of those who are owed it; while the journal is written anew it is there twice.
 */
const journalBytesMax: number = 192 * 1024 * 1024;

/** An event in the journal is found by the first of a stretch of so many bytes. */
const stretchBytes: number = 64 * 1024;

/** What it works with. */
export interface DurableOutboxWorld {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly mesh: MeshId;
  /** Undefined: nothing is kept, an event is safe when it is in memory. */
  readonly journal: EventLog | undefined;
  /** What an earlier life left over, which is in the journal and in the router already. */
  readonly found: Found;
  /** The boot under which the stream of this life's events began. */
  readonly stream: number;
  readonly router: () => Router;
  /** Runs a step of the router. */
  step(act: (router: Router, now: Millis) => void): void;
  alert(code: string, text: string): void;
}

/** Who waits until an event is safe. */
export interface Waiter {
  taken(): void;
}

/** The keeper of one life's events. */
export interface DurableOutbox {
  /** The events up to this one were taken: tells who waits when they are safe, in the order of the calls. */
  whenSafe(seq: number, by: Waiter): void;
  /** The router settled everything up to this event. */
  settled(seq: number): void;
  /** Reads events from this one on for the router, which it gets with `brought`. */
  bring(seq: number): void;
  /** Writes what is owed as soon as it can. */
  press(): void;
  /** Why events are kept in memory only; undefined: they are not. */
  trouble(): string | undefined;
  /** Writes down what is owed, and answers everybody who waits. */
  stop(): Promise<void>;
}

/** Builds it. */
export function createDurableOutbox(world: DurableOutboxWorld): DurableOutbox {
  const { clock, log, metrics, journal } = world;
  let seqs: number[] = [];
  let waiters: Waiter[] = [];
  let head = 0;
  let safeTo = 0;
  /** Everything up to here is in the journal, or needs not be. */
  const { leftover } = world.found;
  let writtenTo = leftover?.events.at(-1)?.seq ?? 0;
  let places = [...world.found.places];
  /** One action on the journal after the other: places hold until it is written anew. */
  let turn: Promise<unknown> = Promise.resolve();
  let settledTo = 0;
  /** What was taken before the last look: it has had its time to be acknowledged. */
  let dueTo = writtenTo;
  /** Bytes in the journal that are not settled yet, at most; 0: nothing in it is owed. */
  let owedBytes = leftover === undefined ? 0 : 1;
  let hasHead = leftover !== undefined;
  /** What is in the journal is of another mesh, or long settled. */
  let isStale = leftover === undefined && (journal?.bytes() ?? 0) > 0;
  let isWriting = false;
  /** Somebody who is owed events does not acknowledge them in time: waiting for that only holds the publishers up. */
  let isPressed = false;
  let isAsked = false;
  let isStopped = false;
  let failure: string | undefined;
  let cancel = (): void => {};
  let dueAt = Infinity;

  const paceMs = (): Millis => (isPressed ? pressedMs : batchMs);

  function release(seq: number): void {
    safeTo = Math.max(safeTo, seq);
    while (head < seqs.length && (seqs[head] ?? 0) <= safeTo) {
      const waiter = waiters[head];
      head += 1;
      waiter?.taken();
    }
    if (head === 0) return;
    if (head === seqs.length) {
      seqs = [];
      waiters = [];
      head = 0;
    } else if (head > 1024) {
      seqs = seqs.slice(head);
      waiters = waiters.slice(head);
      head = 0;
    }
  }

  function schedule(afterMs: Millis): void {
    const at = clock.now() + afterMs;
    if (isWriting || isStopped || at >= dueAt) return;
    cancel();
    dueAt = at;
    cancel = clock.alarm(at, () => void write());
  }

  function inTurn<Result>(act: () => Promise<Result>): Promise<Result> {
    const result = turn.then(act);
    turn = result.catch(() => undefined);
    return result;
  }

  interface Gathered {
    readonly entries: Uint8Array[];
    readonly seqs: number[];
    bytes: number;
  }

  function gather(upTo: number): Gathered {
    const found: Gathered = { entries: [], seqs: [], bytes: 0 };
    world.router().unsettled(writtenTo, upTo, (raw, owed, seq) => {
      const entry = encodeEventEntry(owed, raw);
      found.bytes += entry.length;
      found.entries.push(entry);
      found.seqs.push(seq);
    });
    return found;
  }

  function place(into: Place[], seq: number, at: number): void {
    if (at >= (into.at(-1)?.at ?? -stretchBytes) + stretchBytes) into.push({ seq, at });
  }

  /** @returns how many events it wrote */
  async function commit(into: EventLog, upTo: number): Promise<number> {
    const fresh = gather(upTo);
    const mark = encodeMarkEntry(settledTo, world.router().lastSeq());
    const isMarkDue = owedBytes > 0 && settledTo >= writtenTo;
    if (settledTo >= writtenTo) owedBytes = 0;
    if (isStale || into.bytes() > settledBytesMax + 2 * owedBytes) {
      await rewrite(into, fresh, mark);
    } else if (fresh.entries.length > 0) {
      const start = hasHead ? [] : [encodeStreamEntry(world.mesh)];
      const at = await into.append([...start, ...fresh.entries, mark]);
      for (const [index, seq] of fresh.seqs.entries()) {
        place(places, seq, at[index + start.length] ?? 0);
      }
      hasHead = true;
      owedBytes += fresh.bytes;
    } else if (isMarkDue) await into.append([mark]);
    metrics.count('outbox.written', fresh.entries.length);
    metrics.gauge('outbox.disk_bytes', into.bytes());
    metrics.gauge('outbox.written_bytes', into.bytesWritten());
    writtenTo = Math.max(writtenTo, upTo);
    recovered();
    release(upTo);
    const isTooLarge = into.bytes() > journalBytesMax;
    world.step((router) => (isTooLarge ? router.diskLost() : router.written(writtenTo)));
    return fresh.entries.length;
  }

  /** Writes the journal anew without what is settled. */
  async function rewrite(into: EventLog, fresh: Gathered, mark: Uint8Array): Promise<void> {
    const moved: Place[] = [];
    let kept = 0;
    const keep = (bytes: Uint8Array, at: number): Uint8Array | undefined => {
      const entry = isStale ? undefined : readOutboxEntry(bytes);
      if (entry?.kind !== 'event' || entry.boot !== world.stream) return undefined;
      const owed = world.router().owedTo(entry.seq);
      if (owed.length === 0) return undefined;
      const again = encodeEventEntry(owed, entry.raw);
      kept += again.length;
      place(moved, entry.seq, at);
      return again;
    };
    const head = encodeStreamEntry(world.mesh);
    const at = await into.rewrite([head], keep, [...fresh.entries, mark]);
    for (const [index, seq] of fresh.seqs.entries()) place(moved, seq, at[index] ?? 0);
    places = moved;
    owedBytes = kept + fresh.bytes;
    hasHead = true;
    isStale = false;
  }

  async function read(from: EventLog, seq: number): Promise<Brought[]> {
    const brought: Brought[] = [];
    const start = places.findLast((one) => one.seq <= seq);
    if (start === undefined) return brought;
    let bytes = 0;
    for (let { at } = start; bytes < bringBytes;) {
      const some = await from.read(at, bringBytes);
      if (some.length === 0) break;
      for (const placed of some) {
        at = from.after(placed);
        const entry = readOutboxEntry(placed.entry);
        if (entry?.kind !== 'event' || entry.boot !== world.stream || entry.seq < seq) continue;
        brought.push({ seq: entry.seq, raw: entry.raw });
        bytes += entry.raw.length;
        if (bytes >= bringBytes) break;
      }
    }
    return brought[0]?.seq === seq ? brought : [];
  }

  async function write(): Promise<void> {
    dueAt = Infinity;
    if (isWriting || journal === undefined) return;
    isWriting = true;
    isAsked = false;
    const upTo = isStopped || isPressed ? world.router().lastSeq() : dueTo;
    dueTo = world.router().lastSeq();
    try {
      isPressed = (await inTurn(() => commit(journal, upTo))) > 0;
    } catch (error) {
      failed(error);
    }
    isWriting = false;
    if (failure !== undefined) schedule(againMs);
    else if (head < seqs.length || isAsked) schedule(paceMs());
    else if (owedBytes > 0 && settledTo >= writtenTo) schedule(markMs);
  }

  function failed(error: unknown): void {
    const reason = error instanceof MycelError ? error.message : String(error);
    // Whoever waits is told what is true: it is in memory, as everything is from now on.
    if (failure === undefined) {
      log.error({ error }, 'events are kept in memory only: the disk does not take them');
    }
    failure = `Events are kept in memory only and are lost when this board loses power: ${reason}`;
    world.alert('outbox-memory', failure);
    metrics.drop('outbox', 'not on disk');
    release(Infinity);
    safeTo = 0;
    world.step((router) => router.diskLost());
  }

  function recovered(): void {
    if (failure === undefined) return;
    failure = undefined;
    log.info({}, 'events are on disk again');
  }

  if (isStale) schedule(markMs);

  return {
    whenSafe(seq, by) {
      if (journal === undefined || failure !== undefined || seq <= safeTo) return by.taken();
      seqs.push(seq);
      waiters.push(by);
      schedule(paceMs());
    },
    settled(seq) {
      settledTo = seq;
      while ((places[1]?.seq ?? Infinity) <= seq) places.shift();
      // Also when nobody waits: what nobody is owed is settled before its publisher asks.
      release(seq);
      if (owedBytes > 0 && seq >= writtenTo) schedule(markMs);
    },
    bring(seq) {
      if (journal === undefined) return;
      inTurn(() => read(journal, seq))
        .catch((error: unknown) => {
          log.error({ error }, 'events that are owed cannot be read from the disk');
          return [];
        })
        .then((events) => {
          if (events.length === 0) metrics.drop('outbox', 'not readable');
          if (!isStopped) world.step((router, now) => router.brought(now, events));
        })
        .catch((error: unknown) => log.error({ error }, 'events that were read cannot be sent'));
    },
    press() {
      isPressed = true;
      isAsked = true;
      schedule(pressedMs);
    },
    trouble: () => failure,
    async stop() {
      cancel();
      isStopped = true;
      while (isWriting) await new Promise<void>((resolve) => setImmediate(resolve));
      if (journal !== undefined) await write();
      release(Infinity);
    },
  };
}
