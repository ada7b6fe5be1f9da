/** The parts of aedes 1.2 that its own typings leave out and the adapters rely on. */

import type { Client } from 'aedes';

/** A packet inside aedes: a publish, or the PUBREL of an unfinished QoS 2 delivery. */
export interface BrokerPacket {
  cmd: 'publish' | 'pubrel' | 'puback';
  topic: string;
  payload: Buffer;
  qos: 0 | 1 | 2;
  retain: boolean;
  dup: boolean;
  messageId?: number | undefined;
  brokerId?: string | null;
  brokerCounter?: number;
  clientId?: string;
  /** It is for one member of a group: the subscription that brings it has its QoS in it already. */
  isShare?: boolean;
}

/** A subscription as a SUBSCRIBE packet carries it. */
export interface BrokerSubscription {
  readonly topic: string;
  readonly qos: 0 | 1 | 2;
}

/** How aedes hands a message to a client; `done` frees the publisher. */
export type DeliverFunction = (packet: BrokerPacket, done: () => void) => void;

/** A connected client with the inner parts that the workarounds replace. */
export interface AedesClient extends Client {
  clean: boolean;
  deliver0: DeliverFunction;
  deliverQoS: DeliverFunction;
  /** The packet identifier of its next delivery. */
  _nextId: number;
  waitForDrain(callback: (error?: Error | null) => void): void;
  readonly subscriptions: Readonly<Record<string, { qos: 0 | 1 | 2 }>>;
}
