/** The MQTT 3.1.1 broker of a node: aedes, with what it needs to stand hostile, frozen and forgetful clients. */

import type { EventEmitter } from 'node:events';
import type { Duplex } from 'node:stream';
import { Aedes } from 'aedes';
import type { AuthenticateError, PublishPacket } from 'aedes';
import { filterProblem, isReservedTopic, topicProblem } from '../../kernel/topic.ts';
import type { Broker, BrokerHandlers, BrokerMessage } from '../../ports/broker.ts';
import type { Log } from '../../ports/log.ts';
import type { Metrics } from '../../ports/metrics.ts';
import {
  adopt,
  createConnection,
  describeClient,
  grant,
  grantedQos,
  isRepeated,
  raiseSubscriptions,
  slownessOf,
} from './broker-client.ts';
import type { Connection } from './broker-client.ts';
import { brokerLimits } from './broker-limits.ts';
import type { BrokerLimits } from './broker-limits.ts';
import { createAdmission } from './admission.ts';
import { guestSubscribeProblem } from './guest-rules.ts';
import type { GuestCredential } from './guest-rules.ts';
import { createInterest } from './interest.ts';
import { createPublishing } from './publishing.ts';
import { SessionStore } from './session-store.ts';
import type { AedesClient, BrokerPacket, BrokerSubscription } from './aedes-types.ts';

/** How often slow readers and absent sessions are looked at, in ms. */
const sweepMs = 500;

/** How long a closed connection is remembered, in ms: its will still has to be judged. */
const afterlifeMs = 1000;

/** What a local broker needs. */
export interface LocalBrokerConfig {
  /** Node id and boot counter: unique per start, because aedes numbers messages per id and starts at 1 each time. */
  readonly brokerId: string;
  readonly handlers: BrokerHandlers;
  readonly log: Log;
  readonly metrics: Metrics;
  /** @default `brokerLimits` */
  readonly limits?: BrokerLimits;
}

/** The broker and its doors. */
export interface LocalBroker extends Broker {
  /** Serves a trusted client: loopback, or a stream inside the process. */
  acceptLocal(socket: Duplex): void;
  /** Serves a client that has to log in as a guest. */
  acceptGuest(socket: Duplex): void;
  /** Replaces the guests. Connected ones whose entry is gone or different are disconnected. */
  setGuests(guests: readonly GuestCredential[]): void;
}

