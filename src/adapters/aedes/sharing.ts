/** Clients in shared subscriptions: what they take in place of their groups, and what they did not acknowledge. */

import { isShared } from '../../kernel/topic.ts';
import type { BrokerMessage, GroupDesk, SharingClient } from '../../ports/broker.ts';
import type { BrokerPacket } from './aedes-types.ts';
import type { Connection, Evict } from './broker-client.ts';

/** Shared messages that a client has not acknowledged beyond which others of its group are asked first. */
const windowMax = 64;

/** The same beyond which it is disconnected; and their bytes, at most as many as may wait for it. */
const unackedMax = 16_384;

const packetIdMax = 65_535;

/** The broker's part in shared subscriptions. */
export interface Sharing {
  /** A filter was granted; nothing happens when it is not shared. */
  joined(connection: Connection, filter: string): void;
  left(connection: Connection, filter: string): void;
  /** The client is gone: what it did not acknowledge goes to others. */
  gone(connection: Connection): void;
  acknowledged(connection: Connection, packetId: number): void;
}

interface Place {
  readonly members: Map<string, SharingClient>;
  readonly unacked: Map<number, { readonly filter: string; readonly message: BrokerMessage }>;
  unackedBytes: number;
}

const nothing = (): void => {};

/** Builds it. Bounded by the connections. */
export function createSharing(world: { readonly desk: GroupDesk; readonly evict: Evict }): Sharing {
  const { desk, evict } = world;
  const places = new Map<Connection, Place>();

  function nextPacketId({ client }: Connection, place: Place): number {
    let id = client._nextId;
    while (place.unacked.has(id)) id = id >= packetIdMax ? 1 : id + 1;
    client._nextId = id >= packetIdMax ? 1 : id + 1;
    return id;
  }

  function give(
    connection: Connection,
    place: Place,
    filter: string,
    message: BrokerMessage,
  ): void {
    const { buffer, byteOffset, byteLength } = message.payload;
    const granted = connection.granted.get(filter) ?? 0;
    const packet: BrokerPacket = {
      cmd: 'publish',
      topic: message.topic,
      payload: Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength),
      qos: message.qos === 1 && granted > 0 ? 1 : 0,
      retain: false,
      dup: false,
      isShare: true,
    };
    const { client } = connection;
    if (packet.qos === 0) return client.deliver0(packet, nothing);
    packet.messageId = nextPacketId(connection, place);
    place.unacked.set(packet.messageId, { filter, message });
    place.unackedBytes += byteLength;
    if (place.unacked.size > unackedMax || place.unackedBytes > connection.limits.queuedBytes) {
      return evict(connection, 'it acknowledges too slowly', 'slow-reader');
    }
    client.deliverQoS(packet, nothing);
  }

  function place(connection: Connection): Place {
    let own = places.get(connection);
    if (own === undefined) {
      own = { members: new Map(), unacked: new Map(), unackedBytes: 0 };
      places.set(connection, own);
    }
    return own;
  }

  return {
    joined(connection, filter) {
      if (!isShared(filter)) return;
      const own = place(connection);
      if (own.members.has(filter)) return;
      const member: SharingClient = {
        take: (message) => give(connection, own, filter, message),
        isReady: () =>
          own.unacked.size < windowMax &&
          connection.stream.queuedBytes() < connection.limits.congestedBytes,
      };
      own.members.set(filter, member);
      desk.join(filter, member);
    },
    left(connection, filter) {
      const own = places.get(connection);
      const member = own?.members.get(filter);
      if (member === undefined) return;
      own?.members.delete(filter);
      desk.leave(filter, member);
    },
    gone(connection) {
      const own = places.get(connection);
      if (own === undefined) return;
      places.delete(connection);
      for (const [filter, member] of own.members) desk.leave(filter, member);
      for (const { filter, message } of own.unacked.values()) desk.returned(filter, message);
    },
    acknowledged(connection, packetId) {
      const own = places.get(connection);
      const held = own?.unacked.get(packetId);
      if (own === undefined || held === undefined) return;
      own.unacked.delete(packetId);
      own.unackedBytes -= held.message.payload.byteLength;
    },
  };
}
