/** The persistence that aedes asks for: bounded sessions, retained messages and wills, all in memory. */

import { Readable } from 'node:stream';
import type { BrokerLimits } from './broker-limits.ts';
import { createRetainedStore } from './retained-store.ts';
import type { RetainedStore } from './retained-store.ts';
import { createFilterTrie } from '../../kernel/filter-trie.ts';
import { isShared } from '../../kernel/topic.ts';
import type { BrokerPacket, BrokerSubscription } from './aedes-types.ts';

/** A session that outlives its connection. */
interface Session {
  readonly clientId: string;
  readonly filters: Map<string, 0 | 1 | 2>;
  readonly outgoing: BrokerPacket[];
  outgoingBytes: number;
  /** When its client went away, on the monotonic clock; undefined while connected. */
  absentSince: number | undefined;
}

interface Identified {
  readonly id: string;
}

/** What the store tells the broker. */
export interface SessionStoreHandlers {
  /** A filter belongs to a persistent session, also while its client is away. */
  wanted(clientId: string, filter: string): void;
  unwanted(clientId: string, filter: string): void;
  dropped(reason: 'session-full' | 'session-expired' | 'retained-full', clientId: string): void;
  maySubscribe(clientId: string, filter: string): boolean;
  /** A connected client acknowledged a QoS 1 delivery. */
  acknowledged(client: object, packetId: number): void;
}

/**
 * Answers at once, in the caller's turn. With a promise a later message would overtake an earlier one, and aedes
 * would then take the earlier one for a repetition and lose it (aedes#994).
 */
function settled<Value>(value?: Value): PromiseLike<Value> {
  return {
    // oxlint-disable-next-line unicorn/no-thenable -- aedes only ever calls `.then(onValue, onError)` on it
    then(onValue) {
      onValue?.(value as Value);
      return settled() as PromiseLike<never>;
    },
  };
}

/** aedes' persistence contract, with the bounds of `BrokerLimits`. */
export class SessionStore {
  readonly retained: RetainedStore;
  readonly #limits: BrokerLimits;
  readonly #handlers: SessionStoreHandlers;
  readonly #sessions = new Map<string, Session>();
  readonly #index = createFilterTrie<Session>();
  /** QoS 2 publishes that wait for their PUBREL, by client id: at most `maxInflightInbound` each. */
  readonly #incoming = new Map<string, Map<number, { packet: BrokerPacket; isStored: boolean }>>();

  constructor(limits: BrokerLimits, handlers: SessionStoreHandlers) {
    this.#limits = limits;
    this.#handlers = handlers;
    this.retained = createRetainedStore(
      limits.local.retained + limits.guest.retained,
      limits.retainedBytes,
    );
  }

  async setup(): Promise<void> {}

  storeRetained(packet: BrokerPacket): PromiseLike<void> {
    const verdict = this.retained.put({ ...packet });
    if (verdict === 'full') this.#handlers.dropped('retained-full', packet.clientId ?? '');
    return settled();
  }

  createRetainedStreamCombi(filters: readonly string[]): Readable {
    return Readable.from(this.retained.matching(filters));
  }

