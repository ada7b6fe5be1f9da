/** Hands bytes and letters to links: relays what passes through, queues for saturated links, keeps to the ttl. */

import type { NodeId } from '../../kernel/ids.ts';
import { createDedupWindow } from './dedup-window.ts';
import { ttlDirect, ttlHops } from './messages.ts';
import type { DeliveryClass, Envelope, Letter, LetterBody, Passage } from './messages.ts';
import type { Neighbourhood } from './neighbourhood.ts';
import { createPeerQueue } from './peer-queue.ts';
import type { PeerQueue, PeerQueueConfig } from './peer-queue.ts';
import type { RelayPolicy } from './relay-policy.ts';
import { deafTrace } from './router-trace.ts';
import type { RouterTrace } from './router-trace.ts';

/** Hands encoded bytes to a linked peer; false when its link is saturated and took nothing. */
export type Transmit = (peer: NodeId, raw: Uint8Array, kind: DeliveryClass) => boolean;

/** Why something was lost or refused. */
export type DropReason =
  | 'signal-saturated'
  | 'relay-full'
  | 'ttl'
  | 'held-full'
  | 'parts-full'
  | 'parts-early'
  | 'parts-torn'
  | 'parts-put-back'
  | 'evicted-origin'
  | 'retained-clock'
  | 'outbox-dead'
  | 'outbox-silent'
  | 'outbox-quota'
  | 'outbox-gone'
  | 'share-nobody'
  | 'share-full';

/** What a forwarder needs. */
export interface ForwarderConfig {
  readonly self: NodeId;
  readonly boot: number;
  readonly codec: {
    writeTtl(raw: Uint8Array, ttl: number): void;
    address(raw: Uint8Array, passage: Passage, ttl: number): Uint8Array;
    writeSkipped(raw: Uint8Array, skipped: number): void;
  };
  /** Whether a linked peer can read a message. @default all can */
  readonly canRead?: (peer: NodeId, raw: Uint8Array) => boolean;
  readonly queue?: PeerQueueConfig;
  /** Who of those a message is relayed to gets it now. @default all */
  readonly relay?: RelayPolicy;
  readonly trace?: RouterTrace | undefined;
  /** Passages of earlier lives of this node, at least. @default 0 */
  readonly passagesBefore?: number;
}

/** Called synchronously. */
export interface ForwarderOutputs {
  readonly transmit: Transmit;
  sendLetter(peer: NodeId, letter: Letter): void;
  drop(reason: DropReason, count: number): void;
}

/** The sending half of a router. */
export interface Forwarder {
  open(peer: NodeId): void;
  close(peer: NodeId): void;
  drained(peer: NodeId): void;
  /** An own event to a linked peer. False: not taken. */
  send(peer: NodeId, raw: Uint8Array, skipped: number): boolean;
  sendSignal(peer: NodeId, topic: string, raw: Uint8Array): void;
  /** An own signal to one member without a link. `name`: a newer one with the same makes it void. */
  sendSignalTo(to: NodeId, name: string, raw: Uint8Array): void;
  /** Whether a link to the node has no room for messages of a class; without a link it never says so. */
  isSaturated(peer: NodeId, kind: DeliveryClass): boolean;
  /** An own event to a member without a link. False: no link took it. */
  sendAddressed(to: NodeId, raw: Uint8Array, skipped: number, isFlood: boolean): boolean;
  /** An own letter. False: there is no way to send it on. */
  mail(to: NodeId, body: LetterBody, isFlood: boolean): boolean;
  /** Whether this addressed event has not been here before. */
  isFirst(envelope: Envelope, passage: Passage): boolean;
  isFirstLetter(letter: Letter): boolean;
  /** Bytes that a relay policy kept go to a linked peer after all. */
  repeat(peer: NodeId, raw: Uint8Array, isEvent: boolean): void;
  relayEvent(arrival: NodeId, envelope: Envelope, raw: Uint8Array): void;
  relaySignal(arrival: NodeId, envelope: Envelope, raw: Uint8Array): void;
  passEnvelope(arrival: NodeId, envelope: Envelope, raw: Uint8Array): void;
  /** A signal that is addressed to another member goes on. */
  passSignal(arrival: NodeId, envelope: Envelope, raw: Uint8Array): void;
  passLetter(arrival: NodeId, letter: Letter): void;
  view(): { peer: NodeId; queued: number; isSaturated: boolean }[];
}

