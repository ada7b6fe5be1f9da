/** The receiving end of a flow of bodies: puts pieces in order and together, and says how far they came. */

import { pieceWindow } from '../../kernel/call.ts';
import type { Credit, Piece } from './messages.ts';

/** A whole body. */
export interface Arrival {
  readonly bytes: Uint8Array;
  readonly isEnd: boolean;
  readonly isError: boolean;
}

/** What became of a piece. `credit`: the other end should hear how far it came. */
export type Verdict =
  | { readonly kind: 'more' }
  | { readonly kind: 'credit'; readonly isAsking: boolean }
  | { readonly kind: 'whole'; readonly arrival: Arrival }
  | { readonly kind: 'too-large' };

/** One flow, receiving. */
export interface Inflow {
  take(piece: Piece): Verdict;
  /** The reader took one whole body. */
  read(): void;
  /** How far it came, to be told now. */
  credit(): Credit;
  /** Pieces came that the other end does not know of. */
  isUntold(): boolean;
  /** So many of them that it should. */
  isDue(): boolean;
  isEnded(): boolean;
  /** Bytes of a body that is not whole yet. */
  heldBytes(): number;
}

const more: Verdict = { kind: 'more' };
const credit: Verdict = { kind: 'credit', isAsking: false };
const gap: Verdict = { kind: 'credit', isAsking: true };

/** Pieces read, pieces that came, and their bytes, before the other end hears of it again. */
const readEvery: number = pieceWindow / 8;
const arrivedEvery: number = pieceWindow / 4;
const arrivedBytesEvery: number = 64 * 1024;

/** Builds a flow whose bodies have at most `bytesMax` bytes. */
export function createInflow(bytesMax: number): Inflow {
  let parts: Uint8Array[] = [];
  let held = 0;
  let next = 0;
  let unread = 0;
  let told: Credit = { next: 0, upTo: pieceWindow };
  let untoldBytes = 0;
  let isEnded = false;
  /** The piece whose absence was told already: one gap is told once, the other end repeats by itself. */
  let missed = -1;

  function whole(last: Piece): Arrival {
    const { isEnd, isError } = last;
    if (parts.length === 0) return { bytes: last.bytes, isEnd, isError };
    const bytes = new Uint8Array(held + last.bytes.length);
    let at = 0;
    for (const part of parts) {
      bytes.set(part, at);
      at += part.length;
    }
    bytes.set(last.bytes, at);
    parts = [];
    held = 0;
    return { bytes, isEnd, isError };
  }

  const upTo = (): number => next - unread + pieceWindow;
  const isDue = (): boolean =>
    untoldBytes >= arrivedBytesEvery ||
    next - told.next >= arrivedEvery ||
    upTo() - told.upTo >= readEvery;

  return {
    take(piece) {
      if (piece.seq < next) return credit;
      if (isEnded || piece.seq >= upTo()) return more;
      if (piece.seq > next) {
        if (missed === next) return more;
        missed = next;
        return gap;
      }
      if (held + piece.bytes.length > bytesMax) return { kind: 'too-large' };
      next += 1;
      untoldBytes += piece.bytes.length;
      if (piece.isItemEnd) {
        unread += 1;
        isEnded = piece.isEnd;
        return { kind: 'whole', arrival: whole(piece) };
      }
      parts.push(piece.bytes);
      held += piece.bytes.length;
      return isDue() ? credit : more;
    },
    read() {
      unread = Math.max(0, unread - 1);
    },
    credit() {
      told = { next, upTo: upTo() };
      untoldBytes = 0;
      return told;
    },
    isUntold: () => next > told.next,
    isDue,
    isEnded: () => isEnded,
    heldBytes: () => held,
  };
}
