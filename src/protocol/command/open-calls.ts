/** What a caller remembers of its open calls, and of the members that it calls. */

import type { AscendingMap } from '../../kernel/ascending-map.ts';
import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Inflow } from './inflow.ts';
import type { Piece } from './messages.ts';
import type { Outflow } from './outflow.ts';

/** An open call. */
export interface Call {
  readonly call: number;
  readonly id: number;
  readonly peer: Peer;
  readonly method: string;
  readonly key: string | undefined;
  readonly isStream: boolean;
  readonly deadlineAt: Millis;
  /** The first piece of the body; the rest is in `up`. */
  readonly first: Piece;
  up: Outflow | undefined;
  down: Inflow | undefined;
  /** The life of the responder it was last sent to; undefined: not sent yet. */
  sentTo: number | undefined;
  sentCount: number;
  /** The responder has the whole request. */
  isKnown: boolean;
  dueAt: Millis;
  pauseMs: Millis;
  /** When the other end is told how far its answer came, if nothing tells it earlier. */
  tellAt: Millis;
}

/** A member that was called. */
export interface Peer {
  readonly id: NodeId;
  readonly open: AscendingMap<Call>;
  boot: number | undefined;
  askAt: Millis;
  askPauseMs: Millis;
  nextId: number;
  /** Answered calls that the peer does not know to be answered. */
  confirms: number[];
}
