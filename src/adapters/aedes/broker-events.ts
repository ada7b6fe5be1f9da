/** What aedes tells about its clients, turned into interest, sessions, metrics and log lines. */

import type { EventEmitter } from 'node:events';
import type { Aedes } from 'aedes';
import { isShared } from '../../kernel/topic.ts';
import type { Log } from '../../ports/log.ts';
import type { Metrics } from '../../ports/metrics.ts';
import type { BrokerSubscription } from './aedes-types.ts';
import { grant, raiseSubscriptions } from './broker-client.ts';
import type { Connection } from './broker-client.ts';
import type { Interest } from './interest.ts';
import type { Sharing } from './sharing.ts';
import type { SessionStore } from './session-store.ts';

/** The granted QoS that says no (MQTT 3.1.1 section 3.9.3). */
const refusedQos = 128;

/** Listens to aedes for as long as it lives. */
export function watchClients(
  aedes: Aedes,
  world: {
    readonly of: (client: unknown) => Connection | undefined;
    readonly readyCount: () => number;
    readonly store: SessionStore;
    readonly interest: Interest;
    readonly sharing: Sharing;
    readonly log: Log;
    readonly metrics: Metrics;
  },
): void {
  const { of, readyCount, store, interest, sharing, log, metrics } = world;
  const isMalformed = (error: Error): boolean => error.message.startsWith('malformed MQTT');

  aedes.on('clientReady', (client) => {
    const connection = of(client);
    if (connection === undefined) return;
    connection.isReady = true;
    raiseSubscriptions(connection);
    if (!client.clean) store.arrived(client.id);
    // What a session brought along was granted before: aedes tells of fresh subscriptions only.
    for (const filter of connection.granted.keys()) sharing.joined(connection, filter);
    metrics.gauge('broker.clients', readyCount());
  });
  aedes.on('clientDisconnect', (client) => {
    const connection = of(client);
    if (connection !== undefined) {
      connection.isReady = false;
      sharing.gone(connection);
    }
    interest.removeAll(client);
    if (!client.clean) store.departed(client.id, performance.now());
    metrics.gauge('broker.clients', readyCount());
  });
  aedes.on('subscribe', (subscriptions, client) => {
    const connection = of(client);
    if (connection === undefined) return;
    raiseSubscriptions(connection);
    for (const { topic, qos } of subscriptions as readonly BrokerSubscription[]) {
      if ((qos as number) === refusedQos) continue;
      if (isShared(topic)) sharing.joined(connection, topic);
      else if (client.clean) interest.add(client, topic);
    }
  });
  aedes.on('unsubscribe', (filters, client) => {
    const connection = of(client);
    for (const filter of filters) {
      if (connection !== undefined) {
        grant(connection, filter, undefined);
        sharing.left(connection, filter);
      }
      if (client.clean) interest.remove(client, filter);
    }
  });
  aedes.on('clientError', (client, error) => {
    log.info({ client: client.id, reason: error.message }, 'an MQTT client failed');
    if (isMalformed(error)) metrics.drop('broker', 'malformed');
  });
  aedes.on('connectionError', (client, error) => {
    log.info({ remote: of(client)?.remote, reason: error.message }, 'an MQTT connection failed');
    metrics.drop('broker', isMalformed(error) ? 'malformed' : 'connect-failed');
  });
  (aedes as EventEmitter).on('error', (error: Error) => {
    log.error({ reason: error.message }, 'the MQTT broker failed');
  });
}
