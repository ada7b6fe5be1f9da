/** What the link table needs of its node and gives to it. */

import type { Millis } from '../kernel/core.ts';
import type { NodeId } from '../kernel/ids.ts';
import type { Clock } from '../ports/clock.ts';
import type { Lane, LinkSession } from '../ports/link.ts';
import type { Log } from '../ports/log.ts';
import type { Metrics } from '../ports/metrics.ts';
import type { Channel } from '../protocol/channels/channel.ts';
import type { ChannelTable } from '../protocol/channels/channel-table.ts';
import type { ProfileName } from '../protocol/membership/profiles.ts';
import type { OverlayMessage } from '../protocol/overlay/messages.ts';
import type { Envelope } from '../protocol/routing/messages.ts';
import type { ControlMessage } from '../wire/control.ts';
import type { ChannelFigures } from './channels/channel-meter.ts';
import type { PulsePace } from './link-pulse.ts';

/** What a peer says first on a session. */
export type Hello = Extract<ControlMessage, { kind: 'hello' }>;

/** How often silent links are asked, and when one counts as dead; protocols reference 2.2. */
export interface LinkPace extends PulsePace {
  /** How long a channel's own connection stays open without traffic. */
  readonly laneIdleMs: Millis;
}

/** Link heartbeats per profile (protocols reference, section 10). */
export const linkPaces: Readonly<Record<ProfileName, LinkPace>> = {
  wired: { heartbeatMs: 5_000, silentMsMax: 15_000, laneIdleMs: 30_000 },
  wifi: { heartbeatMs: 15_000, silentMsMax: 45_000, laneIdleMs: 45_000 },
  fast: { heartbeatMs: 2_000, silentMsMax: 6_000, laneIdleMs: 15_000 },
  loopback: { heartbeatMs: 500, silentMsMax: 1_500, laneIdleMs: 5_000 },
};

/** One session, as the overlay and `status` see it. */
export interface LinkInfo {
  readonly id: number;
  readonly session: LinkSession;
  readonly since: Millis;
  readonly rttMs: number | undefined;
  /** What the peer said first; undefined until it did. */
  readonly hello: Hello | undefined;
}

/** What the table tells the node. */
export interface LinkWires {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly pace: LinkPace;
  readonly channels: ChannelTable;
  /** Opens one more connection to a linked peer. Rejects when that does not work. */
  dialLane(link: LinkInfo): Promise<LinkSession>;
  /** What was under way to the peer on a channel's connection may be lost. */
  broken(link: LinkInfo): void;
  /** A message for the peer was lost in the queue of its channel. */
  lost(peer: NodeId, channel: Channel, record: Uint8Array): void;
  /** This node's own first words. */
  hello(): Hello;
  greeted(link: LinkInfo, hello: Hello): void;
  control(link: LinkInfo, message: ControlMessage): void;
  overlay(link: LinkInfo, message: OverlayMessage): void;
  /** The peer has left a heartbeat unanswered, or speaks again. */
  quiet(link: LinkInfo, isQuiet: boolean): void;
  data(link: LinkInfo, envelope: Envelope, raw: Uint8Array): void;
  drained(link: LinkInfo): void;
  closed(link: LinkInfo, reason: string): void;
}

/** The table. */
export interface Links {
  /** A session passed its handshake. Returns its number. `hello`: what to say instead of the usual. */
  opened(session: LinkSession, hello?: Hello): number;
  frame(session: LinkSession, lane: Lane, bytes: Uint8Array): void;
  drained(session: LinkSession): void;
  closed(session: LinkSession, reason: string): void;
  /** Chooses the session that speaks for the peer; undefined: none does. */
  choose(peer: NodeId, id: number | undefined): void;
  /** The session that speaks for the peer. */
  current(peer: NodeId): LinkInfo | undefined;
  /** The minor version that its hello told; undefined: no link. */
  minorOf(peer: NodeId): number | undefined;
  byId(id: number): LinkInfo | undefined;
  all(): readonly LinkInfo[];
  /** Sends on the chosen session. False when there is none. */
  control(peer: NodeId, message: ControlMessage): boolean;
  controlOn(id: number, message: ControlMessage): boolean;
  /** Copies a record into the channel's next frame. False: full or not linked, nothing was taken; `drained` follows. */
  data(peer: NodeId, record: Uint8Array, channel: Channel, topicOf: () => string): boolean;
  /** A control message that may wait behind others of its channel. False: not taken. */
  bulk(peer: NodeId, message: ControlMessage, channel: Channel): boolean;
  /** What was said with `control` leaves at once instead of at the end of this turn of the loop. */
  hurry(): void;
  /** Bytes that wait for the peer on this channel. */
  queuedBytes(peer: NodeId, channel: Channel): number;
  /** Every channel in figures. */
  channels(): readonly ChannelFigures[];
  /** Asks over the link; `answered` is called with the round trip in ms, or never. */
  ping(peer: NodeId, answered: (rttMs: number) => void): void;
  hangUp(id: number, reason: string): void;
  stop(): void;
}
