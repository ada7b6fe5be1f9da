/** One connected client as the broker sees it, and the repairs that its aedes client needs. */

import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { topicMatches } from '../../kernel/topic.ts';
import type { BrokerClient } from '../../ports/broker.ts';
import { createFrameGuard } from '../mqtt/frame-guard.ts';
import type { FrameGuardConfig } from '../mqtt/frame-guard.ts';
import type { GatheringStream } from '../mqtt/gathering-stream.ts';
import { createClientStream } from './client-stream.ts';
import { createGuestPace } from './guest-pace.ts';
import type { GuestPace } from './guest-pace.ts';
import { createPublishGate } from './publish-gate.ts';
import type { PublishGate } from './publish-gate.ts';
import type { AedesClient, BrokerPacket } from './aedes-types.ts';
import { createBacklog } from './backlog.ts';
import type { Backlog } from './backlog.ts';
import type { BacklogFiles } from './backlog-files.ts';
import type { GuestCredential } from './guest-rules.ts';
import type { ZoneLimits } from './broker-limits.ts';

const fullText = 'it reads too slowly: its queue is full';

/** Deliveries that may wait for one congested client before it is disconnected. */
const waitersMax = 20_000;

/** Deliveries that wait for one client beyond which the next ones wait in its backlog. */
const backlogWaiters = 5_000;

/** A connection and everything the broker remembers about it. */
export interface Connection {
  readonly zone: 'local' | 'guest';
  readonly limits: ZoneLimits;
  readonly stream: GatheringStream;
  readonly remote: string;
  /** The remote address without its port: what attempts are counted by. */
  readonly host: string;
  readonly gate: PublishGate;
  readonly pace: GuestPace;
  client: AedesClient;
  /** What waits for it beyond its stream. */
  backlog: Backlog | undefined;
  /** Known once a guest has logged in. */
  guest: GuestCredential | undefined;
  /** Why the login is refused before the password is even looked at. */
  refusal: { readonly returnCode: number; readonly reason: string } | undefined;
  willTopic: string | undefined;
  isReady: boolean;
  /** The node could not take one of its messages: it is being disconnected. */
  isRefused: boolean;
  /** The QoS granted to each of its filters; bounded by `limits.subscriptions`. */
  readonly granted: Map<string, 0 | 1 | 2>;
  /** The QoS of all filters when they agree; 'unknown' after every change. */
  commonQos: 0 | 1 | 2 | 'mixed' | 'unknown';
}

/** Disconnects a client for a reason and counts it; does nothing when it is gone already. */
export type Evict = (connection: Connection, reason: string, counted: string) => void;

/** Wraps a socket for aedes. `client` is filled in by `adopt`. */
export function createConnection(
  socket: Duplex,
  zone: 'local' | 'guest',
  limits: ZoneLimits,
  large: FrameGuardConfig['large'],
): Omit<Connection, 'client'> {
  const isNet = socket instanceof Socket;
  const host = isNet ? (socket.remoteAddress ?? 'unknown') : 'in-process';
  return {
    zone,
    limits,
    stream: createClientStream(
      socket,
      createFrameGuard({
        sender: 'client',
        packetBytesMax: limits.packetBytes,
        ...(large === undefined ? {} : { large }),
      }),
      limits.congestedBytes,
    ),
    host,
    remote: isNet ? `${host}:${socket.remotePort ?? 0}` : host,
    gate: createPublishGate(),
    pace: createGuestPace(limits.publishesPerSecond),
    backlog: undefined,
    guest: undefined,
    refusal: undefined,
    willTopic: undefined,
    isReady: false,
    isRefused: false,
    granted: new Map(),
    commonQos: 'unknown',
  };
}

/**
 * Replaces the parts of an aedes client that do not hold under load.
 * @param files where what it is too slow for waits; undefined: nowhere, and it is disconnected at its bound.
 */
