/** What clients may subscribe to, and what of it reaches them. */

import {
  isReservedTopic,
  isShared,
  sharedFilter,
  subscriptionProblem,
} from '../../kernel/topic.ts';
import type { GroupDesk } from '../../ports/broker.ts';
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
  readonly groups: GroupDesk;
}): Subscribing {
  const { limits, log, metrics, evict, groups } = world;

  function grantProblem(connection: Connection, filter: string): string | undefined {
    const { granted, limits: zone } = connection;
    const isFull = !granted.has(filter) && granted.size >= zone.subscriptions;
    const problem = isFull ? 'it has too many subscriptions' : subscribeProblem(connection, filter);
    if (problem !== undefined || !isShared(filter) || groups.mayJoin(filter)) return problem;
    return 'this node has members of too many groups';
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
      // aedes knows no groups: to it a shared subscription is a filter for topics below $share.
      if (isShared(packet.topic)) return null;
      // Kept for a guest's session under rules that may have changed since.
      const isKept = packet.messageId !== undefined && connection.guest !== undefined;
      if (isKept && subscribeProblem(connection, packet.topic) !== undefined) return null;
      const slowness = slownessOf(connection, limits.frozenMs);
      if (slowness !== undefined) {
        evict(connection, slowness, 'slow-reader');
        return null;
      }
      if (packet.qos === 0 || packet.isShare === true) return packet;
      const granted = grantedQos(connection, packet.topic);
      if (granted < packet.qos) packet.qos = granted;
      return packet;
    },
  };
}

/** Why the client may not subscribe to the filter, or undefined. What holds for a filter holds for it in a group. */
export function subscribeProblem(connection: Connection, filter: string): string | undefined {
  const problem = subscriptionProblem(filter);
  if (problem !== undefined) return problem;
  if (connection.zone === 'guest') {
    return connection.guest === undefined
      ? 'not logged in'
      : guestSubscribeProblem(connection.guest, isShared(filter) ? sharedFilter(filter) : filter);
  }
  return filter.includes('\ufffd') ? 'it is not well-formed Unicode' : undefined;
}
