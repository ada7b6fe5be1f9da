/** A router's faces: what it needs, what it does to the world, and what may be asked of it. */

import type { Millis } from '../../kernel/core.ts';
import type { Hlc } from '../../kernel/hlc.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Random } from '../../kernel/random.ts';
import type { DropReason, Transmit } from './forwarder.ts';
import type { InterestMessage } from './interest-gossip.ts';
import type { Wish } from './interest.ts';
import type { Absent, Leftover } from './leftover.ts';
import type { Envelope, Letter, Passage } from './messages.ts';
import type { OrderBufferConfig } from './order-buffer.ts';
import type { GoneReason, LossReason, OutboxConfig, OutboxView } from './outbox-types.ts';
import type { Brought } from './overflow.ts';
import type { PeerQueueConfig } from './peer-queue.ts';
import type { RelayPolicy } from './relay-policy.ts';
import type { ReceiptsConfig } from './receipts.ts';
import type { RetainedEntry, RetainedMap, RetainedMapConfig } from './retained-map.ts';
import type { RouterTrace } from './router-trace.ts';
import type { GroupsHere } from './shares.ts';

/** The byte work a router leaves to the wire. */
export interface EnvelopeCodec {
  /** Encodes into `into` when it fits there, else into memory that nobody else will write to. */
  encode(envelope: Envelope, into?: Uint8Array): Uint8Array;
  read(raw: Uint8Array): Envelope | undefined;
  /** Writes the hops left into encoded bytes, in place. */
  writeTtl(raw: Uint8Array, ttl: number): void;
  /** A copy of an encoded event with an address on it. */
  address(raw: Uint8Array, passage: Passage, ttl: number): Uint8Array;
  /** Writes how many events before it are not for its receiver into an encoded event, in place. */
  writeSkipped(raw: Uint8Array, skipped: number): void;
  /** Makes another message of an encoded one, in place: of the same topic and channel, with as large a payload. */
  restamp(raw: Uint8Array, seq: number, hlc: Hlc, payload: Uint8Array): void;
}

/** Knobs of a router. */
export interface RouterConfig {
  readonly self: NodeId;
  /** This node's persisted boot counter: greater than in any life before. */
  readonly boot: number;
  readonly random: Random;
  readonly codec: EnvelopeCodec;
  /** Learns a peer's timestamp; false when it is too far ahead to be kept as a retained message's stamp. */
  readonly observeHlc: (hlc: Hlc) => boolean;
  /** Whether a linked peer can read a message. Where others can, it takes no way through one that cannot. @default all can */
  readonly canRead?: (peer: NodeId, raw: Uint8Array) => boolean;
  readonly outbox?: OutboxConfig;
  readonly order?: OrderBufferConfig;
  readonly receipts?: ReceiptsConfig;
  readonly retained?: RetainedMapConfig;
  readonly queue?: PeerQueueConfig;
  /** Who of those a message is relayed to gets it now. @default all */
  readonly relay?: RelayPolicy;
  readonly leftover?: Leftover | undefined;
  /** Hears what becomes of messages. @default nobody does */
  readonly trace?: RouterTrace | undefined;
  /** The groups with members on this node, which serve them. @default none */
  readonly groups?: GroupsHere;
  /** Whom the life before knew. @default nobody */
  readonly absent?: Absent | undefined;
}

/** What a router does to the world; plain callbacks, called synchronously and in order. */
export interface RouterOutputs {
  /**
   * A message for the local subscribers; with a `share` for one member of that group alone.
   * @param isRetained it is the topic's last value in the whole mesh: the broker stores it (an empty payload deletes).
   */
  deliver(envelope: Envelope, isRetained: boolean): void;
  /**
   * Hands encoded bytes to a linked peer; they must be copied before the call returns.
   * @returns false when the link is saturated: nothing was taken, `drained` will be called.
   */
  readonly transmit: Transmit;
  /** Sends a letter to a linked peer over the control lane. */
  sendLetter(peer: NodeId, letter: Letter): void;
  /** Tells a linked peer about interest, over the control lane. */
  sendInterest(peer: NodeId, message: InterestMessage): void;
  /** A parcel of another member; the bytes are a view of the received ones. */
  parcel(from: NodeId, protocol: string, bytes: Uint8Array): void;
  /** Tells every linked peer whom this node is linked with. */
  announceNeighbours(neighbours: readonly NodeId[]): void;
  /** Events of the origin that local subscribers will never see. */
  gap(origin: NodeId, from: number, to: number): void;
  /** A topic's last value for later subscribers alone: those who are there get it as a message, or had it. */
  keepRetained(entry: RetainedEntry): void;
  /** A topic's last value that came by synchronisation and never as a message: for everybody. */
  showRetained(entry: RetainedEntry): void;
  /** A retained value made room for newer ones: the local broker should forget it. */
  forgetRetained(topic: string): void;
  /** Something was lost or refused; for counters. */
  drop(reason: DropReason, count: number): void;
  /** A member loses so many events of this node that it was owed. */
  forfeited(node: NodeId, count: number, reason: LossReason): void;
  /** Everybody has what it was owed up to this event. */
  settled(seq: number): void;
  /** Own events that only the disk has, from this one on, are to be sent: answered with `brought`. */
  bring(seq: number): void;
  /** The outbox is full of what is not on the disk yet. */
  press(): void;
  /** After `publish` said `full`: there is room again. */
  roomAgain(): void;
}

