/**
 * The data plane of one node: takes local messages, hands on what passes through, delivers each event once and in order.
 * A pipeline of data structures, called per message without an object, promise or closure of its own
 * (docs/protocols/routing.md).
 */

import type { Millis } from '../../kernel/core.ts';
import type { Hlc } from '../../kernel/hlc.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Random } from '../../kernel/random.ts';
import { createDedupWindow } from './dedup-window.ts';
import { createForwarder } from './forwarder.ts';
import type { DropReason, Transmit } from './forwarder.ts';
import { createLateRetained } from './late-retained.ts';
import { ttlHops } from './messages.ts';
import type { Envelope, Letter, Passage } from './messages.ts';
import { createNeighbourhood } from './neighbourhood.ts';
import { createOrderBuffer, patienceMsDefault } from './order-buffer.ts';
import type { OrderBufferConfig, OrderVerdict } from './order-buffer.ts';
import { createOutbox } from './outbox.ts';
import type { GoneReason, OutboxConfig, OutboxView } from './outbox.ts';
import type { Destination } from './destination.ts';
import type { PeerQueueConfig } from './peer-queue.ts';
import { createReceipts } from './receipts.ts';
import type { ReceiptsConfig } from './receipts.ts';
import { createRetainedMap, entryOf } from './retained-map.ts';
import type { RetainedEntry, RetainedMap, RetainedMapConfig } from './retained-map.ts';

/** The byte work a router leaves to the wire. */
export interface EnvelopeCodec {
  /** Encodes into memory that nobody else will write to. */
  encode(envelope: Envelope): Uint8Array;
  /** Writes the hops left into encoded bytes, in place. */
  writeTtl(raw: Uint8Array, ttl: number): void;
  /** A copy of an encoded event with an address on it. */
  address(raw: Uint8Array, passage: Passage, ttl: number): Uint8Array;
}

/** Knobs of a router. */
export interface RouterConfig {
  readonly self: NodeId;
  /** This node's persisted boot counter: greater than in any life before. */
  readonly boot: number;
  readonly random: Random;
  readonly codec: EnvelopeCodec;
  /** Learns a peer's timestamp; false when it is too far ahead to be kept as a retained message's stamp. */
  readonly observeHlc: (hlc: Hlc) => boolean;
  readonly outbox?: OutboxConfig;
  readonly order?: OrderBufferConfig;
  readonly receipts?: ReceiptsConfig;
  readonly retained?: RetainedMapConfig;
  readonly queue?: PeerQueueConfig;
}

/** What a router does to the world; plain callbacks, called synchronously and in order. */
export interface RouterOutputs {
  /**
   * A message for the local subscribers.
   * @param isRetained it is the topic's last value in the whole mesh: the broker stores it (an empty payload deletes).
   */
  deliver(envelope: Envelope, isRetained: boolean): void;
  /**
   * Hands encoded bytes to a linked peer; they must be copied before the call returns.
   * @returns false when the link is saturated: nothing was taken, `drained` will be called.
   */
  readonly transmit: Transmit;
  /** Sends a letter to a linked peer over the control lane. */
  sendLetter(peer: NodeId, letter: Letter): void;
  /** A parcel of another member; the bytes are a view of the received ones. */
  parcel(from: NodeId, protocol: string, bytes: Uint8Array): void;
  /** Tells every linked peer whom this node is linked with. */
  announceNeighbours(neighbours: readonly NodeId[]): void;
  /** Events of the origin that local subscribers will never see. */
  gap(origin: NodeId, from: number, to: number): void;
  /** A topic's last value for later subscribers alone: those who are there get it as a message, or had it. */
  keepRetained(entry: RetainedEntry): void;
  /** A topic's last value that came by synchronisation and never as a message: for everybody. */
  showRetained(entry: RetainedEntry): void;
  /** A retained value made room for newer ones: the local broker should forget it. */
  forgetRetained(topic: string): void;
  /** Something was lost or refused; for counters. */
  drop(reason: DropReason, count: number): void;
  /** After `publish` said `full`: there is room again. */
  roomAgain(): void;
}

/** A message a local client wants to publish. Its local subscribers are not the router's business. */
export interface Publication {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: 0 | 1;
  readonly retain: boolean;
  readonly hlc: Hlc;
}

/** What people and metrics see of a router. */
export interface RouterView {
  readonly outbox: OutboxView;
  readonly held: number;
  readonly streams: number;
  readonly links: readonly {
    readonly peer: NodeId;
    readonly queued: number;
    readonly isSaturated: boolean;
  }[];
  readonly retained: ReturnType<RetainedMap['view']>;
}

