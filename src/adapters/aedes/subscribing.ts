/** What clients may subscribe to, and what of it reaches them. */

import { filterProblem, isReservedTopic } from '../../kernel/topic.ts';
import type { Log } from '../../ports/log.ts';
import type { Metrics } from '../../ports/metrics.ts';
import type { BrokerPacket, BrokerSubscription } from './aedes-types.ts';
import { grant, grantedQos, slownessOf } from './broker-client.ts';
import type { Connection, Evict } from './broker-client.ts';
import type { BrokerLimits } from './broker-limits.ts';
import { guestSubscribeProblem } from './guest-rules.ts';

/** The judge of subscriptions and deliveries. */
export interface Subscribing {
  /** Grants a subscription, or notes why not. */
  authorize(connection: Connection, subscription: BrokerSubscription): boolean;
  /** The packet as this client gets it; null: not at all. */
  forward(connection: Connection, packet: BrokerPacket): BrokerPacket | null;
}

/** Builds the judge. */
export function createSubscribing(world: {
  readonly limits: BrokerLimits;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly evict: Evict;
}): Subscribing {
  const { limits, log, metrics, evict } = world;

  function grantProblem(connection: Connection, filter: string): string | undefined {
    const { granted, limits: zone } = connection;
    const isFull = !granted.has(filter) && granted.size >= zone.subscriptions;
    return isFull ? 'it has too many subscriptions' : subscribeProblem(connection, filter);
  }

  return {
    authorize(connection, { topic, qos }) {
      const problem = grantProblem(connection, topic);
      if (problem === undefined) {
        grant(connection, topic, qos);
        return true;
      }
      const client = connection.client.id;
      log.info({ client, filter: topic, problem }, 'refused a subscription');
      metrics.drop('broker', 'subscription-refused');
      return false;
    },
    forward(connection, packet) {
      // aedes' own reports below $SYS name every client of this node.
      if (isReservedTopic(packet.topic) || packet.topic.startsWith('$SYS/')) return null;
      // Kept for a guest's session under rules that may have changed since.
      const isKept = packet.messageId !== undefined && connection.guest !== undefined;
      if (isKept && subscribeProblem(connection, packet.topic) !== undefined) return null;
      const slowness = slownessOf(connection, limits.frozenMs);
      if (slowness !== undefined) {
        evict(connection, slowness, 'slow-reader');
        return null;
      }
      if (packet.qos === 0) return packet;
      const granted = grantedQos(connection, packet.topic);
      if (granted < packet.qos) packet.qos = granted;
      return packet;
    },
  };
}

/** Why the client may not subscribe to the filter, or undefined. */
export function subscribeProblem(connection: Connection, filter: string): string | undefined {
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
