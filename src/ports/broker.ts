/** The MQTT broker that plain clients of this node talk to. Mesh links never pass through it. */

import type { NodeId } from '../kernel/ids.ts';

/** A message between plain clients and the mesh. */
export interface BrokerMessage {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: 0 | 1;
  readonly retain: boolean;
  /** Who published it, when by its clock, and its id, where they are known. */
  readonly origin?: NodeId;
  readonly at?: number;
  readonly id?: string;
}

/** A client in a shared subscription. */
export interface SharingClient {
  /** Takes a message in place of its whole group. */
  take(message: BrokerMessage): void;
  /** Whether it keeps up: one that does not is passed over while another one does. */
  isReady(): boolean;
}

/** Where a broker reports its clients' shared subscriptions; which member gets a message is decided there. */
export interface GroupDesk {
  /** Whether the node has room for this group. */
  mayJoin(filter: string): boolean;
  /** A connected client is in a group; one whose session waits for it is in none. */
  join(filter: string, client: SharingClient): void;
  leave(filter: string, client: SharingClient): void;
  /** A client took a QoS 1 message and was gone before it acknowledged it: another member is to have it. */
  returned(filter: string, message: BrokerMessage): void;
}

/** Who is connected. */
export interface BrokerClient {
  readonly clientId: string;
  readonly zone: 'local' | 'guest';
  readonly guest?: string;
  readonly remote: string;
  /** Bytes that wait for it in memory. */
  readonly queuedBytes: number;
  /** Bytes that wait for it on the disk. */
  readonly diskBytes: number;
}

/** What the broker reports to the node. */
export interface BrokerHandlers {
  /**
   * A client (or a client's will) published. The broker acknowledges a QoS 1 publish only after `taken` is called,
   * so the node may hold it back while its outbox is full. `taken(reason)` with a reason refuses the message: MQTT 3.1.1
   * has no word for that but to close the connection, so that no publisher takes it for delivered.
   */
  published(message: BrokerMessage, client: BrokerClient, taken: (refusal?: string) => void): void;
  /** A subscription filter appeared on (count became 1) or vanished from (count became 0) this node. */
  interest(filter: string, isWanted: boolean): void;
  /** The broker disconnects a client by a bound, or because its account is gone. */
  evicted(client: BrokerClient, reason: string): void;
  /** A client's message broke a rule or came too fast: it is acknowledged, as MQTT 3.1.1 has no refusal, and goes nowhere. */
  refused?(topic: string, client: BrokerClient, reason: string): void;
  /** Shared subscriptions are not reported as interest. */
  readonly groups: GroupDesk;
}

/** An embedded broker. */
export interface Broker {
  /** Delivers a message from the mesh (or from the node itself) to local clients, once each. Updates the retained store when `retain`. */
  deliver(message: BrokerMessage): void;
  /** Whether a message of this topic would go to any local client now. */
  isHeard(topic: string): boolean;
  /** Sets the topic's last value for later subscribers (an empty payload deletes it) and delivers it to nobody. */
  keep(topic: string, payload: Uint8Array): void;
  /** Every retained message now held, for status and tests. */
  retainedCount(): number;
  clients(): readonly BrokerClient[];
  /** Disconnects a guest's clients at once, after its credentials were removed. */
  evictGuest(guest: string, reason: string): void;
  stop(): Promise<void>;
}