/** The data plane of one node. */
export interface Router {
  /**
   * Takes a local message whose topic and size the caller has checked. `full`: try again after `roomAgain`; only events are ever refused.
   */
  publish(now: Millis, publication: Publication): 'taken' | 'full';
  /** A message came over a link. `raw` is its bytes, in memory that this node owns: the router writes the ttl into it. */
  received(now: Millis, from: NodeId, envelope: Envelope, raw: Uint8Array): void;
  letterReceived(now: Millis, from: NodeId, letter: Letter): void;
  /** Sends a parcel, directly or through others, at most once. False: there is no way. */
  mail(to: NodeId, protocol: string, bytes: Uint8Array): boolean;
  /** Also when a new connection took the place of an open one: what was under way on the old one may be lost. */
  linkUp(now: Millis, peer: NodeId): void;
  linkDown(now: Millis, peer: NodeId): void;
  drained(now: Millis, peer: NodeId): void;
  neighboursHeard(peer: NodeId, neighbours: readonly NodeId[]): void;
  /** A peer's retained values, by synchronisation. */
  retainedReceived(now: Millis, entries: readonly RetainedEntry[]): void;
  /** Membership holds the node alive, in this life. It is owed every event published from here on. */
  memberJoined(now: Millis, node: NodeId, boot: number): void;
  /** `dead` keeps what it is owed for the retention time; an evicted one is not listened to any more. */
  memberGone(now: Millis, node: NodeId, reason: GoneReason): void;
  tick(now: Millis): void;
  deadline(): Millis;
  view(): RouterView;
  /** The mesh-wide retained messages, for synchronisation with a peer and for late local subscribers. */
  readonly retained: RetainedMap;
}

/** Evicted members remembered; the oldest is forgotten beyond it (its links are refused by identity anyway). */
const evictedMax = 1024;

/** Bytes of an encoded event beside topic and payload, for the quota only. */
const overheadBytes = 64;