/** A message a local client wants to publish. Its local subscribers are not the router's business. */
export interface Publication {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: 0 | 1;
  readonly retain: boolean;
  readonly hlc: Hlc;
  /** The channel that the publisher chose. */
  readonly channel?: string | undefined;
  /** A large message that subscribers get as a signal although it travels as events. */
  readonly isSignal?: boolean | undefined;
}

/** What people and metrics see of a router. */
export interface RouterView {
  readonly outbox: OutboxView;
  readonly held: number;
  readonly streams: number;
  readonly links: readonly {
    readonly peer: NodeId;
    readonly queued: number;
    readonly isSaturated: boolean;
  }[];
  readonly retained: ReturnType<RetainedMap['view']>;
}

/** The data plane of one node. */
export interface Router {
  /**
   * Takes a local message whose topic and size the caller has checked. `full`: try again after `roomAgain`; only events are ever refused.
   */
  publish(now: Millis, publication: Publication): 'taken' | 'full';
  /**
   * Sends a message to one node with members of a group: its members here are gone, or did not acknowledge it.
   * @param had who sent it here, having none: asked last. @returns false when nobody could take it, which is counted.
   */
  hand(now: Millis, filter: string, publication: Publication, had?: NodeId): boolean;
  /** A message came over a link. `raw` is its bytes, in memory that this node owns: the router writes the ttl into it. */
  received(now: Millis, from: NodeId, envelope: Envelope, raw: Uint8Array): void;
  letterReceived(now: Millis, from: NodeId, letter: Letter): void;
  /** Sends a parcel, directly or through others, at most once. False: there is no way. */
  mail(to: NodeId, protocol: string, bytes: Uint8Array): boolean;
  /** Also when a new connection took the place of an open one: what was under way on the old one may be lost. */
  linkUp(now: Millis, peer: NodeId): void;
  linkDown(now: Millis, peer: NodeId): void;
  drained(now: Millis, peer: NodeId): void;
  neighboursHeard(peer: NodeId, neighbours: readonly NodeId[]): void;
  /** What the subscribers of this node want. Until it is told for the first time, every member sends it everything. */
  wants(filters: ReadonlySet<string> | 'everything', sinceMs: number): void;
  interestReceived(now: Millis, from: NodeId, message: InterestMessage): void;
  /** The links that a message to this member would take first; empty: there is none. */
  ways(to: NodeId): readonly NodeId[];
  /** Whether an event on this topic would be flooded, because many members without a link want it. */
  isFlooded(topic: string): boolean;
  /** The members that are known to want a topic, and those that have not said what they want. */
  listeners(topic: string): readonly NodeId[];
  /** What a member wants; undefined: it has not said so in its present life, and gets everything. */
  wish(node: NodeId): Wish | undefined;
  /** A peer's retained values, by synchronisation. */
  retainedReceived(now: Millis, entries: readonly RetainedEntry[]): void;
  /** Membership holds the node alive, in this life. It is owed every event published from here on. */
  memberJoined(now: Millis, node: NodeId, boot: number): void;
  /** `dead` keeps what it is owed for the retention time; an evicted one is not listened to any more. */
  memberGone(now: Millis, node: NodeId, reason: GoneReason): void;
  /** Bytes that the relay policy kept go to a linked peer after all. */
  repeat(peer: NodeId, raw: Uint8Array, isEvent: boolean): void;
  /** Whether this message has been here. */
  hasSeen(origin: NodeId, boot: number, seq: number, isEvent: boolean): boolean;
  /** The highest number of an own event that was taken. */
  lastSeq(): number;
  /** Who is owed an own event and has not acknowledged it. */
  owedTo(seq: number): readonly NodeId[];
  /** The own events up to this one are on the disk, or owed to nobody. */
  written(seq: number): void;
  /** The disk takes nothing any more, until something is `written`. */
  diskLost(): void;
  /** What `bring` asked for; empty: it cannot be read now. */
  brought(now: Millis, events: readonly Brought[]): void;
  /** Shows the own events in memory after one and up to another that somebody is still owed, and who. */
  unsettled(
    after: number,
    upTo: number,
    visit: (raw: Uint8Array, owed: readonly NodeId[], seq: number) => void,
  ): void;
  tick(now: Millis): void;
  deadline(): Millis;
  view(): RouterView;
  /** The mesh-wide retained messages, for synchronisation with a peer and for late local subscribers. */
  readonly retained: RetainedMap;
}
