/** The MQTT 3.1.1 broker of a node: aedes, with what it needs to stand hostile, frozen and forgetful clients. */

import type { Duplex } from 'node:stream';
import type { AuthenticateError, PublishPacket } from 'aedes';
import { isReservedTopic, topicProblem } from '../../kernel/topic.ts';
import type { Broker, BrokerHandlers, BrokerMessage } from '../../ports/broker.ts';
import type { Log } from '../../ports/log.ts';
import type { Metrics } from '../../ports/metrics.ts';
import { createPacketBudget } from '../mqtt/frame-guard.ts';
import { writeNumbersLightly } from '../mqtt/packet-numbers.ts';
import { createBacklogFiles } from './backlog-files.ts';
import { adopt, createConnection, describeClient, slownessOf } from './broker-client.ts';
import type { Connection } from './broker-client.ts';
import { brokerLimits } from './broker-limits.ts';
import type { BrokerLimits } from './broker-limits.ts';
import { createAdmission } from './admission.ts';
import type { GuestCredential } from './guest-rules.ts';
import { createInterest } from './interest.ts';
import { createPublishing } from './publishing.ts';
import { SessionStore } from './session-store.ts';
import { createSharing } from './sharing.ts';
import { createSubscribing, subscribeProblem } from './subscribing.ts';
import { watchClients } from './broker-events.ts';
import type { AedesClient, BrokerPacket } from './aedes-types.ts';

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
  /** Where what slow clients have not read waits; undefined: they are disconnected when memory holds no more. */
  readonly backlogDirectory?: string;
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
  const budget = createPacketBudget(limits.largeBytes);
  const backlogs =
    config.backlogDirectory === undefined
      ? undefined
      : createBacklogFiles(config.backlogDirectory, limits.backlogBytes);
  const large = { aboveBytes: limits.largeAboveBytes, budget };
  const connections = new Map<AedesClient, Connection>();
  const interest = createInterest((filter, isWanted) => handlers.interest(filter, isWanted));
  const of = (client: unknown): Connection | undefined => connections.get(client as AedesClient);
  const dropped = (reason: string): void => metrics.drop('broker', reason);

  const store = new SessionStore(limits, {
    wanted: (clientId, filter) => interest.add(`session:${clientId}`, filter),
    unwanted: (clientId, filter) => interest.remove(`session:${clientId}`, filter),
    dropped: (reason) => dropped(reason),
    maySubscribe: (clientId, filter) => {
      const client = [...connections.values()].find((one) => one.client.id === clientId);
      return client !== undefined && subscribeProblem(client, filter) === undefined;
    },
    acknowledged(client, packetId) {
      const connection = of(client);
      if (connection !== undefined) sharing.acknowledged(connection, packetId);
    },
  });

  function evict(connection: Connection, reason: string, counted: string): void {
    const { client, zone, remote, stream } = connection;
    if (stream.destroyed) return;
    dropped(counted);
    log.warn(
      { client: client.id, zone, remote, queuedBytes: stream.queuedBytes(), reason },
      'disconnected an MQTT client',
    );
    handlers.evicted(describeClient(connection), reason);
    stream.destroy(new Error(reason));
  }

  const admission = createAdmission({ limits, connections, log, metrics });
  const publishing = createPublishing({
    limits,
    store,
    handlers,
    metrics,
    evict,
    deliver: ({ topic, payload, retain }) =>
      aedes.publish(toPacket({ topic, payload, qos: 1, retain }), () => undefined),
  });
  const { groups } = handlers;
  const subscribing = createSubscribing({ limits, log, metrics, evict, groups });
  const sharing = createSharing({ desk: groups, evict });

  await writeNumbersLightly();
  const { Aedes } = await import('aedes');
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
      const isGranted = connection !== undefined && subscribing.authorize(connection, subscription);
      done(null, isGranted ? subscription : null);
    },
    authorizeForward: (client, packet) => {
      const connection = of(client);
      if (connection === undefined) return null;
      const forwarded = subscribing.forward(connection, packet as unknown as BrokerPacket);
      return forwarded as unknown as typeof packet | null;
    },
  });
  watchClients(aedes, {
    of,
    readyCount: () => readyClients().length,
    store,
    interest,
    sharing,
    log,
    metrics,
  });

  function accept(socket: Duplex, zone: 'local' | 'guest'): void {
    const partial = createConnection(socket, zone, limits[zone], large);
    const client = aedes.handle(partial.stream) as unknown as AedesClient;
    const connection: Connection = Object.assign(partial, { client });
    connections.set(client, connection);
    adopt(connection, backlogs, { brokerId: config.brokerId, evict });
    partial.stream.once('close', () => {
      connection.pace.stop();
      connection.backlog?.close();
      // aedes asks about the will a few turns after the stream has closed.
      setTimeout(() => connections.delete(client), afterlifeMs).unref();
    });
  }

  const sweeper = setInterval(() => {
    store.sweep(performance.now());
    for (const connection of connections.values()) {
      const slowness = slownessOf(connection, limits.frozenMs);
      if (slowness !== undefined) evict(connection, slowness, 'slow-reader');
    }
  }, sweepMs);
  sweeper.unref();

  function readyClients(): Connection[] {
    return [...connections.values()].filter((one) => one.isReady);
  }

  return {
    deliver(message) {
      // Most of what a mesh carries is wanted by no client here: looking costs a tenth of handing it to aedes.
      if (!message.retain && !interest.wants(message.topic)) return;
      const problem = topicProblem(message.topic);
      if (problem !== undefined || isReservedTopic(message.topic)) dropped('bad-topic');
      else aedes.publish(toPacket(message), () => undefined);
    },
    isHeard: (topic) => interest.wants(topic),
    keep(topic, payload) {
      const problem = topicProblem(topic);
      if (problem !== undefined || isReservedTopic(topic)) return dropped('bad-topic');
      void store.storeRetained(toPacket({ topic, payload, qos: 1, retain: true }) as BrokerPacket);
    },
    retainedCount: () => store.retained.count(),
    clients: () => readyClients().map(describeClient),
    evictGuest(guest, reason) {
      for (const one of connections.values()) {
        if (one.guest?.name === guest) evict(one, reason, 'guest-removed');
      }
    },
    setGuests(guests) {
      for (const changed of admission.setGuests(guests)) {
        evict(changed, 'the guest was removed or changed', 'guest-removed');
      }
    },
    acceptLocal: (socket) => accept(socket, 'local'),
    acceptGuest: (socket) => accept(socket, 'guest'),
    async stop() {
      clearInterval(sweeper);
      await new Promise<void>((resolve) => aedes.close(() => resolve()));
      for (const { backlog } of connections.values()) backlog?.close();
      await backlogs?.stop();
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
