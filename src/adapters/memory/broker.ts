/** A broker inside one process: the twin of the embedded one, without MQTT bytes, for embedded meshes and tests. */

import {
  isReservedTopic,
  isShared,
  subscriptionProblem,
  topicMatches,
  topicProblem,
} from '../../kernel/topic.ts';
import type {
  Broker,
  BrokerClient,
  BrokerHandlers,
  BrokerMessage,
  SharingClient,
} from '../../ports/broker.ts';

/** Retained topics held; a further one is delivered but not kept. */
const retainedMax = 1000;

/** A client of the twin. */
export interface MemoryBrokerClient {
  /** False: the filter is refused. */
  subscribe(filter: string, qos: 0 | 1): boolean;
  unsubscribe(filter: string): void;
  /** Resolves when it is acknowledged; with false when the node refused it. */
  publish(message: BrokerMessage): Promise<boolean>;
  /** Goes away; `isBroken` lets the will out. */
  close(isBroken?: boolean): void;
}

/** How to connect to the twin. */
export interface MemoryClientOptions {
  readonly clientId: string;
  readonly guest?: string;
  readonly will?: BrokerMessage;
  received(message: BrokerMessage): void;
  closed?(reason: string): void;
}

/** The twin, and its door. */
export interface MemoryBroker extends Broker {
  connect(options: MemoryClientOptions): MemoryBrokerClient;
}

interface Connected {
  readonly options: MemoryClientOptions;
  readonly about: BrokerClient;
  readonly filters: Map<string, 0 | 1>;
  readonly shares: Map<string, SharingClient>;
}

/** Builds an empty broker. */
export function createMemoryBroker(handlers: BrokerHandlers): MemoryBroker {
  const connected = new Set<Connected>();
  const retained = new Map<string, BrokerMessage>();

  function deliver(message: BrokerMessage): void {
    if (topicProblem(message.topic) !== undefined || isReservedTopic(message.topic)) return;
    if (message.retain) keep(message);
    for (const one of connected) {
      const granted = [...one.filters].filter(([filter]) => topicMatches(filter, message.topic));
      if (granted.length === 0) continue;
      const qos = message.qos === 1 && granted.some(([, most]) => most === 1) ? 1 : 0;
      one.options.received({ ...message, qos, retain: false });
    }
  }

  function keep(message: BrokerMessage): void {
    if (message.payload.length === 0) retained.delete(message.topic);
    else if (retained.has(message.topic) || retained.size < retainedMax) {
      retained.set(message.topic, message);
    }
  }

  function publish(from: Connected, message: BrokerMessage): Promise<boolean> {
    if (topicProblem(message.topic) !== undefined || isReservedTopic(message.topic)) {
      handlers.refused?.(message.topic, from.about, 'no client may publish to it');
      return Promise.resolve(false);
    }
    return new Promise((resolve) => {
      handlers.published(message, from.about, (refusal) => {
        if (refusal === undefined) deliver(message);
        resolve(refusal === undefined);
      });
    });
  }

  function isWanted(filter: string): boolean {
    return [...connected].some((one) => one.filters.has(filter));
  }

  function leave(one: Connected, isBroken: boolean): void {
    if (!connected.delete(one)) return;
    for (const filter of one.filters.keys())
      if (!isWanted(filter)) handlers.interest(filter, false);
    for (const [filter, member] of one.shares) handlers.groups.leave(filter, member);
    if (isBroken && one.options.will !== undefined) void publish(one, one.options.will);
  }

  function subscribe(one: Connected, filter: string, qos: 0 | 1): boolean {
    if (subscriptionProblem(filter) !== undefined || !connected.has(one)) return false;
    if (isShared(filter)) return share(one, filter, qos);
    const isNew = !isWanted(filter);
    one.filters.set(filter, qos);
    if (isNew) handlers.interest(filter, true);
    for (const message of retained.values()) {
      if (!topicMatches(filter, message.topic)) continue;
      one.options.received({ ...message, qos: message.qos === 1 && qos === 1 ? 1 : 0 });
    }
    return true;
  }

  /** Takes are acknowledged at once: a function call loses nothing on its way. */
  function share(one: Connected, filter: string, qos: 0 | 1): boolean {
    if (!handlers.groups.mayJoin(filter)) return false;
    if (one.shares.has(filter)) return true;
    const member: SharingClient = {
      take: (message) =>
        one.options.received({ ...message, qos: message.qos === 1 ? qos : 0, retain: false }),
      isReady: () => true,
    };
    one.shares.set(filter, member);
    handlers.groups.join(filter, member);
    return true;
  }

  function unshare(one: Connected, filter: string): void {
    const member = one.shares.get(filter);
    if (member === undefined) return;
    one.shares.delete(filter);
    handlers.groups.leave(filter, member);
  }

  function evict(one: Connected, reason: string): void {
    leave(one, true);
    one.options.closed?.(reason);
  }

  return {
    deliver,
    isHeard: (topic) =>
      [...connected].some(({ filters }) =>
        [...filters.keys()].some((filter) => topicMatches(filter, topic)),
      ),
    keep: (topic, payload) => keep({ topic, payload, qos: 1, retain: true }),
    retainedCount: () => retained.size,
    clients: () => [...connected].map((one) => one.about),
    evictGuest(guest, reason) {
      for (const one of connected) {
        if (one.about.guest !== guest) continue;
        handlers.evicted(one.about, reason);
        evict(one, reason);
      }
    },
    async stop() {
      for (const one of connected) evict(one, 'the broker stopped');
    },
    connect(options) {
      const { clientId, guest } = options;
      for (const one of connected) {
        if (one.about.clientId === clientId) evict(one, 'a newer connection has the same id');
      }
      const zone = guest === undefined ? 'local' : 'guest';
      const about: BrokerClient = {
        clientId,
        zone,
        ...(guest === undefined ? {} : { guest }),
        remote: 'in-process',
        queuedBytes: 0,
        diskBytes: 0,
      };
      const one: Connected = { options, about, filters: new Map(), shares: new Map() };
      connected.add(one);
      return {
        subscribe: (filter, qos) => subscribe(one, filter, qos),
        unsubscribe(filter) {
          unshare(one, filter);
          if (one.filters.delete(filter) && !isWanted(filter)) handlers.interest(filter, false);
        },
        publish: (message) => publish(one, message),
        close: (isBroken = false) => leave(one, isBroken),
      };
    },
  };
}
