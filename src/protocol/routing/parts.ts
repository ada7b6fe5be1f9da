/**
 * Large messages: cut into parts that are events of their origin's stream, one after the other, and put together again by
 * whom they are for. Order, resends and flow control are those of all events.
 */

import { isLarge, messageBytesMax, partBytes } from '../../kernel/large-message.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Envelope, Part, SeqRange } from './messages.ts';
import type { StreamProgress } from './order-buffer.ts';
import type { Publication } from './router-world.ts';

/** Bytes of all messages that are being put together, when they will be whole. One alone always has room. */
export const joiningBytesMax: number = 4 * messageBytesMax;

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

/** Puts the events of each origin together, which come in order. */
export interface Joiner {
  /** Whether a part may be taken; if not it must come again. */
  admits(envelope: Envelope): boolean;
  /** @returns a whole message; undefined: more of it is to come, or it was given up. */
  take(envelope: Envelope): Envelope | undefined;
  /**
   * How far a stream has come, without what is not whole: were it acknowledged, a restart of this node would lose it. Its
   * parts are told as held.
   */
  whole(origin: NodeId, progress: StreamProgress): StreamProgress;
  /** Nothing of the origin below `seq` will come (again). */
  startAt(origin: NodeId, boot: number, seq: number): void;
  forget(origin: NodeId): void;
  /** Bytes held. */
  heldBytes(): number;
}

interface Open {
  readonly boot: number;
  readonly first: number;
  readonly totalBytes: number;
  readonly parts: Uint8Array[];
  bytes: number;
}

/** Builds a joiner. `torn` is told of each message that was given up because some of its parts will never come. */
export function createJoiner(torn: () => void): Joiner {
  const open = new Map<NodeId, Open>();
  let promised = 0;

  function forget(origin: NodeId): void {
    promised -= open.get(origin)?.totalBytes ?? 0;
    open.delete(origin);
  }

  function abandon(origin: NodeId): void {
    if (!open.has(origin)) return;
    forget(origin);
    torn();
  }

  function begin(envelope: Envelope, { totalBytes }: Part): Open | undefined {
    // What was held back before it could be refused: twice the bound is the end.
    if (promised > 0 && promised + totalBytes > 2 * joiningBytesMax) return undefined;
    const { origin, boot, seq: first } = envelope;
    const fresh: Open = { boot, first, totalBytes, parts: [], bytes: 0 };
    open.set(origin, fresh);
    promised += totalBytes;
    return fresh;
  }

  return {
    forget,
    admits({ part }) {
      if (part?.index !== 0 || promised === 0) return true;
      return promised + part.totalBytes <= joiningBytesMax;
    },
    take(envelope) {
      const { origin, boot, seq, part, payload } = envelope;
      const known = open.get(origin);
      const isNext =
        part !== undefined &&
        known !== undefined &&
        known.boot === boot &&
        known.first + known.parts.length === seq &&
        known.parts.length === part.index &&
        known.totalBytes === part.totalBytes;
      if (!isNext) abandon(origin);
      if (part === undefined) return envelope;
      const one = isNext ? known : part.index === 0 ? begin(envelope, part) : undefined;
      if (one === undefined) {
        if (part.index === 0) torn();
        return undefined;
      }
      // A copy: the view would keep the whole frame it came in alive.
      one.parts.push(new Uint8Array(payload));
      one.bytes += payload.byteLength;
      if (one.bytes < one.totalBytes) return undefined;
      forget(origin);
      const { isSignal } = part;
      return {
        ...envelope,
        class: isSignal ? 'signal' : 'event',
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
