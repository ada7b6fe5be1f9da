/** A life's two faces: what the node provides to it, and what it offers to the node. */

import type { Address } from '../kernel/address.ts';
import type { NodeId } from '../kernel/ids.ts';
import type { Random } from '../kernel/random.ts';
import type { EventLog } from '../ports/event-log.ts';
import type { Sighting } from '../ports/discovery.ts';
import type { Log } from '../ports/log.ts';
import type { Metrics } from '../ports/metrics.ts';
import type { Store } from '../ports/store.ts';
import type { MemberMeta } from '../protocol/membership/messages.ts';
import type { ProfileName } from '../protocol/membership/profiles.ts';
import type { ChannelTable } from '../protocol/channels/channel-table.ts';
import type { OverlayName } from '../protocol/overlay/overlay.ts';
import type { Ground, NodeAdapters, PeerBook } from './adapters.ts';
import type { Door } from './door.ts';
import type { Identity } from './identity.ts';
import type { Membership } from './membership.ts';
import type { Losses } from './losses.ts';
import type { OutboxOptions } from './message-types.ts';
import type { MemberInfo, MemberState, PendingMember } from './mesh-node.ts';
import type { Messaging } from './messaging-world.ts';
import type { Peering } from './peering.ts';
import type { Groups } from './routing/groups.ts';
import type { LocalInterest } from './routing/local-interest.ts';
import type { Subscriptions } from './subscriptions.ts';
import type { Trust } from './trust.ts';

/** What the node around it provides. */
export interface LifeWorld extends Losses {
  readonly adapters: NodeAdapters;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly random: Random;
  readonly store: Store;
  /** Whether the record of this mesh is to survive; the disk of an expelled node goes on saying that it is out. */
  readonly isKept: boolean;
  readonly identity: Identity;
  /** Raised and on disk before this life began. */
  readonly boot: number;
  readonly profile: ProfileName;
  readonly overlay: OverlayName;
  readonly channels: ChannelTable;
  readonly outbox: OutboxOptions;
  readonly isDev: boolean;
  readonly book: PeerBook;
  readonly subscriptions: Subscriptions;
  readonly interest: LocalInterest;
  readonly groups: Groups;
  /** Keeps events over a power cut; undefined: nothing does. */
  readonly journal: EventLog | undefined;
  /** Whether this is the first life of its process, which goes on with what is in the journal. */
  readonly isFirst: boolean;
  ground(): Ground;
  /** Local address for membership datagrams. */
  readonly datagramHost: string;
  addresses(): readonly Address[];
  meta(roles: readonly string[]): MemberMeta;
  memberChanged(info: MemberInfo, before: MemberState | undefined): void;
  linkChanged(peer: NodeId, isOpen: boolean, reason: string): void;
  pending(newcomer: PendingMember): void;
  parcel(from: NodeId, protocol: string, bytes: Uint8Array): void;
  alert(code: string, text: string): void;
  /** What strangers are told changed: the window opened, the mesh became real. */
  beaconChanged(): void;
  /** This device was thrown out, or met its own clone. */
  expelled(reason: string): void;
}

/** A life. */
export interface Life {
  readonly boot: number;
  readonly trust: Trust;
  readonly door: Door;
  readonly messaging: Messaging;
  readonly peering: Peering;
  /** Bytes that wait where a parcel to a linked member would. */
  parcelBytes(to: NodeId, protocol: string, bytes: number): number;
  membership(): Membership | undefined;
  /** Opens membership; for a real mesh. Idempotent. */
  goPublic(): Promise<void>;
  sighted(sighting: Sighting): void;
  /** Whoever let this node in named these addresses of members. */
  introduced(addresses: readonly Address[]): void;
  members(): readonly MemberInfo[];
  addressesChanged(): void;
  /** Judges a peer's certificate in a link handshake. */
  admit: Trust['admit'];
  /** A member refuses this node and shows why. */
  refusedBy: Trust['refusedBy'];
  prologue(): Uint8Array;
  /** Throws a member out, as admin: log entry, then a new epoch key that it does not get. */
  revoke(node: NodeId): Promise<void>;
  /**
   * Says goodbye: the members call this node `left`, not dead. `isForGood`: it does not come back, so that nobody dials
   * it after a restart of their own.
   */
  leave(isForGood: boolean): Promise<void>;
  stop(): Promise<void>;
}
