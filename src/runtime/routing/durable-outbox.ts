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
import type { Leftover } from '../../protocol/routing/leftover.ts';
import { withoutTorn } from '../../protocol/routing/parts.ts';
import type { Router } from '../../protocol/routing/router-world.ts';
import { envelopeShare, readEnvelope } from '../../wire/envelope.ts';
import {
  encodeEventEntry,
  encodeMarkEntry,
  encodeStreamEntry,
  readOutboxEntry,
} from '../../wire/outbox-entry.ts';

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

/** How far the numbers of a resumed stream are ahead of the last one known to be used: whatever was used is below. */
const resumeAhead: number = 2 ** 38;

/** What it works with. */
export interface DurableOutboxWorld {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly mesh: MeshId;
  /** Undefined: nothing is kept, an event is safe when it is in memory. */
  readonly journal: EventLog | undefined;
  /** What an earlier life left over, which is in the journal and in the router already. */
  readonly leftover: Leftover | undefined;
  readonly router: () => Router;
  alert(code: string, text: string): void;
}

/** The keeper of one life's events. */
export interface DurableOutbox {
  /** The events up to this one were taken: calls back when they are safe, in the order of the calls. */
  whenSafe(seq: number, safe: () => void): void;
  /** The router settled everything up to this event. */
  settled(seq: number): void;
  /** Why events are kept in memory only; undefined: they are not. */
  trouble(): string | undefined;
  /** Writes down what is owed, and answers everybody who waits. */
  stop(): Promise<void>;
}

/** What an earlier life of this node in this mesh still owed. */
export function readLeftover(
  found: readonly Uint8Array[],
  mesh: MeshId,
  at: Millis,
): Leftover | undefined {
  let isOurs = false;
  let settled = 0;
  let last = 0;
  let boot = 0;
  const events = new Map<number, Leftover['events'][number]>();
  for (const bytes of found) {
    const entry = readOutboxEntry(bytes);
    if (entry?.kind === 'stream') isOurs = entry.mesh === mesh;
    if (!isOurs || entry === undefined) continue;
    if (entry.kind === 'mark') {
      settled = Math.max(settled, entry.settled);
      last = Math.max(last, entry.last);
    } else if (entry.kind === 'event') {
      if (entry.boot !== boot) {
        // A stream of a later life: the one before had nothing left.
        boot = entry.boot;
        events.clear();
        settled = 0;
        last = 0;
      }
      last = Math.max(last, entry.seq);
      const { seq, owed, raw } = entry;
      events.set(seq, { seq, owed, raw, share: envelopeShare(raw) });
    }
  }
  const left = [...events.values()].filter((one) => one.seq > settled && one.owed.length > 0);
  left.sort((one, other) => one.seq - other.seq);
  const whole = withoutTorn(left, ({ raw }) => readEnvelope(raw)?.part);
  if (whole.length === 0 || last > 2 ** 48 - 2 * resumeAhead) return undefined;
  return { boot, nextSeq: last + resumeAhead, at, events: whole };
}

/** Builds it. */
export function createDurableOutbox(world: DurableOutboxWorld): DurableOutbox {
  const { clock, log, metrics, journal } = world;
  const seqs: number[] = [];
  const calls: (() => void)[] = [];
  let head = 0;
  let safeTo = 0;
  /** Everything up to here is in the journal, or needs not be. */
  let writtenTo = world.leftover?.events.at(-1)?.seq ?? 0;
  let settledTo = 0;
  /** What was taken before the last look: it has had its time to be acknowledged. */
  let dueTo = writtenTo;
  /** Bytes in the journal that are not settled yet, at most; 0: nothing in it is owed. */
  let owedBytes = world.leftover === undefined ? 0 : 1;
  let hasHead = world.leftover !== undefined;
  /** What is in the journal is of another mesh, or long settled. */
  let isStale = world.leftover === undefined && (journal?.bytes() ?? 0) > 0;
  let isWriting = false;
  /** Somebody who is owed events does not acknowledge them in time: waiting for that only holds the publishers up. */
  let isPressed = false;
  let isStopped = false;
  let failure: string | undefined;
  let cancel = (): void => {};
  let dueAt = Infinity;

  const paceMs = (): Millis => (isPressed ? pressedMs : batchMs);

  function release(seq: number): void {
    safeTo = Math.max(safeTo, seq);
    while (head < seqs.length && (seqs[head] ?? 0) <= safeTo) {
      const call = calls[head];
      head += 1;
      call?.();
    }
    if (head === seqs.length || head > 1024) {
      seqs.splice(0, head);
      calls.splice(0, head);
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

  function gather(after: number, upTo: number): { entries: Uint8Array[]; bytes: number } {
    const entries: Uint8Array[] = [];
    let bytes = 0;
    world.router().unsettled(after, upTo, (raw, owed) => {
      const entry = encodeEventEntry(owed, raw);
      bytes += entry.length;
      entries.push(entry);
    });
    return { entries, bytes };
  }

  /** @returns how many events it wrote */
  async function commit(into: EventLog, upTo: number): Promise<number> {
    const { entries, bytes } = gather(writtenTo, upTo);
    const mark = encodeMarkEntry(settledTo, world.router().lastSeq());
    const isMarkDue = owedBytes > 0 && settledTo >= writtenTo;
    if (settledTo >= writtenTo) owedBytes = 0;
    if (isStale || into.bytes() > settledBytesMax + 2 * owedBytes) {
      const all = gather(0, upTo);
      await into.replace([encodeStreamEntry(world.mesh), ...all.entries, mark]);
      owedBytes = all.bytes;
      hasHead = true;
      isStale = false;
    } else if (entries.length > 0) {
      const start = hasHead ? [] : [encodeStreamEntry(world.mesh)];
      await into.append([...start, ...entries, mark]);
      hasHead = true;
      owedBytes += bytes;
    } else if (isMarkDue) await into.append([mark]);
    metrics.count('outbox.written', entries.length);
    metrics.gauge('outbox.disk_bytes', into.bytes());
    metrics.gauge('outbox.written_bytes', into.bytesWritten());
    writtenTo = Math.max(writtenTo, upTo);
    recovered();
    release(upTo);
    return entries.length;
  }

  async function write(): Promise<void> {
    dueAt = Infinity;
    if (isWriting || journal === undefined) return;
    isWriting = true;
    const upTo = isStopped || isPressed ? world.router().lastSeq() : dueTo;
    dueTo = world.router().lastSeq();
    try {
      isPressed = (await commit(journal, upTo)) > 0;
    } catch (error) {
      failed(error);
    }
    isWriting = false;
    if (failure !== undefined) schedule(againMs);
    else if (head < seqs.length) schedule(paceMs());
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
  }

  function recovered(): void {
    if (failure === undefined) return;
    failure = undefined;
    log.info({}, 'events are on disk again');
  }

  if (isStale) schedule(markMs);

  return {
    whenSafe(seq, safe) {
      if (journal === undefined || failure !== undefined || seq <= safeTo) return safe();
      seqs.push(seq);
      calls.push(safe);
      schedule(paceMs());
    },
    settled(seq) {
      settledTo = seq;
      // Also when nobody waits: what nobody is owed is settled before its publisher asks.
      release(seq);
      if (owedBytes > 0 && seq >= writtenTo) schedule(markMs);
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