const nobody: readonly NodeId[] = [];

/** Builds the sending half of a router. */
export function createForwarder(
  config: ForwarderConfig,
  near: Neighbourhood,
  outputs: ForwarderOutputs,
): Forwarder {
  const { self, boot, codec, trace = deafTrace } = config;
  const queues = new Map<NodeId, PeerQueue>();
  const passages = createDedupWindow();
  const letters = createDedupWindow();
  // The stream of events may outlive a start of this node, and with it what relays remember of its passages.
  let passageId = config.passagesBefore ?? 0;

  function nextPassage(to: NodeId, isFlood: boolean): Passage {
    passageId += 1;
    return { to, id: passageId, isFlood };
  }

  function transmit(peer: NodeId, queue: PeerQueue, raw: Uint8Array, kind: DeliveryClass): boolean {
    if (queue.isSaturated[kind]) return false;
    if (outputs.transmit(peer, raw, kind)) return true;
    queue.isSaturated[kind] = true;
    return false;
  }

  /** Relayed events keep their order: nothing overtakes what waits. */
  function handOn(peer: NodeId, raw: Uint8Array): void {
    const queue = queues.get(peer);
    if (queue === undefined) return;
    if (queue.length() === 0 && transmit(peer, queue, raw, 'event')) return;
    if (queue.keepEvent(raw))
      return trace.raw('queued', raw, peer, undefined, 'behind a full link');
    trace.raw('dropped', raw, peer, 'overflow', 'too much waits for that link; its origin resends');
    outputs.drop('relay-full', 1);
  }

  function sendSignal(peer: NodeId, topic: string, raw: Uint8Array): void {
    const queue = queues.get(peer);
    if (queue === undefined || transmit(peer, queue, raw, 'signal')) return;
    trace.raw('queued', raw, peer, undefined, 'behind a full link');
    // A copy: the bytes are another signal's by the time there is room.
    const lost = queue.keepSignal(topic, raw.slice());
    if (lost > 0) outputs.drop('signal-saturated', lost);
  }

  /** Takes one hop off in place. False when there is none left. */
  function takeHop(envelope: Envelope, raw: Uint8Array): boolean {
    if (envelope.ttl <= 1) {
      trace.raw('dropped', raw, undefined, 'ttl', 'no hop left');
      outputs.drop('ttl', 1);
      return false;
    }
    codec.writeTtl(raw, envelope.ttl - 1);
    return true;
  }

  /** Of several ways those through peers that can read it, if there are any. */
  function readable(ways: readonly NodeId[], raw: Uint8Array): readonly NodeId[] {
    if (config.canRead === undefined || ways.length < 2) return ways;
    const able = ways.filter((peer) => config.canRead?.(peer, raw) === true);
    return able.length === 0 ? ways : able;
  }

  /** Whom a first copy goes on to, with a hop less in its bytes. */
  function onward(arrival: NodeId, envelope: Envelope, raw: Uint8Array): readonly NodeId[] {
    if (envelope.ttl === ttlDirect) return nobody;
    const targets = near.relayTargets(envelope.origin, arrival);
    if (targets.length > 0) {
      if (!takeHop(envelope, raw)) return nobody;
      // What this node may skip says nothing about others: the origin tells each of them.
      if (envelope.skipped > 0) codec.writeSkipped(raw, 0);
    }
    return config.relay?.choose(envelope, raw, arrival, targets) ?? targets;
  }

  /** Where an addressed message goes on to, with a hop less in its bytes. */
  function onwardTo(
    { to, isFlood }: Passage,
    arrival: NodeId,
    envelope: Envelope,
    raw: Uint8Array,
  ): readonly NodeId[] {
    const ways = readable(near.ways(to, arrival, isFlood), raw);
    if (ways.length > 0) return takeHop(envelope, raw) ? ways : nobody;
    trace.raw('dropped', raw, to, 'no-way', 'no link leads on to its receiver');
    return nobody;
  }

  return {
    open(peer) {
      const queue = createPeerQueue(config.queue ?? {}, (raw, isSuperseded) => {
        const why = isSuperseded ? 'a newer value came while it waited' : 'too many topics wait';
        trace.raw('dropped', raw, peer, 'overflow', why);
      });
      queues.set(peer, queue);
    },
    close: (peer) => void queues.delete(peer),
    drained(peer) {
      const queue = queues.get(peer);
      if (queue === undefined) return;
      queue.isSaturated.signal = false;
      queue.isSaturated.event = false;
      queue.flush((raw, isEvent) => transmit(peer, queue, raw, isEvent ? 'event' : 'signal'));
    },
    send(peer, raw, skipped) {
      const queue = queues.get(peer);
      if (queue === undefined) return false;
      codec.writeSkipped(raw, skipped);
      return transmit(peer, queue, raw, 'event');
    },
    sendSignal,
    sendSignalTo(to, name, raw) {
      const ways = near.ways(to, undefined, false);
      const addressed = codec.address(raw, nextPassage(to, ways.length > 1), ttlHops);
      for (const peer of ways) sendSignal(peer, name, addressed);
    },
    isSaturated: (peer, kind) => queues.get(peer)?.isSaturated[kind] ?? false,
    sendAddressed(to, raw, skipped, isFlood) {
      const ways = readable(near.ways(to, undefined, isFlood), raw);
      const passage = nextPassage(to, isFlood || ways.length > 1);
      codec.writeSkipped(raw, skipped);
      const addressed = codec.address(raw, passage, ttlHops);
      let isTaken = false;
      for (const peer of ways) {
        const queue = queues.get(peer);
        if (queue !== undefined && transmit(peer, queue, addressed, 'event')) isTaken = true;
      }
      return isTaken;
    },
    mail(to, body, isFlood) {
      const ways = near.ways(to, undefined, isFlood);
      const passage = nextPassage(to, isFlood || ways.length > 1);
      const letter: Letter = { from: self, fromBoot: boot, ttl: ttlHops, passage, body };
      for (const peer of ways) outputs.sendLetter(peer, letter);
      return ways.length > 0;
    },
    isFirst: ({ origin, boot: life }, { id }) => passages.admit(origin, life, id) === 'new',
    isFirstLetter: ({ from, fromBoot, passage }) =>
      letters.admit(from, fromBoot, passage.id) === 'new',
    repeat(peer, raw, isEvent) {
      const queue = queues.get(peer);
      if (isEvent) handOn(peer, raw);
      else if (queue !== undefined) transmit(peer, queue, raw, 'signal');
    },
    relayEvent(arrival, envelope, raw) {
      for (const peer of onward(arrival, envelope, raw)) handOn(peer, raw);
    },
    relaySignal(arrival, envelope, raw) {
      for (const peer of onward(arrival, envelope, raw)) sendSignal(peer, envelope.topic, raw);
    },
    passEnvelope(arrival, envelope, raw) {
      if (envelope.passage === undefined) return;
      const ways = onwardTo(envelope.passage, arrival, envelope, raw);
      for (const peer of ways) handOn(peer, raw);
    },
    passSignal(arrival, envelope, raw) {
      const { passage, topic, share } = envelope;
      if (passage === undefined) return;
      const ways = onwardTo(passage, arrival, envelope, raw);
      for (const peer of ways) sendSignal(peer, signalName(topic, share), raw);
    },
    passLetter(arrival, letter) {
      const ways = near.ways(letter.passage.to, arrival, letter.passage.isFlood);
      if (letter.ttl <= 1) return outputs.drop('ttl', 1);
      const isFlood = letter.passage.isFlood || ways.length > 1;
      const onward = { ...letter, ttl: letter.ttl - 1, passage: { ...letter.passage, isFlood } };
      for (const peer of ways) if (peer !== letter.from) outputs.sendLetter(peer, onward);
    },
    view: () =>
      [...queues].map(([peer, queue]) => ({
        peer,
        queued: queue.length(),
        isSaturated: queue.isSaturated.signal || queue.isSaturated.event,
      })),
  };
}

/** What a newer signal makes void while both wait: the one of its topic, and of its group. */
export function signalName(topic: string, share: string | undefined): string {
  return share === undefined ? topic : `${topic} ${share}`;
}
