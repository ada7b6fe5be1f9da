/** Messages that neighbours have announced and this node waits for: when to ask, and whom next. */

import { BoundedMap } from '../../kernel/bounded-map.ts';
import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { keyOf } from './piece.ts';
import type { Announced, Piece } from './piece.ts';

/** Announcers remembered for one message. */
const announcersMax = 8;

interface Entry {
  readonly piece: Piece;
  announcers: NodeId[];
  at: Millis;
}

/** The table of what is missing. */
export interface Missing {
  count(): number;
  announced(now: Millis, piece: Announced, from: NodeId, waitMs: Millis): void;
  /** It came. */
  found(piece: Piece): void;
  /** A neighbour is gone, and what it could have given with it. */
  gone(node: NodeId): void;
  /** What to ask for now and whom; each is asked for again, elsewhere, after `retryMs` of the one asked. */
  due(now: Millis, retryMs: (node: NodeId) => Millis): readonly { piece: Piece; from: NodeId }[];
  deadline(): Millis;
}

/** Builds an empty table of at most `limit` messages. */
export function createMissing(limit: number): Missing {
  const entries = new BoundedMap<string, Entry>(limit);
  let soonest: Millis = Infinity;

  return {
    count: () => entries.size,
    announced(now, { origin, boot, seq, stream, isStaged }, from, waitMs) {
      const piece = { origin, boot, seq, stream };
      const key = keyOf(piece);
      const known = entries.get(key);
      if (known === undefined) {
        const at = isStaged ? now : now + waitMs;
        entries.set(key, { piece, announcers: [from], at });
        soonest = Math.min(soonest, at);
      } else if (known.announcers.length < announcersMax && !known.announcers.includes(from)) {
        known.announcers.push(from);
      }
    },
    found: (piece) => void entries.delete(keyOf(piece)),
    gone(node) {
      for (const entry of entries.values()) {
        const { announcers } = entry;
        if (announcers.includes(node)) entry.announcers = announcers.filter((one) => one !== node);
      }
    },
    due(now, retryMs) {
      const asked: { piece: Piece; from: NodeId }[] = [];
      soonest = Infinity;
      for (const [key, entry] of entries) {
        if (entry.at <= now) {
          const from = entry.announcers.shift();
          if (from === undefined) {
            entries.delete(key);
            continue;
          }
          asked.push({ piece: entry.piece, from });
          entry.at = now + retryMs(from);
        }
        soonest = Math.min(soonest, entry.at);
      }
      return asked;
    },
    deadline: () => (entries.size === 0 ? Infinity : soonest),
  };
}