/** Starts a broker. It listens on nothing: the front desk brings the sockets. */
export async function createLocalBroker(config: LocalBrokerConfig): Promise<LocalBroker> {
  const { handlers, log, metrics } = config;
  const limits = config.limits ?? brokerLimits;
  const connections = new Map<AedesClient, Connection>();
  const interest = createInterest((filter, isWanted) => handlers.interest(filter, isWanted));
  const of = (client: unknown): Connection | undefined => connections.get(client as AedesClient);
  const dropped = (reason: string, count?: number): void => metrics.drop('broker', reason, count);

  const store = new SessionStore(limits, {
    wanted: (clientId, filter) => interest.add(`session:${clientId}`, filter),
    unwanted: (clientId, filter) => interest.remove(`session:${clientId}`, filter),
    dropped: (reason) => dropped(reason),
    maySubscribe: (clientId, filter) => {
      const client = [...connections.values()].find((one) => one.client.id === clientId);
      return client !== undefined && subscribeProblem(client, filter) === undefined;
    },
  });

  function subscribeProblem(connection: Connection, filter: string): string | undefined {
    if (connection.zone === 'guest') {
      return connection.guest === undefined
        ? 'not logged in'
        : guestSubscribeProblem(connection.guest, filter);
    }
    const problem = filterProblem(filter);
    if (problem !== undefined) return problem;
    if (filter.includes('\ufffd')) return 'it is not well-formed Unicode';
    if (isReservedTopic(filter)) return 'it belongs to the mesh';
    return filter.startsWith('$share/') ? 'shared subscriptions are not supported' : undefined;
  }

  function evict(connection: Connection, reason: string, counted: string): void {
    const { client, zone, remote, stream } = connection;
    dropped(counted);
    log.warn(
      { client: client.id, zone, remote, queuedBytes: stream.queuedBytes(), reason },
      'disconnected an MQTT client',
    );
    stream.destroy(new Error(reason));
  }

  const admission = createAdmission({ limits, connections, log, metrics });
  const publishing = createPublishing({ limits, store, handlers, metrics, evict });

  const aedes = await Aedes.createBroker({
    id: config.brokerId,
    persistence: store,
    // Slots of the emitter are held until a subscriber has room: 100 of them let one frozen reader stop everybody.
    concurrency: 100_000,
    drainTimeout: limits.frozenMs,
    connectTimeout: limits.connectMs,
    preConnect: (client, packet, done) => {
      const connection = of(client);
      if (connection !== undefined) admission.examine(connection, packet);
      done(null, connection !== undefined);
    },
    authenticate: (client, username, password, done) => {
      const connection = of(client);
      if (connection === undefined) return;
      void admission.authenticate(connection, username, password).then((refusal) => {
        if (refusal === undefined) done(null, true);
        else done(loginError(refusal.returnCode, refusal.reason), false);
      });
    },
    authorizePublish: (client, packet, done) => {
      const connection = of(client);
      if (connection === undefined) done(new Error('unknown client'));
      else publishing.authorize(connection, packet as unknown as BrokerPacket, done);
    },
    authorizeSubscribe: (client, subscription, done) => {
      const connection = of(client);
      const problem =
        connection === undefined ? 'unknown client' : grantProblem(connection, subscription.topic);
      if (problem === undefined && connection !== undefined) {
        grant(connection, subscription.topic, subscription.qos);
        done(null, subscription);
      } else {
        log.info(
          { client: client.id, filter: subscription.topic, problem },
          'refused a subscription',
        );
        dropped('subscription-refused');
        done(null, null);
      }
    },
    authorizeForward: (client, packet) => {
      const connection = of(client);
      return connection === undefined
        ? null
        : (forward(connection, packet as unknown as BrokerPacket) as unknown as typeof packet);
    },
  });

  function grantProblem(connection: Connection, filter: string): string | undefined {
    const { granted, limits: zone } = connection;
    const isFull = !granted.has(filter) && granted.size >= zone.subscriptions;
    if (isFull) return 'it has too many subscriptions';
    return subscribeProblem(connection, filter);
  }

  function forward(connection: Connection, packet: BrokerPacket): BrokerPacket | null {
    if (isReservedTopic(packet.topic) || isRepeated(connection, packet)) return null;
    // Kept for a guest's session under rules that may have changed since.
    const isKept = packet.messageId !== undefined && connection.guest !== undefined;
    if (isKept && subscribeProblem(connection, packet.topic) !== undefined) return null;
    const slowness = slownessOf(connection, limits.frozenMs);
    if (slowness !== undefined) {
      if (!connection.stream.destroyed) evict(connection, slowness, 'slow-reader');
      return null;
    }
    if (packet.qos === 0) return packet;
    const granted = grantedQos(connection, packet.topic);
    if (granted >= packet.qos) return packet;
    packet.qos = granted;
    return packet;
  }

  function accept(socket: Duplex, zone: 'local' | 'guest'): void {
    const partial = createConnection(socket, zone, limits[zone]);
    const client = aedes.handle(partial.stream) as unknown as AedesClient;
    const connection: Connection = Object.assign(partial, { client });
    connections.set(client, connection);
    adopt(connection, aedes.id);
    partial.stream.once('close', () => {
      connection.pace.stop();
      // aedes asks about the will a few turns after the stream has closed.
      setTimeout(() => connections.delete(client), afterlifeMs).unref();
    });
  }

  aedes.on('clientReady', (client) => {
    const connection = of(client);
    if (connection === undefined) return;
    connection.isReady = true;
    raiseSubscriptions(connection);
    if (!client.clean) store.arrived(client.id);
    metrics.gauge('broker.clients', readyClients().length);
  });
  aedes.on('clientDisconnect', (client) => {
    const connection = of(client);
    if (connection !== undefined) connection.isReady = false;
    interest.removeAll(client);
    if (!client.clean) store.departed(client.id, performance.now());
    metrics.gauge('broker.clients', readyClients().length);
  });
  aedes.on('subscribe', (subscriptions, client) => {
    const connection = of(client);
    if (connection === undefined) return;
    raiseSubscriptions(connection);
    for (const { topic, qos } of subscriptions as readonly BrokerSubscription[]) {
      if ((qos as number) !== 128 && client.clean) interest.add(client, topic);
    }
  });
  aedes.on('unsubscribe', (filters, client) => {
    const connection = of(client);
    if (connection !== undefined) {
      for (const filter of filters) grant(connection, filter, undefined);
    }
    if (client.clean) for (const filter of filters) interest.remove(client, filter);
  });
  aedes.on('clientError', (client, error) => {
    log.info({ client: client.id, reason: error.message }, 'an MQTT client failed');
    if (error.message.startsWith('malformed MQTT')) dropped('malformed');
  });
  aedes.on('connectionError', (client, error) => {
    log.info({ remote: of(client)?.remote, reason: error.message }, 'an MQTT connection failed');
    dropped(error.message.startsWith('malformed MQTT') ? 'malformed' : 'connect-failed');
  });
  (aedes as EventEmitter).on('error', (error: Error) => {
    log.error({ reason: error.message }, 'the MQTT broker failed');
  });

  const sweeper = setInterval(() => {
    store.sweep(performance.now());
    for (const connection of connections.values()) {
      const slowness = slownessOf(connection, limits.frozenMs);
      if (slowness !== undefined && !connection.stream.destroyed) {
        evict(connection, slowness, 'slow-reader');
      }
    }
  }, sweepMs);
  sweeper.unref();

  function readyClients(): Connection[] {
    return [...connections.values()].filter((one) => one.isReady);
  }

  return {
    deliver(message) {
      const problem = topicProblem(message.topic);
      if (problem !== undefined || isReservedTopic(message.topic)) dropped('bad-topic');
      else aedes.publish(toPacket(message), () => undefined);
    },
    retainedCount: () => store.retained.count(),
    clients: () => readyClients().map(describeClient),
    evictGuest(guest, reason) {
      for (const one of connections.values()) {
        if (one.guest?.name === guest && !one.stream.destroyed) evict(one, reason, 'guest-removed');
      }
    },
    setGuests(guests) {
      for (const changed of admission.setGuests(guests)) {
        evict(changed, 'the guest was removed or changed', 'guest-removed');
      }
    },
    acceptLocal: (socket) => accept(socket, 'local'),
    acceptGuest: (socket) => accept(socket, 'guest'),
    stop() {
      clearInterval(sweeper);
      return new Promise((resolve) => aedes.close(resolve));
    },
  };
}

function loginError(returnCode: number, reason: string): AuthenticateError {
  return Object.assign(new Error(reason), { returnCode }) as AuthenticateError;
}

function toPacket(message: BrokerMessage): PublishPacket {
  const { buffer, byteOffset, byteLength } = message.payload;
  return {
    cmd: 'publish',
    topic: message.topic,
    payload: Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength),
    qos: message.qos,
    retain: message.retain,
    dup: false,
  };
}