  async addSubscriptions(client: Identified, subs: readonly BrokerSubscription[]): Promise<void> {
    const session = this.#open(client.id);
    for (const { topic, qos } of subs) {
      // aedes stores every filter of a SUBSCRIBE as soon as one of them is granted.
      if (!this.#handlers.maySubscribe(client.id, topic)) continue;
      const isNew = !session.filters.has(topic);
      session.filters.set(topic, qos);
      // A member of a group that is away is none: others get what it would have got.
      if (isShared(topic)) continue;
      if (isNew) this.#handlers.wanted(client.id, topic);
      if (qos > 0) this.#index.set(topic, session, qos === 2 ? 2 : 1);
      else this.#index.remove(topic, session);
    }
  }

  async removeSubscriptions(client: Identified, filters: readonly string[]): Promise<void> {
    const session = this.#sessions.get(client.id);
    for (const filter of filters) if (session !== undefined) this.#forget(session, filter);
  }

  async subscriptionsByClient(client: Identified): Promise<BrokerSubscription[]> {
    const session = this.#sessions.get(client.id);
    return [...(session?.filters ?? [])].map(([topic, qos]) => ({ topic, qos }));
  }

  async cleanSubscriptions(client: Identified): Promise<void> {
    this.#end(client.id);
  }

  /** aedes passes the answer to `outgoingEnqueueCombi` and looks at nothing but `topic`. */
  subscriptionsByTopic(
    topic: string,
  ): PromiseLike<{ topic: string; session: Session; qos: 1 | 2 }[]> {
    return settled(
      [...this.#index.match(topic)].map(([session, qos]) => ({ topic, session, qos })),
    );
  }

  outgoingEnqueueCombi(
    subs: readonly { session: Session; qos: 1 | 2 }[],
    packet: BrokerPacket,
  ): PromiseLike<void> {
    for (const { session, qos } of subs) {
      const bytes = packet.payload.length + packet.topic.length;
      const isFull =
        session.outgoing.length >= this.#limits.sessionMessages ||
        // One message alone may be larger than the bound.
        (session.outgoing.length > 0 && session.outgoingBytes + bytes > this.#limits.sessionBytes);
      if (isFull) this.#handlers.dropped('session-full', session.clientId);
      else {
        const lowered = packet.qos < qos ? packet.qos : qos;
        session.outgoing.push({ ...packet, qos: lowered, retain: false, messageId: undefined });
        session.outgoingBytes += bytes;
      }
    }
    return settled();
  }

  outgoingUpdate(client: Identified, packet: BrokerPacket): PromiseLike<void> {
    const outgoing = this.#sessions.get(client.id)?.outgoing ?? [];
    if (packet.cmd === 'pubrel') {
      // Found by its id alone: aedes' own store compares two undefined broker ids and renumbers a stranger's PUBREL,
      // which leaves 3 % of QoS 2 messages stuck.
      const at = outgoing.findIndex((held) => held.messageId === packet.messageId);
      if (at >= 0) this.#replace(client.id, at, packet);
      return settled();
    }
    const held = outgoing.find(
      (one) => one.brokerCounter === packet.brokerCounter && one.cmd === 'publish',
    );
    if (held !== undefined) held.messageId = packet.messageId;
    return settled();
  }

  async outgoingClearMessageId(
    client: Identified,
    packet: BrokerPacket,
  ): Promise<BrokerPacket | undefined> {
    if (packet.cmd === 'puback') this.#handlers.acknowledged(client, packet.messageId ?? 0);
    const session = this.#sessions.get(client.id);
    if (session === undefined) return undefined;
    const at = session.outgoing.findIndex((held) => held.messageId === packet.messageId);
    if (at < 0) return undefined;
    const [cleared] = session.outgoing.splice(at, 1);
    session.outgoingBytes -= cleared === undefined ? 0 : queuedSize(cleared);
    return cleared;
  }

  /** What was sent before and never acknowledged goes out again with DUP ([MQTT-3.3.1-1]). */
  outgoingStream(client: Identified): Readable {
    const outgoing = this.#sessions.get(client.id)?.outgoing ?? [];
    return Readable.from(
      outgoing.map((held) => ({
        ...held,
        dup: held.cmd === 'publish' && held.messageId !== undefined,
      })),
    );
  }

  /** Notes a QoS 2 publish before it is authorised. False: it is a repetition of one already taken. */
  reserveIncoming(clientId: string, packet: BrokerPacket): boolean {
    const store = this.#incoming.get(clientId) ?? new Map();
    this.#incoming.set(clientId, store);
    if (packet.messageId === undefined || store.has(packet.messageId)) return false;
    store.set(packet.messageId, { packet, isStored: false });
    return true;
  }

  async incomingGetPacket(client: Identified, packet: BrokerPacket): Promise<BrokerPacket> {
    const held = this.#incoming.get(client.id)?.get(packet.messageId ?? 0);
    if (held !== undefined && (held.isStored || held.packet !== packet)) return held.packet;
    throw new Error('no such packet');
  }

  async incomingStorePacket(client: Identified, packet: BrokerPacket): Promise<void> {
    const held = this.#incoming.get(client.id)?.get(packet.messageId ?? 0);
    if (held !== undefined) held.isStored = true;
  }

  async incomingDelPacket(client: Identified, packet: BrokerPacket): Promise<void> {
    this.#incoming.get(client.id)?.delete(packet.messageId ?? 0);
  }

  async cleanIncoming(client: Identified): Promise<void> {
    this.#incoming.delete(client.id);
  }

  /** aedes keeps the will on the client as well and publishes it from there; a second copy serves nothing. */
  async putWill(): Promise<void> {}

  async delWill(): Promise<void> {}

  /**
   * Nothing: a will belongs to a live connection of this very process.
   * aedes' own store publishes the wills of living clients when the wall clock jumps by three minutes.
   */
  streamWill(): Readable {
    return Readable.from([]);
  }

  async destroy(): Promise<void> {}

  /** A client of a persistent session connected. */
  arrived(clientId: string): void {
    this.#open(clientId).absentSince = undefined;
  }

  /** It went away; the session is kept for a while. */
  departed(clientId: string, now: number): void {
    const session = this.#sessions.get(clientId);
    if (session !== undefined) session.absentSince = now;
  }

  /** Forgets sessions that were absent too long. */
  sweep(now: number): void {
    for (const session of this.#sessions.values()) {
      if (session.absentSince === undefined) continue;
      if (now - session.absentSince < this.#limits.sessionMs) continue;
      this.#end(session.clientId);
      this.#handlers.dropped('session-expired', session.clientId);
    }
  }

  #open(clientId: string): Session {
    const known = this.#sessions.get(clientId);
    if (known !== undefined) return known;
    if (this.#sessions.size >= this.#limits.sessions) {
      const absent = [...this.#sessions.values()].find((one) => one.absentSince !== undefined);
      if (absent !== undefined) {
        this.#end(absent.clientId);
        this.#handlers.dropped('session-expired', absent.clientId);
      }
    }
    const session: Session = {
      clientId,
      filters: new Map(),
      outgoing: [],
      outgoingBytes: 0,
      absentSince: undefined,
    };
    this.#sessions.set(clientId, session);
    return session;
  }

  #end(clientId: string): void {
    const session = this.#sessions.get(clientId);
    if (session === undefined) return;
    for (const filter of session.filters.keys()) this.#forget(session, filter);
    this.#sessions.delete(clientId);
    this.#incoming.delete(clientId);
  }

  #forget(session: Session, filter: string): void {
    if (!session.filters.delete(filter)) return;
    if (isShared(filter)) return;
    this.#index.remove(filter, session);
    this.#handlers.unwanted(session.clientId, filter);
  }

  #replace(clientId: string, at: number, packet: BrokerPacket): void {
    const session = this.#sessions.get(clientId);
    const before = session?.outgoing[at];
    if (session === undefined || before === undefined) return;
    session.outgoingBytes += queuedSize(packet) - queuedSize(before);
    session.outgoing[at] = packet;
  }
}

function queuedSize(packet: BrokerPacket): number {
  return packet.cmd === 'publish' ? packet.payload.length + packet.topic.length : 0;
}
