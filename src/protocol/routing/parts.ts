/**
 * Large messages: cut into parts that are events of their origin's stream, one after the other, and put together again by
 * whom they are for. Order, resends and flow control are those of all events.
 *
 * A receiver acknowledges no part before the message is whole, so that none is lost with its memory. The first part of a
 * message is taken only where it stands next in its stream and there is room for all of it: what was refused comes again.
 */

import type { Millis } from '../../kernel/core.ts';
import { isLarge, messageBytesMax, partBytes } from '../../kernel/large-message.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Envelope, Part, SeqRange } from './messages.ts';
import type { StreamProgress } from './order-buffer.ts';
import type { Publication } from './router-world.ts';

/** Bytes of all messages that are being put together, when they will be whole. One alone always has room. */
export const joiningBytesMax: number = 2 * messageBytesMax;

/** A message that got no part for so long, in ms, gives way to another one when there is no room for both. */
export const stalledMs: Millis = 10_000;

/** How long an unfinished message is kept that gets no part, in ms: as long as its origin may resend. */
const patienceMs: Millis = 300_000;

/** The parts of a publication; one without a `part` when it travels whole. */
export function cut(publication: Publication): readonly { payload: Uint8Array; part?: Part }[] {
  const { payload, isSignal = false } = publication;
  if (!isLarge(payload)) return [{ payload }];
  const totalBytes = payload.byteLength;
  return Array.from({ length: Math.ceil(totalBytes / partBytes) }, (_, index) => ({
    payload: payload.subarray(index * partBytes, (index + 1) * partBytes),
    part: { index, totalBytes, isSignal },
  }));
}

/**
 * Events that a power cut left, without the parts of a last message that is not whole: its publisher was never told that it
 * is safe, and the rest of it will never come.
 */
export function withoutTorn<Event>(
  events: readonly Event[],
  partOf: (event: Event) => Part | undefined,
): readonly Event[] {
  const last = events.at(-1);
  const part = last === undefined ? undefined : partOf(last);
  if (part === undefined || (part.index + 1) * partBytes >= part.totalBytes) return events;
  return events.slice(0, Math.max(0, events.length - 1 - part.index));
}

/** Told of what does not become whole. */
export interface JoinerOutputs {
  /** A message was given up: some of its parts will never come. */
  torn(): void;
  /** A message has to come again from its first part on. */
  again(now: Millis, origin: NodeId, boot: number, seq: number): void;
}

/** Puts the events of each origin together, which come in order. */
export interface Joiner {
  /** Whether there is room for the message that begins with this event, which stands next in its stream. */
  admits(now: Millis, envelope: Envelope): boolean;
  /** @returns a whole message; undefined: more of it is to come, or it was given up. */
  take(now: Millis, envelope: Envelope): Envelope | undefined;
  /**
   * How far a stream has come, without what is not whole: were it acknowledged, a restart of this node would lose it. Its
   * parts are told as held.
   */
  whole(origin: NodeId, progress: StreamProgress): StreamProgress;
  /** Nothing of the origin below `seq` will come (again). */
  startAt(origin: NodeId, boot: number, seq: number): void;
  forget(origin: NodeId): void;
  tick(now: Millis): void;
  deadline(): Millis;
  /** Bytes held. */
  heldBytes(): number;
}

interface Open {
  readonly boot: number;
  readonly first: number;
  readonly totalBytes: number;
  readonly parts: Uint8Array[];
  bytes: number;
  /** When its last part came. */
  at: Millis;
}

/** Builds a joiner. */
export function createJoiner(outputs: JoinerOutputs): Joiner {
  const open = new Map<NodeId, Open>();
  let promised = 0;

  function forget(origin: NodeId): void {
    promised -= open.get(origin)?.totalBytes ?? 0;
    open.delete(origin);
  }

  function abandon(origin: NodeId): void {
    if (!open.has(origin)) return;
    forget(origin);
    outputs.torn();
  }

  /** Puts those back that got nothing since `since`, until so many bytes have room. */
  function putBack(now: Millis, since: Millis, bytes: number): void {
    for (const [origin, { boot, first, at }] of open) {
      if (promised + bytes <= joiningBytesMax) return;
      if (at > since) continue;
      forget(origin);
      outputs.again(now, origin, boot, first);
    }
  }

  function next(now: Millis, envelope: Envelope, part: Part): Open | undefined {
    const { origin, boot, seq } = envelope;
    const known = open.get(origin);
    const isNext =
      known?.boot === boot &&
      known.first + known.parts.length === seq &&
      known.parts.length === part.index &&
      known.totalBytes === part.totalBytes;
    if (isNext) return known;
    abandon(origin);
    if (part.index > 0) return undefined;
    const { totalBytes } = part;
    const fresh: Open = { boot, first: seq, totalBytes, parts: [], bytes: 0, at: now };
    open.set(origin, fresh);
    promised += totalBytes;
    return fresh;
  }

  return {
    forget,
    admits(now, { origin, part }) {
      if (part?.index !== 0) return true;
      const others = promised - (open.get(origin)?.totalBytes ?? 0);
      if (others > 0 && promised + part.totalBytes > joiningBytesMax) {
        putBack(now, now - stalledMs, part.totalBytes);
      }
      const left = promised - (open.get(origin)?.totalBytes ?? 0);
      return left === 0 || left + part.totalBytes <= joiningBytesMax;
    },
    take(now, envelope) {
      const { origin, part, payload } = envelope;
      if (part === undefined) {
        abandon(origin);
        return envelope;
      }
      const one = next(now, envelope, part);
      if (one === undefined) return undefined;
      // A copy: the view would keep the whole frame it came in alive.
      one.parts.push(new Uint8Array(payload));
      one.bytes += payload.byteLength;
      one.at = now;
      if (one.bytes < one.totalBytes) return undefined;
      forget(origin);
      return {
        ...envelope,
        class: part.isSignal ? 'signal' : 'event',
        payload: joined(one.parts, one.bytes),
        part: undefined,
      };
    },
    whole(origin, progress) {
      const known = open.get(origin);
      if (known === undefined || known.boot !== progress.boot) return progress;
      const held: SeqRange = [known.first, progress.upTo];
      return { ...progress, upTo: known.first - 1, ranges: [held, ...progress.ranges] };
    },
    startAt(origin, boot, seq) {
      const known = open.get(origin);
      if (known !== undefined && (boot > known.boot || seq > known.first)) abandon(origin);
    },
    tick: (now) => putBack(now, now - patienceMs, Infinity),
    deadline() {
      let soonest = Infinity;
      for (const { at } of open.values()) soonest = Math.min(soonest, at + patienceMs);
      return soonest;
    },
    heldBytes() {
      let bytes = 0;
      for (const one of open.values()) bytes += one.bytes;
      return bytes;
    },
  };
}

function joined(parts: readonly Uint8Array[], size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.byteLength;
  }
  return bytes;
}