export function adopt(
  connection: Connection,
  files: BacklogFiles | undefined,
  world: {
    readonly brokerId: string;
    readonly evict: Evict;
  },
): void {
  const { client, stream, limits } = connection;
  // aedes waits for an empty buffer; a slow reader under steady load never gets there and is killed.
  client.waitForDrain = (callback) => stream.whenRelieved(() => callback(null));

  const { deliver0, deliverQoS } = client;
  let isGiving = false;
  if (files !== undefined && limits.backlogBytes > 0) {
    connection.backlog = createBacklog({
      files,
      brokerId: world.brokerId,
      bytesMax: limits.backlogBytes,
      memoryBytesMax: limits.queuedBytes - 2 * limits.congestedBytes,
      whenRelieved: (callback) => stream.whenRelieved(callback),
      give({ packet, isPlain }) {
        isGiving = true;
        if (isPlain) deliver0(packet, nothing);
        else deliverQoS(packet, nothing);
        isGiving = false;
      },
      failed: (reason) =>
        world.evict(connection, `what waited for it on the disk is lost: ${reason}`, 'slow-reader'),
    });
  }

  /** Whether the message waits for the ones before it. */
  function waits(packet: BrokerPacket, isPlain: boolean, done: () => void): boolean {
    const { backlog } = connection;
    // What has its number already (a group's, a session's) has bounds of its own.
    if (backlog === undefined || isGiving || packet.messageId !== undefined) return false;
    if (!backlog.isUsed() && !isBehind(connection)) return false;
    if (!backlog.put({ packet, isPlain })) world.evict(connection, fullText, 'slow-reader');
    // A client of this node that publishes faster than this one reads is slowed down.
    if (packet.clientId === undefined) setImmediate(done);
    else stream.whenRelieved(done);
    return true;
  }

  client.deliverQoS = (packet, done) => {
    if (!waits(packet, false, done)) deliverQoS(packet, done);
  };
  client.deliver0 = (packet, done) => {
    // Another filter of this client grants more: let that one deliver ([MQTT-3.3.5-1]).
    if (packet.qos > 0 && grantedQos(connection, packet.topic) > 0) setImmediate(done);
    else if (!waits(packet, true, done)) deliver0(packet, done);
  };
}

/** Whether so much waits for a client that what comes now belongs into its backlog. */
function isBehind({ stream, limits }: Connection): boolean {
  return stream.queuedBytes() >= 2 * limits.congestedBytes || stream.waiterCount > backlogWaiters;
}

/** Notes what a filter was granted; undefined: it is gone. */
export function grant(connection: Connection, filter: string, qos: 0 | 1 | 2 | undefined): void {
  if (qos === undefined) connection.granted.delete(filter);
  else connection.granted.set(filter, qos);
  connection.commonQos = 'unknown';
}

/**
 * Makes aedes' own record of QoS harmless. It lowers a delivery to what the filter that spells the topic was granted,
 * even when another filter grants more, and never looks at wildcard filters; `grantedQos` decides instead.
 */
export function raiseSubscriptions(connection: Connection): void {
  for (const subscription of Object.values(connection.client.subscriptions)) subscription.qos = 2;
}

/** The highest QoS that the client's filters grant to this topic. */
export function grantedQos(connection: Connection, topic: string): 0 | 1 | 2 {
  if (connection.commonQos === 'unknown') connection.commonQos = commonQosOf(connection.granted);
  if (connection.commonQos !== 'mixed') return connection.commonQos;
  let highest: 0 | 1 | 2 = 0;
  for (const [filter, qos] of connection.granted) {
    if (qos > highest && topicMatches(filter, topic)) highest = qos;
  }
  return highest;
}

/** Why the client must be disconnected for reading too slowly, or undefined. */
export function slownessOf(connection: Connection, frozenMs: number): string | undefined {
  const { stream, limits } = connection;
  // One message alone may be larger than the bound.
  if (stream.queuedBytes() > limits.queuedBytes + stream.largestBytes()) return fullText;
  if (stream.waiterCount > waitersMax) return 'it reads too slowly: too many messages wait for it';
  return stream.isFrozen(frozenMs) ? 'it is frozen: it took nothing for too long' : undefined;
}

/** The connection as the port shows it. */
export function describeClient(connection: Connection): BrokerClient {
  const { backlog } = connection;
  return {
    clientId: connection.client.id,
    zone: connection.zone,
    ...(connection.guest === undefined ? {} : { guest: connection.guest.name }),
    remote: connection.remote,
    queuedBytes: connection.stream.queuedBytes() + (backlog?.memoryBytes() ?? 0),
    diskBytes: backlog?.diskBytes() ?? 0,
  };
}

function nothing(): void {}

function commonQosOf(granted: ReadonlyMap<string, 0 | 1 | 2>): 0 | 1 | 2 | 'mixed' {
  const kinds = new Set(granted.values());
  const [only] = kinds;
  return kinds.size === 1 && only !== undefined ? only : 'mixed';
}
