/** Addressed messages between the members of one mesh: what services, replicated state and consensus are built on. */

import type { NodeId } from '../kernel/ids.ts';
import type { ParcelHandler } from '../kernel/parcel.ts';

/** Something happened between this node and a member. Hints, except `up` and `down`, which are membership's verdict. */
export type PeerChange =
  | { readonly kind: 'up'; readonly node: NodeId }
  | {
      readonly kind: 'down';
      readonly node: NodeId;
      readonly reason: 'dead' | 'left' | 'dormant';
    }
  /** The direct link opened or closed: a member without one is still reached through others. */
  | { readonly kind: 'linked' | 'unlinked'; readonly node: NodeId }
  /** This node belongs to another mesh now: whatever was known of peers is void. */
  | { readonly kind: 'moved' };

/**
 * One node's place in the mesh.
 *
 * Delivery is at most once and usually in order; a protocol that needs more numbers, repeats and acknowledges for itself.
 * Nothing is called re-entrantly: a handler never runs inside `send`.
 */
export interface MeshPort {
  readonly self: NodeId;
  /** Counts up with every life of this node (restart, other mesh), persisted: what another life said is void. */
  boot(): number;
  /** Members held alive or suspect, this node not included, in no order. */
  peers(): readonly NodeId[];
  isLinked(node: NodeId): boolean;
  /** Smoothed round trip over the direct link, in ms; undefined: no link, or not measured yet. */
  rttMs(node: NodeId): number | undefined;
  /**
   * Sends a parcel to a member, directly or through others; to this node itself, too.
   * @returns false when it was certainly not sent: no way there, the way is saturated, or the node is not running.
   * @throws {RangeError} a parcel above `parcelBytesMax` or a protocol name that is empty or too long: a bug of the caller.
   */
  send(to: NodeId, protocol: string, bytes: Uint8Array): boolean;
  /**
   * Lets what was sent leave now instead of at the end of this turn of the loop, where more would have been gathered: for
   * answers that somebody waits for.
   */
  hurry(): void;
  /**
   * Takes a protocol's parcels; returns the function that gives it back.
   * @throws {RangeError} when another handler has it.
   */
  handle(protocol: string, handler: ParcelHandler): () => void;
  /** Listens; returns the function that ends it. */
  onChange(listener: (change: PeerChange) => void): () => void;
}
