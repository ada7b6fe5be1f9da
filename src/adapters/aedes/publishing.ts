/** What happens between a client's PUBLISH and its acknowledgement: rules, pace, order, and the node's word. */

import { isReservedTopic, reservedRoot, topicProblem } from '../../kernel/topic.ts';
import type { BrokerHandlers } from '../../ports/broker.ts';
import type { Metrics } from '../../ports/metrics.ts';
import { describeClient } from './broker-client.ts';
import type { Connection, Evict } from './broker-client.ts';
import type { BrokerLimits } from './broker-limits.ts';
import type { BrokerPacket } from './aedes-types.ts';
import { guestPublishProblem } from './guest-rules.ts';
import type { SessionStore } from './session-store.ts';

/**
 * Where messages against the rules go: aedes acknowledges them and finds no subscriber.
 * Its own way to refuse a publish is to disconnect the client, which is for what the node could not take.
 */
const sinkTopic = `${reservedRoot}/refused`;

/** The judge of publishes. */
export interface Publishing {
  /** Calls `done` when the message may be acknowledged; with an error when its client must go. */
  authorize(
    connection: Connection,
    packet: BrokerPacket,
    done: (error?: Error | null) => void,
  ): void;
}

/** Builds the judge. */
export function createPublishing(world: {
  readonly limits: BrokerLimits;
  readonly store: SessionStore;
  readonly handlers: BrokerHandlers;
  readonly metrics: Metrics;
  readonly evict: Evict;
  /** Delivers a message to the local subscribers and the retained store, without its client. */
  readonly deliver: (packet: BrokerPacket) => void;
}): Publishing {
  const { limits, store, handlers, metrics, evict } = world;
  const guestRetained = new Set<string>();
  let localRetained = 0;

  function problemOf(connection: Connection, packet: BrokerPacket): string | undefined {
    if (connection.zone === 'guest') {
      return connection.guest === undefined
        ? 'not logged in'
        : guestPublishProblem(connection.guest, packet.topic);
    }
    if (packet.topic.startsWith('$SYS/')) return 'it belongs to the broker';
    if (isReservedTopic(packet.topic)) return 'it belongs to the mesh';
    return topicProblem(packet.topic);
  }

  /** Lets the message through without its retain flag when its zone has no room for another retained topic. */
  function limitRetained(connection: Connection, packet: BrokerPacket): void {
    if (!packet.retain) return;
    const { topic } = packet;
    const isGuest = connection.zone === 'guest';
    if (packet.payload.length === 0) {
      guestRetained.delete(topic);
      return;
    }
    if (store.retained.has(topic)) return;
    for (const known of guestRetained) if (!store.retained.has(known)) guestRetained.delete(known);
    localRetained = store.retained.count() - guestRetained.size;
    const isFull = isGuest
      ? guestRetained.size >= limits.guest.retained
      : localRetained >= limits.local.retained;
    if (isFull) {
      packet.retain = false;
      metrics.drop('broker', 'retained-full');
    } else if (isGuest) guestRetained.add(topic);
  }

  /** An acknowledgement would tell the publisher that its message is safe. */
  function refuse(connection: Connection, refusal: string): void {
    connection.isRefused = true;
    evict(connection, `its message cannot be taken: ${refusal}`, 'refused');
  }

  function attempt(
    connection: Connection,
    packet: BrokerPacket,
    taken: (refusal?: string) => void,
  ): void {
    const pace = connection.pace.admit(packet.qos > 0, () => {
      limitRetained(connection, packet);
      handlers.published(
        {
          topic: packet.topic,
          payload: packet.payload,
          qos: packet.qos === 0 ? 0 : 1,
          retain: packet.retain,
        },
        describeClient(connection),
        (refusal) => {
          if (refusal !== undefined) refuse(connection, refusal);
          taken(refusal);
        },
      );
    });
    if (pace === 'drop') taken('too-fast');
    else if (pace === 'flood') {
      evict(connection, 'it publishes faster than a guest may', 'guest-flood');
      taken('too-fast');
    }
  }

  return {
    authorize(connection, packet, done) {
      // The parser puts U+FFFD where bytes are no UTF-8; both must close the connection ([MQTT-1.5.3-1], [MQTT-1.5.3-2]).
      if (packet.topic.includes('\u0000') || packet.topic.includes('\ufffd')) {
        done(new Error('malformed MQTT: the topic is not well-formed'));
        return;
      }
      // What comes after a refused message would overtake it: its client sends both again.
      if (connection.isRefused && packet.messageId !== undefined) {
        done(new Error('an earlier message of this client was refused'));
        return;
      }
      const problem = problemOf(connection, packet);
      const clientId = connection.client.id;
      if (packet.qos === 2 && packet.messageId !== undefined) {
        // A repeated QoS 2 publish was handed to the node the first time.
        if (!store.reserveIncoming(clientId, packet)) {
          done(null);
          return;
        }
      }
      connection.gate.pass(
        (taken) => {
          if (problem === undefined) attempt(connection, packet, taken);
          else taken('refused-topic');
        },
        (refusal) => {
          if (refusal !== undefined) {
            metrics.drop('broker.publish', refusal);
            if (connection.isRefused) {
              void store.incomingDelPacket({ id: clientId }, packet);
              return done(new Error(refusal));
            }
            handlers.refused?.(packet.topic, describeClient(connection), problem ?? refusal);
            packet.topic = sinkTopic;
            packet.payload = Buffer.alloc(0);
            packet.retain = false;
          } else if (isOrphaned(connection, packet)) {
            // In a later turn, as aedes does it: nothing may overtake what it has in hand.
            setImmediate(() => world.deliver(packet));
            return done(new Error('its client is gone'));
          }
          done(null);
        },
      );
    },
  };
}

/**
 * Whether the client of a QoS 1 message went away while the message waited. The mesh has it by now; aedes would drop it,
 * because it publishes only what it could acknowledge.
 */
function isOrphaned({ client }: Connection, { qos, messageId }: BrokerPacket): boolean {
  return qos === 1 && messageId !== undefined && !client.connected;
}