/** Builds a router. */
export function createRouter(config: RouterConfig, outputs: RouterOutputs): Router {
  const { self, boot, codec } = config;
  const near = createNeighbourhood(self);
  const events = createDedupWindow();
  const signals = createDedupWindow();
  const evicted = new Set<NodeId>();
  const receipts = createReceipts(config.receipts);
  const retained = createRetainedMap(config.retained, (topic) => outputs.forgetRetained(topic));
  const forwarder = createForwarder(config, near, outputs);
  let signalSeq = 0;
  let isFull = false;

  const order = createOrderBuffer(config.order ?? {}, {
    deliver: (envelope) => deliver(envelope),
    gap: (origin, from, to) => outputs.gap(origin, from, to),
  });

  const late = createLateRetained({
    retained,
    patienceMs: config.order?.patienceMs ?? patienceMsDefault,
    isAwaited: ({ origin, boot: life, seq }) => seq > 0 && order.isAwaited(origin, life, seq),
    keep: (entry) => outputs.keepRetained(entry),
    show: (entry) => outputs.showRetained(entry),
  });

  const outbox = createOutbox(config.outbox ?? {}, config.random, {
    send: (node, raw) => forwarder.send(node, raw),
    resend,
    tellBase(to, seq) {
      forwarder.mail(to.node, { kind: 'base', seq }, to.attempts > 1);
    },
    forfeited(_node, count, reason) {
      outputs.drop(`outbox-${reason}`, count);
    },
  });

  function resend(to: Destination, raw: Uint8Array): boolean {
    if (to.isLinked) return forwarder.send(to.node, raw);
    return forwarder.sendAddressed(to.node, raw, to.attempts > 1);
  }

  function deliver(envelope: Envelope): void {
    const isSane = config.observeHlc(envelope.hlc);
    if (!envelope.retain) return outputs.deliver(envelope, false);
    if (!late.admits(envelope)) return;
    if (!isSane) outputs.drop('retained-clock', 1);
    outputs.deliver(envelope, isSane && retained.merge([entryOf(envelope)]).length > 0);
  }

  function encode(publication: Publication, seq: number): Uint8Array {
    return codec.encode({
      ttl: ttlHops,
      class: publication.qos === 1 ? 'event' : 'signal',
      retain: publication.retain,
      origin: self,
      boot,
      seq,
      hlc: publication.hlc,
      topic: publication.topic,
      payload: publication.payload,
      passage: undefined,
    });
  }

  function keepRetained({ topic, hlc, payload, retain, qos }: Publication): void {
    if (!retain) return;
    const seq = qos === 1 ? outbox.nextSeq() - 1 : 0;
    retained.merge([{ topic, hlc, origin: self, boot, seq, payload }]);
  }

  function publishSignal(publication: Publication): void {
    signalSeq += 1;
    const raw = encode(publication, signalSeq);
    for (const peer of near.peers()) forwarder.sendSignal(peer, publication.topic, raw);
  }

  function publishEvent(now: Millis, publication: Publication): boolean {
    const { topic, payload } = publication;
    if (!outbox.admits(overheadBytes + topic.length + payload.byteLength)) return false;
    const raw = encode(publication, outbox.nextSeq());
    outbox.append(now, raw);
    for (const peer of near.peers()) {
      if (outbox.owes(peer)) outbox.pump(now, peer);
      else forwarder.send(peer, raw);
    }
    return true;
  }

  function tellRoom(): void {
    if (!isFull || !outbox.admits(overheadBytes)) return;
    isFull = false;
    outputs.roomAgain();
  }

  function acknowledge(origin: NodeId): void {
    const isRepeat = receipts.take(origin);
    const progress = order.progress(origin);
    if (progress === undefined) return;
    const { upTo, ranges } = progress;
    forwarder.mail(origin, { kind: 'ack', boot: progress.boot, upTo, ranges }, isRepeat);
  }

  function accept(now: Millis, envelope: Envelope): void {
    const verdict: OrderVerdict = order.accept(now, envelope);
    late.review(now);
    if (verdict === 'stale') return;
    if (verdict === 'refused') outputs.drop('held-full', 1);
    const isRepeat = verdict === 'duplicate' && envelope.passage !== undefined;
    if (receipts.note(now, envelope.origin, isRepeat)) acknowledge(envelope.origin);
  }

  function receivedEvent(now: Millis, from: NodeId, envelope: Envelope, raw: Uint8Array): void {
    const { passage, origin } = envelope;
    if (passage !== undefined) {
      if (!forwarder.isFirst(origin, envelope.boot, passage.id)) return;
      // What took one chosen way teaches nothing: learning from it would let detours feed on themselves.
      if (passage.isFlood) near.learn(origin, from);
      if (passage.to === self) accept(now, envelope);
      else forwarder.passEnvelope(from, envelope, raw);
      return;
    }
    if (events.admit(origin, envelope.boot, envelope.seq) === 'new') {
      near.learn(origin, from);
      forwarder.relayEvent(from, envelope, raw);
    }
    accept(now, envelope);
  }

  return {
    retained,
    publish(now, publication) {
      if (publication.qos === 0) publishSignal(publication);
      else if (!publishEvent(now, publication)) {
        isFull = true;
        return 'full';
      }
      keepRetained(publication);
      return 'taken';
    },
    received(now, from, envelope, raw) {
      const { origin } = envelope;
      if (origin === self || !near.isLinked(from)) return;
      if (evicted.has(origin)) outputs.drop('evicted-origin', 1);
      else if (envelope.class === 'event') receivedEvent(now, from, envelope, raw);
      else if (signals.admit(origin, envelope.boot, envelope.seq) === 'new') {
        near.learn(origin, from);
        forwarder.relaySignal(from, envelope, raw);
        deliver(envelope);
      }
    },
    letterReceived(now, from, letter) {
      if (letter.from === self || evicted.has(letter.from) || !near.isLinked(from)) return;
      if (!forwarder.isFirst(letter.from, letter.fromBoot, letter.passage.id)) return;
      if (letter.passage.isFlood) near.learn(letter.from, from);
      if (letter.passage.to !== self) return forwarder.passLetter(from, letter);
      const { body } = letter;
      if (body.kind === 'parcel') outputs.parcel(letter.from, body.protocol, body.bytes);
      else if (body.kind === 'base') {
        order.startAt(now, letter.from, letter.fromBoot, body.seq);
        late.review(now);
        acknowledge(letter.from);
      } else if (body.boot === boot) {
        outbox.acknowledged(now, letter.from, letter.fromBoot, body.upTo, body.ranges);
        tellRoom();
      }
    },
    mail: (to, protocol, bytes) => forwarder.mail(to, { kind: 'parcel', protocol, bytes }, false),
    linkUp(now, peer) {
      if (near.add(peer)) {
        forwarder.open(peer);
        outputs.announceNeighbours([...near.peers()]);
      } else forwarder.drained(peer);
      outbox.linked(now, peer);
      // What this node has already spares the peer from sending it again.
      acknowledge(peer);
    },
    linkDown(now, peer) {
      if (!near.remove(peer)) return;
      forwarder.close(peer);
      outbox.unlinked(now, peer);
      outputs.announceNeighbours([...near.peers()]);
    },
    drained(now, peer) {
      if (!near.isLinked(peer)) return;
      forwarder.drained(peer);
      outbox.drained(now, peer);
    },
    neighboursHeard: (peer, neighbours) => near.heard(peer, neighbours),
    retainedReceived(now, entries) {
      const sane = entries.filter((entry) => config.observeHlc(entry.hlc));
      if (sane.length < entries.length) {
        outputs.drop('retained-clock', entries.length - sane.length);
      }
      late.received(now, sane);
    },
    memberJoined(now, node, memberBoot) {
      if (node === self || evicted.has(node)) return;
      order.originHere(node);
      if (outbox.joined(now, node, memberBoot) && near.isLinked(node)) outbox.linked(now, node);
    },
    memberGone(now, node, reason) {
      if (node === self) return;
      if (reason === 'evicted' && evicted.size < evictedMax) evicted.add(node);
      // A dead one may only be out of reach: when it is back it still fills the holes of its stream.
      if (reason !== 'dead') order.originGone(node);
      late.review(now);
      outbox.gone(now, node, reason);
      tellRoom();
    },
    tick(now) {
      order.tick(now);
      late.review(now);
      for (const origin of receipts.due(now)) acknowledge(origin);
      outbox.tick(now);
      tellRoom();
    },
    deadline: () =>
      Math.min(order.deadline(), receipts.deadline(), outbox.deadline(), late.deadline()),
    view: () => ({
      outbox: outbox.view(),
      held: order.view().held,
      streams: order.view().streams,
      links: forwarder.view(),
      retained: retained.view(),
    }),
  };
}
