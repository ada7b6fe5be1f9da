/** What a Plumtree speaks of: messages by name, and what neighbours tell each other about them. */

import type { NodeId } from '../../kernel/ids.ts';

/** One message, by its number in its origin's life. */
export interface Piece {
  readonly origin: NodeId;
  readonly boot: number;
  readonly seq: number;
  /** Origins count signals (0) and events (1) apart. */
  readonly stream: 0 | 1;
}

/** A message that a neighbour has. */
export interface Announced extends Piece {
  /** Hops from the origin to whoever hears this, over the announcer. */
  readonly hops: number;
  /** Nobody is sent this message whole unasked: ask at once. */
  readonly isStaged: boolean;
}

/** Between neighbours; the bytes are the wire's (src/wire/broadcast-codec.ts). */
export type PlumtreeMessage =
  /** IHAVE: I have these and did not send them to you. */
  | { readonly kind: 'have'; readonly pieces: readonly Announced[] }
  /** GRAFT: send me these, and whatever comes from this origin later. */
  | { readonly kind: 'graft'; readonly root: NodeId; readonly pieces: readonly Piece[] }
  /** PRUNE: I get this origin's messages from another neighbour already. */
  | { readonly kind: 'prune'; readonly root: NodeId };

/** Pieces in one message; more go in several. */
export const piecesMax = 256;

/** A piece as the key of a map. */
export function keyOf({ origin, boot, seq, stream }: Piece): string {
  return `${origin} ${boot} ${stream} ${seq}`;
}
