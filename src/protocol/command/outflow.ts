/** The sending end of a flow of bodies: cuts them into pieces, sends within credit, repeats what was lost (go-back-N). */

import type { Millis } from '../../kernel/core.ts';
import { pieceBytesMax, pieceWindow } from '../../kernel/call.ts';
import type { Credit, Piece } from './messages.ts';

/** Body bytes on their way at once, whatever credit allows: a link's queue is not the place for more. */
export const inFlightBytesMax: number = 256 * 1024;

/** First pause before a request that got no answer is sent again, in ms, and the longest. */
export const resendMs: Millis = 250;
export const resendMsMax: Millis = 5_000;

/**
 * First pause before pieces are sent again, in ms. A gap is asked for at once; this is for what was lost with a link, and
 * twice the time in which a slow stream is acknowledged: every acknowledgement costs the device that reads it as much as a
 * piece does.
 */
export const flowResendMs: Millis = 500;

interface Item {
  readonly bytes: Uint8Array;
  readonly isEnd: boolean;
  readonly isError: boolean;
  /** Bytes of it that became pieces. */
  cut: number;
}

/** One flow, sending. */
export interface Outflow {
  /** Adds a body. Nothing may follow one that ends the flow. */
  add(bytes: Uint8Array, isEnd: boolean, isError: boolean): void;
  /** The pieces that may leave now. */
  take(now: Millis): Piece[];
  /** How far they came. */
  credited(now: Millis, credit: Credit): void;
  /** Sends from the first piece that is not known to have come, when their time has come. */
  resend(now: Millis): Piece[];
  /** When `resend` would do something; Infinity: nothing is on its way. */
  resendAt(): Millis;
  /** The pieces on their way, again, at once: the other end asked. */
  again(now: Millis): Piece[];
  /** Everything was sent and came. */
  isDone(): boolean;
  /** Bytes of bodies it holds. */
  heldBytes(): number;
  /** Bytes not cut into pieces yet: a writer waits while there are any. */
  waitingBytes(): number;
}

/** Builds a flow. `upTo` is the credit it begins with. */
export function createOutflow(upTo: number = pieceWindow): Outflow {
  const items: Item[] = [];
  let sent: Piece[] = [];
  let sentBytes = 0;
  let waiting = 0;
  let nextSeq = 0;
  let isEnded = false;
  let limit = upTo;
  let due: Millis = Infinity;
  let pauseMs = flowResendMs;

  function cut(item: Item): Piece {
    const from = item.cut;
    const to = Math.min(item.bytes.length, from + pieceBytesMax);
    item.cut = to;
    waiting -= to - from;
    const isItemEnd = to === item.bytes.length;
    const bytes = from === 0 && isItemEnd ? item.bytes : item.bytes.subarray(from, to);
    const piece: Piece = {
      seq: nextSeq,
      bytes,
      isItemEnd,
      isEnd: isItemEnd && item.isEnd,
      isError: item.isError,
    };
    nextSeq += 1;
    return piece;
  }

  function again(now: Millis): Piece[] {
    if (sent.length === 0) return [];
    due = now + pauseMs;
    return sent.slice();
  }

  return {
    again,
    add(bytes, isEnd, isError) {
      if (isEnded) return;
      isEnded = isEnd;
      waiting += bytes.length;
      items.push({ bytes, isEnd, isError, cut: 0 });
    },
    take(now) {
      const taken: Piece[] = [];
      while (nextSeq < limit && (sentBytes < inFlightBytesMax || sent.length === 0)) {
        const item = items[0];
        if (item === undefined) break;
        const piece = cut(item);
        if (piece.isItemEnd) items.shift();
        sent.push(piece);
        sentBytes += piece.bytes.length;
        taken.push(piece);
      }
      if (taken.length > 0 && due === Infinity) due = now + pauseMs;
      return taken;
    },
    credited(now, { next, upTo: allowed }) {
      // What was never sent cannot have come: whoever says so is not to be believed in anything.
      if (!(next <= nextSeq)) return;
      if (allowed > limit) limit = Math.min(allowed, next + 2 * pieceWindow);
      const first = sent[0];
      if (first === undefined || next <= first.seq) return;
      const count = next - first.seq;
      for (const piece of sent.slice(0, count)) sentBytes -= piece.bytes.length;
      sent = sent.slice(count);
      pauseMs = flowResendMs;
      due = sent.length === 0 ? Infinity : now + pauseMs;
    },
    resend(now) {
      if (now < due) return [];
      pauseMs = Math.min(resendMsMax, pauseMs * 2);
      return again(now);
    },
    resendAt: () => due,
    isDone: () => isEnded && items.length === 0 && sent.length === 0,
    heldBytes: () => sentBytes + waiting,
    waitingBytes: () => waiting,
  };
}

/** An answer of one piece: what nearly all are, without the state of a flow. */
class SinglePiece implements Outflow {
  private piece: Piece | undefined;
  private isSent = false;
  private hasCome = false;

  add(bytes: Uint8Array, _isEnd: boolean, isError: boolean): void {
    this.piece ??= { seq: 0, bytes, isItemEnd: true, isEnd: true, isError };
  }

  take(): Piece[] {
    if (this.isSent || this.piece === undefined) return [];
    this.isSent = true;
    return [this.piece];
  }

  credited(_: Millis, { next }: Credit): void {
    if (next === 1 && this.isSent) this.hasCome = true;
  }

  resend(): Piece[] {
    return [];
  }

  resendAt(): Millis {
    return Infinity;
  }

  again(): Piece[] {
    return this.piece !== undefined && this.isSent && !this.hasCome ? [this.piece] : [];
  }

  isDone(): boolean {
    return this.hasCome;
  }

  heldBytes(): number {
    return this.hasCome ? 0 : (this.piece?.bytes.length ?? 0);
  }

  waitingBytes(): number {
    return this.isSent ? 0 : (this.piece?.bytes.length ?? 0);
  }
}

/** The flow of an answer that fits one piece, ends with it, and is not repeated unasked. */
export function createSinglePiece(): Outflow {
  return new SinglePiece();
}
