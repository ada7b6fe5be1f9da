/** Finding candidates on a network. Discovery never decides trust: a sighting is a hint where to dial. */

import type { Address } from '../kernel/address.ts';
import type { NodeId } from '../kernel/ids.ts';

/** The rungs of the ladder; all run in parallel. */
export type RungName = 'mdns' | 'multicast' | 'disk' | 'peers' | 'seeds' | 'backbone';

/**
 * What a node is ready for: `member` of a real mesh, `unclaimed` (a provisional mesh of one that may be invited),
 * or `open` (a member whose mesh has an open join window).
 */
export type BeaconState = 'member' | 'unclaimed' | 'open';

/** What a node tells strangers about itself: no name, no topic, no secret. */
export interface Beacon {
  readonly node: NodeId;
  /** 16 hex digits derived from the mesh id by a hash: members recognise each other, strangers learn nothing. */
  readonly meshTag: string;
  readonly state: BeaconState;
  /** TCP (links) and UDP (membership) port. */
  readonly port: number;
}

/** One rung saw one node. */
export interface Sighting {
  readonly rung: RungName;
  /** Unknown for a bare seed address. */
  readonly node?: NodeId;
  readonly meshTag?: string;
  readonly state?: BeaconState;
  /** Addresses to try, best first. Never empty. */
  readonly addresses: readonly Address[];
}

/** What a rung reports. Callbacks are never called after `stop()` has resolved. */
export interface RungHandlers {
  seen(sighting: Sighting): void;
  /** The node said goodbye or its record expired. A hint, not a death: membership decides. */
  lost(node: NodeId): void;
  /** The rung cannot work now, with the reason and the fix; it keeps trying by itself. `undefined` clears it. */
  trouble(problem: { readonly reason: string; readonly fix: string } | undefined): void;
}

/** A line of a rung's record table, for `mycel discover`. */
export interface RungRecord {
  readonly node?: NodeId;
  readonly meshTag?: string;
  readonly state?: BeaconState;
  readonly addresses: readonly Address[];
  /** Milliseconds since it was last heard. */
  readonly ageMs: number;
}

/** One way to find nodes. No network error may escape from it, ever. */
export interface Rung {
  readonly name: RungName;
  start(handlers: RungHandlers): Promise<void>;
  /** Sets or replaces what this node tells about itself, and tells it now. */
  announce(beacon: Beacon): void;
  /** Something changed (someone new, network back): look around quickly for a while. */
  burst(): void;
  records(): readonly RungRecord[];
  /** Says goodbye and frees every socket and timer. Idempotent. */
  stop(): Promise<void>;
}
