/** What overlays of linked nodes say to each other; the bytes are the wire's (src/wire/overlay-codec.ts). */

import type { Address } from '../../kernel/address.ts';
import type { NodeId } from '../../kernel/ids.ts';

/** Peers in one message; a shuffle of 3 active and 4 passive ones and the sender makes 8. */
export const hintsMax = 16;

/** Addresses told of one peer. */
export const hintAddressesMax = 4;

/** Nodes that a shuffle may have passed. */
export const pathMax = 16;

/** A node and where it may be reached. A hint only: the link's handshake proves who answers. */
export interface PeerHint {
  readonly node: NodeId;
  readonly addresses: readonly Address[];
}

/** A message between the overlays of the two ends of a session. */
export type OverlayMessage =
  /** Take me in, whoever must make room, and tell the mesh of me. */
  | { readonly kind: 'join'; readonly addresses: readonly Address[] }
  /** Be my neighbour. Urgent: the asker has no other one, a full view must make room. */
  | {
      readonly kind: 'neighbour';
      readonly isUrgent: boolean;
      readonly addresses: readonly Address[];
    }
  | { readonly kind: 'accept' }
  /** No, and whom to ask instead. The sender hangs up. */
  | { readonly kind: 'refuse'; readonly peers: readonly PeerHint[] }
  /** The link on which this comes is given up; the sender is well and hangs up. */
  | { readonly kind: 'disconnect' }
  | { readonly kind: 'forward-join'; readonly newcomer: PeerHint; readonly ttl: number }
  | {
      readonly kind: 'shuffle';
      readonly origin: PeerHint;
      /** Whether the origin looks for neighbours itself. */
      readonly hasRoom: boolean;
      readonly ttl: number;
      /** The nodes it has passed, the origin first, the sender last. */
      readonly path: readonly NodeId[];
      readonly peers: readonly PeerHint[];
    }
  /** Goes back along the path, which holds the nodes still to pass, the origin first. */
  | {
      readonly kind: 'shuffle-reply';
      readonly path: readonly NodeId[];
      readonly peers: readonly PeerHint[];
    }
  /** The member with the lowest id lives and is reached over links (unity.ts). */
  | {
      readonly kind: 'pulse';
      readonly root: NodeId;
      readonly boot: number;
      readonly count: number;
    }
  /** The overlay of this epoch carries the sender: it needs the link on which this comes no more (switchboard.ts). */
  | { readonly kind: 'holding'; readonly epoch: number; readonly by: NodeId };
