/** The message floor's faces: what it needs of the node around it, and what it offers to it. */

import type { MeshId, NodeId } from '../kernel/ids.ts';
import type { Millis } from '../kernel/core.ts';
import type { Random } from '../kernel/random.ts';
import type { Broker, BrokerMessage } from '../ports/broker.ts';
import type { Clock } from '../ports/clock.ts';
import type { EventLog } from '../ports/event-log.ts';
import type { Log } from '../ports/log.ts';
import type { Metrics } from '../ports/metrics.ts';
import type { ChannelTable } from '../protocol/channels/channel-table.ts';
import type { ProfileName } from '../protocol/membership/profiles.ts';
import type { InterestMessage } from '../protocol/routing/interest-gossip.ts';
import type { Absent } from '../protocol/routing/leftover.ts';
import type { DeliveryClass, Envelope, Letter } from '../protocol/routing/messages.ts';
import type { OutboxConfig } from '../protocol/routing/outbox-types.ts';
import type { RetainedEntry } from '../protocol/routing/retained-map.ts';
import type { Router, RouterView } from '../protocol/routing/router-world.ts';
import type { Losses } from './losses.ts';
import type { MeshMessage, Published, PublishOptions } from './mesh-node.ts';
import type { Found } from './routing/found-events.ts';
import type { Groups } from './routing/groups.ts';
import type { MessageTrace } from './routing/message-trace.ts';
import type { LocalInterest } from './routing/local-interest.ts';
import type { Subscriptions } from './subscriptions.ts';

/** What the node around it provides. */
export interface MessagingWorld extends Losses {
  readonly self: NodeId;
  readonly boot: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly broker: Broker;
  readonly subscriptions: Subscriptions;
  readonly interest: LocalInterest;
  readonly groups: Groups;
  readonly channels: ChannelTable;
  /** What keeps events over a power cut; undefined: nothing does. */
  readonly journal: EventLog | undefined;
  /** What the life before this one still owed. */
  readonly found: Found;
  /** Bounds of the outbox, and what it does at them. @default those of `OutboxConfig` */
  readonly outbox?: OutboxConfig;
  readonly absent?: Absent;
  readonly mesh: MeshId;
  alert(code: string, text: string): void;
  /** False: not taken. `withheld`: the peer may count it and not read it; `unreadable`: its version cannot. */
  transmit(
    peer: NodeId,
    record: Uint8Array,
    kind: DeliveryClass,
  ): boolean | 'withheld' | 'unreadable';
  /** Whether the version of a peer can read a message. */
  canRead(peer: NodeId, record: Uint8Array): boolean;
  /** Whether this topic may go to the mesh; what may not stays with the local subscribers. */
  mayLeave(topic: string): boolean;
  sendLetter(peer: NodeId, letter: Letter): void;
  /** A message of the trees to a neighbour's: broadcast-codec.ts. */
  sendBroadcast(peer: NodeId, bytes: Uint8Array): void;
  readonly profile: ProfileName;
  /** Members known, this node not included. */
  memberCount(): number;
  rttMs(peer: NodeId): number | undefined;
  sendInterest(peer: NodeId, message: InterestMessage): void;
  sendRetained(peer: NodeId, entries: readonly RetainedEntry[]): void;
  /** Bytes that wait on the link to a peer; undefined: there is no link. */
  queuedBytes(peer: NodeId): number | undefined;
  announceNeighbours(neighbours: readonly NodeId[]): void;
  /** A parcel for the floors above; the bytes are the receiver's. */
  parcel(from: NodeId, protocol: string, bytes: Uint8Array): void;
}

/** The message floor of one node in one mesh. */
export interface Messaging {
  readonly router: Router;
  readonly channels: ChannelTable;
  /** What became of the last messages. */
  readonly trace: MessageTrace;
  /** A local client published; `taken` is called when the message is safe in the outbox, or with why it is not. */
  fromClient(message: BrokerMessage, taken: (refusal?: string) => void): void;
  /** A program in this process published. */
  publish(topic: string, payload: Uint8Array, options: PublishOptions): Promise<Published>;
  received(from: NodeId, envelope: Envelope, raw: Uint8Array): void;
  /** A message of a member on probation, who may not send it. */
  refused(from: NodeId, envelope: Envelope): void;
  /** A message for a peer was lost in the queue of a channel. */
  lost(peer: NodeId, channel: string, raw: Uint8Array): void;
  /** The last values that match a filter, for a new subscriber in this process. */
  retained(filter: string): readonly MeshMessage[];
  /** A neighbour's trees say something; what cannot be read is counted. */
  broadcastReceived(from: NodeId, bytes: Uint8Array): void;
  /** A peer showed its digest of retained values: send what differs. */
  retainedAsked(peer: NodeId, digest: Uint8Array): void;
  /** Runs a step of the router and sets its alarm anew. */
  step<Result>(act: (router: Router, now: Millis) => Result): Result;
  view(): RouterView;
  /** Why events would not survive a power cut now. */
  trouble(): string | undefined;
  /** Answers whoever waits; what is owed is on disk when it resolves. */
  stop(): Promise<void>;
}
