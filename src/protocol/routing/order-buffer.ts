/**
 * Delivers each origin's events in order and once: what comes early is held back, what cannot come any more is a gap.
 *
 * A stream is the events of one (origin, boot). It never gives a hole up while its origin is there to resend:
 * when the buffer is full the newest message is refused (not acknowledged), so that the origin sends it again.
 * What the origin does not owe to this node leaves no hole: each event says how many before it are not for its receiver.
 */

import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Envelope, SeqRange } from './messages.ts';

/** Knobs of an order buffer. */
export interface OrderBufferConfig {
  /** Streams remembered; the one unused the longest makes room. @default 4096 */
  readonly originsMax?: number;
  /** Messages held back for one origin. @default 256 */
  readonly heldMax?: number;
  /** Payload bytes held back for all origins together. @default 8_388_608 */
  readonly heldBytesMax?: number;
  /** How long a hole may block, in ms, when its origin has left or is unknown. @default 2_000 */
  readonly holdMs?: Millis;
  /** The same while the origin may still resend (its retention): alive, or dead and perhaps back. @default 300_000 */
  readonly patienceMs?: Millis;
}

/** Called synchronously, in order. */
export interface OrderBufferOutputs {
  deliver(envelope: Envelope): void;
  /** These will never be delivered. `to` below `from`: some before `from`, and how many is not known here. */
  gap(origin: NodeId, from: number, to: number): void;
}

/**
 * What became of an event. `refused`: the buffer is full, it must be sent again.
 * `stale`: from a life of its origin that has ended.
 */
export type OrderVerdict = 'delivered' | 'held' | 'duplicate' | 'refused' | 'stale';

/** How far a stream has come: what its origin needs to know. */
export interface StreamProgress {
  readonly boot: number;
  readonly upTo: number;
  readonly ranges: readonly SeqRange[];
}

/** Per-origin first-in first-out delivery. */
export interface OrderBuffer {
  accept(now: Millis, envelope: Envelope): OrderVerdict;
  /** The origin says that nothing below `seq` will come (again). `isLoss`: what is missing below it is lost, not just not owed. */
  startAt(now: Millis, origin: NodeId, boot: number, seq: number, isLoss: boolean): void;
  /** The origin is gone for good: it cannot fill a hole. This is so of an unknown one, too. */
  originGone(origin: NodeId): void;
  originHere(origin: NodeId): void;
  /** Where an event stands in the stream of its origin: `past` will not be delivered, `next` would be at once. */
  standing(envelope: Envelope): 'past' | 'next' | 'ahead';
  /** Delivers again from `seq` on: what was delivered since came to nobody. */
  rewind(now: Millis, origin: NodeId, boot: number, seq: number): void;
  /** Whether this event of the origin may still come: it is ahead of the stream, and the origin is not gone for good. */
  isAwaited(origin: NodeId, boot: number, seq: number): boolean;
  /** Undefined when nothing of the origin is known, or not yet where its stream starts. */
  progress(origin: NodeId): StreamProgress | undefined;
  tick(now: Millis): void;
  deadline(): Millis;
  view(): { readonly streams: number; readonly held: number; readonly heldBytes: number };
}

/** A message that waits for those before it, except those from `from` on, which are not owed to this node. */
interface Held {
  readonly envelope: Envelope;
  from: number;
}

interface Stream {
  boot: number;
  /** The next sequence number to deliver; undefined until the origin, or patience, tells where the stream starts. */
  next: number | undefined;
  readonly held: Map<number, Held>;
  /** The lowest sequence number held; Infinity when nothing is. */
  lowest: number;
  /** When the oldest hole opened; Infinity without one. */
  holeSince: Millis;
  usedAt: number;
}

/** How long a hole may block while its origin may still fill it, in ms: the retention of an outbox. */
export const patienceMsDefault: Millis = 300_000;

/** Ranges told in one acknowledgement; the others are simply sent again. */
const rangesMax = 32;

/** Builds an order buffer. */
export function createOrderBuffer(
  config: OrderBufferConfig,
  outputs: OrderBufferOutputs,
): OrderBuffer {
  const originsMax = Math.max(1, config.originsMax ?? 4096);
  const heldMax = config.heldMax ?? 256;
  const heldBytesMax = config.heldBytesMax ?? 8 * 1024 * 1024;
  const holdMs = config.holdMs ?? 2_000;
  const patienceMs = config.patienceMs ?? patienceMsDefault;
  const streams = new Map<NodeId, Stream>();
  const blocked = new Map<NodeId, Stream>();
  const here = new Set<NodeId>();
  let heldCount = 0;
  let heldBytes = 0;
  let useCount = 0;

  function open(origin: NodeId, boot: number): Stream {
    if (streams.size >= originsMax) evictOldest();
    const stream: Stream = {
      boot,
      next: undefined,
      held: new Map(),
      lowest: Infinity,
      holeSince: Infinity,
      usedAt: useCount,
    };
    streams.set(origin, stream);
    return stream;
  }

  function evictOldest(): void {
    let oldest: [NodeId, Stream] | undefined;
    for (const entry of streams) {
      if (oldest === undefined || entry[1].usedAt < oldest[1].usedAt) oldest = entry;
    }
    if (oldest === undefined) return;
    releaseAll(oldest[0], oldest[1]);
    streams.delete(oldest[0]);
  }

  /** The stream of this life of the origin; undefined when the boot is an older one. */
  function streamOf(origin: NodeId, boot: number): Stream | undefined {
    useCount += 1;
    const known = streams.get(origin) ?? open(origin, boot);
    known.usedAt = useCount;
    if (boot < known.boot) return undefined;
    if (boot > known.boot) {
      releaseAll(origin, known);
      known.boot = boot;
      known.next = undefined;
    }
    return known;
  }

  function hold(now: Millis, stream: Stream, envelope: Envelope, from: number): OrderVerdict {
    const size = envelope.payload.byteLength;
    if (stream.held.size >= heldMax || heldBytes + size > heldBytesMax) return 'refused';
    // A copy: the view would keep the whole frame it came in alive.
    const own = { ...envelope, payload: new Uint8Array(envelope.payload) };
    stream.held.set(envelope.seq, { envelope: own, from });
    if (envelope.seq < stream.lowest) stream.lowest = envelope.seq;
    heldCount += 1;
    heldBytes += size;
    if (stream.holeSince === Infinity) stream.holeSince = now;
    blocked.set(envelope.origin, stream);
    return 'held';
  }

  /** Takes the lowest held message out and moves past it. */
  function deliverLowest(stream: Stream): void {
    const held = stream.held.get(stream.lowest);
    if (held === undefined) return;
    const { envelope } = held;
    stream.held.delete(envelope.seq);
    stream.lowest = lowestOf(stream.held);
    heldCount -= 1;
    heldBytes -= envelope.payload.byteLength;
    stream.next = envelope.seq + 1;
    outputs.deliver(envelope);
  }

  /**
   * The lowest held message before which nothing is missing. It need not be the lowest of all: what it says to skip may
   * hold something that came all the same, and a hole before that is none.
   */
  function dueIn({ held, lowest }: Stream, next: number): number | undefined {
    const first = held.get(lowest);
    if (first === undefined || first.from <= next) return first?.envelope.seq;
    let due: number | undefined;
    for (const [seq, { from }] of held) {
      if (from <= next && (due === undefined || seq < due)) due = seq;
    }
    return due;
  }

  /** Delivers what has become due after `next` moved. */
  function advance(now: Millis, origin: NodeId, stream: Stream): void {
    while (stream.next !== undefined) {
      const due = dueIn(stream, stream.next);
      if (due === undefined) break;
      while (stream.lowest <= due) deliverLowest(stream);
    }
    stream.holeSince = stream.held.size === 0 ? Infinity : now;
    if (stream.held.size === 0) blocked.delete(origin);
  }

  /** Gives up the first hole: the oldest held message is next. */
  function skipHole(now: Millis, origin: NodeId, stream: Stream): void {
    const lowest = stream.held.get(stream.lowest);
    if (lowest === undefined) return;
    if (stream.next !== undefined && lowest.from > stream.next) {
      outputs.gap(origin, stream.next, lowest.from - 1);
    }
    stream.next = lowest.envelope.seq;
    advance(now, origin, stream);
  }

  function releaseAll(origin: NodeId, stream: Stream): void {
    while (stream.held.size > 0) skipHole(0, origin, stream);
    stream.holeSince = Infinity;
    blocked.delete(origin);
  }

  function dueAt(origin: NodeId, stream: Stream): Millis {
    return stream.holeSince + (here.has(origin) ? patienceMs : holdMs);
  }

  return {
    accept(now, envelope) {
      const { origin, seq } = envelope;
      const stream = streamOf(origin, envelope.boot);
      if (stream === undefined) return 'stale';
      const from = seq - envelope.skipped;
      const { next } = stream;
      if (next !== undefined && seq < next) return 'duplicate';
      const known = stream.held.size === 0 ? undefined : stream.held.get(seq);
      if (known !== undefined) {
        if (from >= known.from) return 'duplicate';
        known.from = from;
        advance(now, origin, stream);
        return 'duplicate';
      }
      if (next === undefined || from > next) return hold(now, stream, envelope, from);
      // What is not owed may be here all the same, through a way that knew no better.
      while (stream.lowest < seq) deliverLowest(stream);
      stream.next = seq + 1;
      outputs.deliver(envelope);
      if (stream.held.size > 0) advance(now, origin, stream);
      return 'delivered';
    },
    startAt(now, origin, boot, seq, isLoss) {
      const stream = streamOf(origin, boot);
      if (stream === undefined) return;
      if (stream.next !== undefined && seq <= stream.next) return;
      while (stream.lowest < seq) {
        const from = stream.held.get(stream.lowest)?.from ?? 0;
        if (isLoss && stream.next !== undefined && from > stream.next) {
          outputs.gap(origin, stream.next, from - 1);
        }
        deliverLowest(stream);
      }
      // A node that has started anew does not know how far it was.
      if (isLoss && seq > (stream.next ?? 1)) outputs.gap(origin, stream.next ?? seq, seq - 1);
      stream.next = seq;
      advance(now, origin, stream);
    },
    originGone: (origin) => void here.delete(origin),
    originHere(origin) {
      if (here.size < originsMax) here.add(origin);
    },
    standing({ origin, boot, seq, skipped }) {
      const stream = streams.get(origin);
      if (stream === undefined || stream.boot < boot) return 'ahead';
      if (stream.boot > boot || seq < (stream.next ?? 0)) return 'past';
      return stream.next !== undefined && seq - skipped <= stream.next ? 'next' : 'ahead';
    },
    rewind(now, origin, boot, seq) {
      const stream = streams.get(origin);
      if (stream?.boot !== boot || stream.next === undefined || seq >= stream.next) return;
      stream.next = seq;
      if (stream.held.size > 0) stream.holeSince = now;
    },
    isAwaited(origin, boot, seq) {
      const stream = streams.get(origin);
      if (stream === undefined || stream.boot < boot) return here.has(origin);
      if (stream.boot > boot || seq < (stream.next ?? 0)) return false;
      return here.has(origin) || stream.held.has(seq);
    },
    progress(origin) {
      const stream = streams.get(origin);
      if (stream?.next === undefined) return undefined;
      return { boot: stream.boot, upTo: stream.next - 1, ranges: rangesOf(stream.held) };
    },
    tick(now) {
      for (const [origin, stream] of blocked) {
        if (dueAt(origin, stream) > now) continue;
        if (here.has(origin)) skipHole(now, origin, stream);
        else releaseAll(origin, stream);
      }
    },
    deadline() {
      let soonest = Infinity;
      for (const [origin, stream] of blocked) {
        soonest = Math.min(soonest, dueAt(origin, stream));
      }
      return soonest;
    },
    view: () => ({ streams: streams.size, held: heldCount, heldBytes }),
  };
}

function lowestOf(held: ReadonlyMap<number, Held>): number {
  let lowest = Infinity;
  for (const seq of held.keys()) if (seq < lowest) lowest = seq;
  return lowest;
}

function rangesOf(held: ReadonlyMap<number, Held>): SeqRange[] {
  if (held.size === 0) return [];
  const seqs = [...held.keys()].sort((left, right) => left - right);
  const ranges: [number, number][] = [];
  for (const seq of seqs) {
    const last = ranges.at(-1);
    if (last !== undefined && last[1] === seq - 1) last[1] = seq;
    else if (ranges.length === rangesMax) break;
    else ranges.push([seq, seq]);
  }
  return ranges;
}
