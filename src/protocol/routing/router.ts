/**
 * The data plane of one node: takes local messages, hands on what passes through, delivers each event once and in order.
 * A pipeline of data structures, called per message without an object, promise or closure of its own
 * (docs/protocols/routing.md).
 */

import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { createAudience } from './audience.ts';
import { createDedupWindow } from './dedup-window.ts';
import type { Destination } from './destination.ts';
import { createForwarder } from './forwarder.ts';
import { createIntake } from './intake.ts';
import { createInterestGossip } from './interest-gossip.ts';
import { createInterestTable } from './interest.ts';
import type { Wish } from './interest.ts';
import { createLateRetained } from './late-retained.ts';
import type { Excluded } from './message-ring.ts';
import { ttlDirect, ttlHops } from './messages.ts';
import type { Envelope } from './messages.ts';
import { createNeighbourhood } from './neighbourhood.ts';
import { createAppend, createOwnEnvelopes } from './own-envelopes.ts';
import { overheadBytes, sizeOf } from './publication-size.ts';
import { patienceMsDefault } from './order-buffer.ts';
import { createOutbox } from './outbox.ts';
import { createRecent } from './recent.ts';
import { createRetainedMap, entryOf } from './retained-map.ts';
import type { Publication, Router, RouterConfig, RouterOutputs } from './router-world.ts';
import { deafTrace, lossTexts, tellVerdict } from './router-trace.ts';
import { createShares } from './shares.ts';

/** Evicted members remembered; the oldest is forgotten beyond it (its links are refused by identity anyway). */
const evictedMax = 1024;

const nobody: Excluded = new Set();

/** Builds a router. */
export function createRouter(config: RouterConfig, outputs: RouterOutputs): Router {
  const { self, boot, codec, trace = deafTrace } = config;
  const near = createNeighbourhood(self);
  const events = createDedupWindow();
  const signals = createDedupWindow();
  const evicted = new Set<NodeId>();
  const retained = createRetainedMap(config.retained, (topic) => outputs.forgetRetained(topic));
  const passagesBefore = config.leftover?.nextSeq ?? 0;
  const forwarder = createForwarder({ ...config, passagesBefore }, near, outputs);
  const interest = createInterestTable();
  const gossip = createInterestGossip({
    self,
    boot,
    near,
    table: interest,
    send: (peer, message) => outputs.sendInterest(peer, message),
    heard: (wish) => void heard.push(wish),
  });
  const recent = createRecent();
  const heard: Wish[] = [];
  /** The stream of events may have begun in an earlier life. */
  const stream = config.leftover?.boot ?? boot;
  const encode = createOwnEnvelopes({ self, boot, stream, codec });
  let signalSeq = 0;
  let isFull = false;

  const intake = createIntake(config, {
    deliver,
    gap: (origin, from, to) => outputs.gap(origin, from, to),
    drop: (reason, count) => outputs.drop(reason, count),
    acknowledge(origin, life, upTo, ranges, isRepeat) {
      forwarder.mail(origin, { kind: 'ack', boot: life, upTo, ranges }, isRepeat);
    },
  });

  const late = createLateRetained({
    retained,
    patienceMs: config.order?.patienceMs ?? patienceMsDefault,
    isAwaited: ({ origin, boot: life, seq }) => seq > 0 && intake.isAwaited(origin, life, seq),
    keep: (entry) => outputs.keepRetained(entry),
    show: (entry) => outputs.showRetained(entry),
  });

  const outbox = createOutbox(config.outbox ?? {}, config.random, {
    send: (to, raw, skipped) => transmit(to, raw, skipped, false),
    resend: (to, raw, skipped) => transmit(to, raw, skipped, to.attempts > 1),
    tellBase(to) {
      const body = { kind: 'base', boot: stream, seq: to.base, isLoss: to.isLoss } as const;
      forwarder.mail(to.node, body, to.attempts > 1);
    },
    forfeited(node, count, reason) {
      outputs.drop(`outbox-${reason}`, count);
      outputs.forfeited(node, count, reason);
    },
    bring: (seq) => outputs.bring(seq),
    press: () => outputs.press(),
    lost: (raw, node, reason) => trace.raw('dropped', raw, node, 'expired', lossTexts[reason]),
    settled: (seq) => outputs.settled(seq),
    silent: (now, node) => shares.gone(now, node),
  });
  const shares = createShares({
    self,
    here: config.groups ?? { has: () => false, matching: () => [] },
    table: interest,
    outbox,
    forwarder,
    isLinked: (node) => near.isLinked(node),
    encode,
    read: (raw) => codec.read(raw),
    nextSignal: () => (signalSeq += 1),
    drop: (reason, count) => outputs.drop(reason, count),
  });
  const audience = createAudience(interest, outbox);
  const append = createAppend(outbox, encode);
  outbox.restore(config.leftover, config.absent);

  function transmit(to: Destination, raw: Uint8Array, skipped: number, isFlood: boolean): boolean {
    if (to.isLinked) return forwarder.send(to.node, raw, skipped);
    return forwarder.sendAddressed(to.node, raw, skipped, isFlood);
  }

  function deliver(envelope: Envelope): void {
    const isSane = config.observeHlc(envelope.hlc);
    if (!envelope.retain) return outputs.deliver(envelope, false);
    if (!late.admits(envelope)) return;
    if (!isSane) outputs.drop('retained-clock', 1);
    outputs.deliver(envelope, isSane && retained.merge([entryOf(envelope)]).length > 0);
  }

  function keepRetained({ topic, hlc, payload, retain, qos }: Publication): void {
    if (!retain) return;
    const isEvent = qos === 1;
    const seq = isEvent ? outbox.lastSeq() : 0;
    const life = isEvent ? stream : boot;
    retained.merge([{ topic, hlc, origin: self, boot: life, seq, payload }]);
  }

  /** A member has subscribed to something a moment before it was published, and this node hears of it only now. */
  function sendMissed(now: Millis, node: NodeId, publication: Publication): void {
    const excluded: Excluded = { has: (other) => other !== node };
    if (publication.qos === 0) {
      if (!near.isLinked(node)) return;
      signalSeq += 1;
      forwarder.sendSignal(node, publication.topic, encode(publication, signalSeq, ttlDirect));
    } else if (outbox.owes(node) && outbox.admits(sizeOf(publication))) {
      append(now, publication, ttlDirect, excluded);
      outbox.pump(now);
    }
  }

  function publishSignal(now: Millis, publication: Publication): void {
    const { topic, retain } = publication;
    const excluded = retain ? undefined : interest.excluded(topic);
    // A signal has no address: one member without a link that wants it makes it a flood.
    const isDirect = excluded !== undefined && audience.farCount(excluded) === 0;
    if (isDirect) recent.note(now, publication, excluded, shares.groups(topic));
    let raw: Uint8Array | undefined;
    for (const peer of near.peers()) {
      if (isDirect && excluded.has(peer)) continue;
      if (raw === undefined) {
        signalSeq += 1;
        raw = encode(publication, signalSeq, isDirect ? ttlDirect : ttlHops);
      }
      forwarder.sendSignal(peer, topic, raw);
    }
  }

  /**
   * Whom an event is not owed to; undefined: it is a flood. A retained one is owed to all: later subscribers need it
   * everywhere.
   */
  function excludedFrom({ topic, retain }: Publication): Excluded | undefined {
    const excluded = retain ? undefined : interest.excluded(topic);
    if (excluded !== undefined && !audience.isBroad(excluded)) return excluded;
    // Nothing slows a flood down for one member. Where few would be sent to one by one, they are until it has caught up.
    return audience.hasFew() && outbox.hasLaggard() ? (excluded ?? nobody) : undefined;
  }

  function publishEvent(now: Millis, publication: Publication): boolean {
    const excluded = excludedFrom(publication);
    const isOwed = excluded === undefined || outbox.isOwed(excluded);
    const copies = (isOwed ? 1 : 0) + shares.count(publication.topic);
    if (copies > 0 && !outbox.admits(sizeOf(publication, copies))) return false;
    if (excluded !== undefined) {
      recent.note(now, publication, excluded, shares.groups(publication.topic));
    }
    if (!isOwed) return true;
    const raws = append(now, publication, excluded === undefined ? ttlHops : ttlDirect, excluded);
    outbox.pump(now);
    if (excluded !== undefined) return true;
    for (const peer of near.peers()) {
      if (!outbox.owes(peer)) for (const raw of raws) forwarder.send(peer, raw, 0);
    }
    return true;
  }

  function tellRoom(): void {
    if (!isFull || !outbox.admits(overheadBytes)) return;
    isFull = false;
    outputs.roomAgain();
  }

  function accept(now: Millis, from: NodeId, envelope: Envelope): void {
    const verdict = intake.accept(now, envelope);
    if (verdict === undefined) return;
    late.review(now);
    tellVerdict(trace, verdict, envelope, from);
    intake.note(now, envelope, verdict);
  }

  function receivedEvent(now: Millis, from: NodeId, envelope: Envelope, raw: Uint8Array): void {
    const { passage, origin } = envelope;
    if (passage !== undefined) {
      if (!forwarder.isFirst(envelope, passage)) return;
      // What took one chosen way teaches nothing: learning from it would let detours feed on themselves.
      if (passage.isFlood) near.learn(origin, from);
      if (passage.to === self) accept(now, from, envelope);
      else forwarder.passEnvelope(from, envelope, raw);
      return;
    }
    if (events.admit(origin, envelope.boot, envelope.seq) === 'new') {
      near.learn(origin, from);
      forwarder.relayEvent(from, envelope, raw);
    } else config.relay?.repeated(envelope, from);
    accept(now, from, envelope);
  }

  function receivedSignal(from: NodeId, envelope: Envelope, raw: Uint8Array): void {
    const { passage, origin } = envelope;
    if (passage === undefined) {
      near.learn(origin, from);
      forwarder.relaySignal(from, envelope, raw);
    } else if (passage.to !== self) return forwarder.passSignal(from, envelope, raw);
    deliver(envelope);
  }

  return {
    retained,
    publish(now, publication) {
      if (publication.qos === 0) publishSignal(now, publication);
      else if (!publishEvent(now, publication)) {
        isFull = true;
        return 'full';
      }
      keepRetained(publication);
      shares.publish(now, publication);
      return 'taken';
    },
    hand: (now, filter, publication, had) => shares.hand(now, filter, publication, had),
    received(now, from, envelope, raw) {
      const { origin } = envelope;
      if (origin === self || !near.isLinked(from)) return;
      trace.step('received', envelope, from, undefined, '');
      if (evicted.has(origin)) {
        trace.step('dropped', envelope, from, 'acl', 'its origin was thrown out');
        outputs.drop('evicted-origin', 1);
      } else if (envelope.class === 'event') receivedEvent(now, from, envelope, raw);
      else if (signals.admit(origin, envelope.boot, envelope.seq) === 'new') {
        receivedSignal(from, envelope, raw);
      } else {
        trace.step('dropped', envelope, from, 'duplicate', 'it was here');
        if (envelope.passage === undefined) config.relay?.repeated(envelope, from);
      }
    },
    letterReceived(now, from, letter) {
      if (letter.from === self || evicted.has(letter.from) || !near.isLinked(from)) return;
      if (!forwarder.isFirstLetter(letter)) return;
      if (letter.passage.isFlood) near.learn(letter.from, from);
      if (letter.passage.to !== self) return forwarder.passLetter(from, letter);
      const { body } = letter;
      if (body.kind === 'parcel') outputs.parcel(letter.from, body.protocol, body.bytes);
      else if (body.kind === 'base') {
        intake.startAt(now, letter.from, body.boot, body.seq, body.isLoss);
        late.review(now);
        intake.acknowledge(letter.from);
      } else if (body.boot === stream) {
        outbox.acknowledged(now, letter.from, letter.fromBoot, body.upTo, body.ranges);
        tellRoom();
      }
    },
    mail: (to, protocol, bytes) => forwarder.mail(to, { kind: 'parcel', protocol, bytes }, false),
    linkUp(now, peer) {
      if (near.add(peer)) {
        forwarder.open(peer);
        config.relay?.linkUp(peer);
        outputs.announceNeighbours([...near.peers()]);
      } else forwarder.drained(peer);
      outbox.linked(now, peer);
      audience.changed();
      gossip.linkUp(peer);
      // What this node has already spares the peer from sending it again.
      intake.acknowledge(peer);
    },
    linkDown(now, peer) {
      if (!near.remove(peer)) return;
      forwarder.close(peer);
      config.relay?.linkDown(peer);
      outbox.unlinked(now, peer);
      audience.changed();
      outputs.announceNeighbours([...near.peers()]);
    },
    drained(now, peer) {
      if (!near.isLinked(peer)) return;
      forwarder.drained(peer);
      outbox.drained(now);
    },
    neighboursHeard(peer, neighbours) {
      if (near.heard(peer, neighbours)) gossip.thinned(peer);
    },
    wants: (filters, sinceMs) => gossip.wants(filters, sinceMs),
    interestReceived(now, from, message) {
      if (message.kind === 'wish' && evicted.has(message.wish.node)) return;
      gossip.received(from, message);
      for (const wish of heard.splice(0)) {
        for (const missed of recent.missed(now, wish)) sendMissed(now, wish.node, missed);
        for (const { filter, publication } of recent.missedByGroups(now, wish)) {
          shares.hand(now, filter, publication);
        }
        shares.heard(now, wish);
      }
    },
    ways: (to) => (near.count() === 0 ? [] : near.ways(to, undefined, false)),
    isFlooded(topic) {
      const excluded = interest.excluded(topic);
      return excluded !== undefined && audience.isBroad(excluded);
    },
    wish: (node) => interest.current(node),
    listeners(topic) {
      const excluded = interest.excluded(topic);
      return outbox.nodes().filter((node) => excluded?.has(node) !== true);
    },
    retainedReceived(now, entries) {
      const sane = entries.filter((entry) => config.observeHlc(entry.hlc));
      if (sane.length < entries.length) {
        outputs.drop('retained-clock', entries.length - sane.length);
      }
      late.received(now, sane);
    },
    memberJoined(now, node, memberBoot) {
      if (node === self || evicted.has(node)) return;
      intake.originHere(node);
      interest.joined(node, memberBoot);
      audience.changed();
      if (outbox.joined(now, node, memberBoot) && near.isLinked(node)) outbox.linked(now, node);
    },
    memberGone(now, node, reason) {
      if (node === self) return;
      if (reason === 'evicted' && evicted.size < evictedMax) evicted.add(node);
      // A dead one may only be out of reach: when it is back it still fills the holes of its stream.
      if (reason !== 'dead') {
        intake.originGone(node);
        gossip.forget(node);
      }
      audience.changed();
      late.review(now);
      if (reason === 'dead') outbox.gone(now, node, reason);
      shares.gone(now, node);
      if (reason !== 'dead') outbox.gone(now, node, reason);
      tellRoom();
    },
    repeat: (peer, raw, isEvent) => forwarder.repeat(peer, raw, isEvent),
    hasSeen: (origin, life, seq, isEvent) => (isEvent ? events : signals).has(origin, life, seq),
    lastSeq: () => outbox.lastSeq(),
    owedTo: (seq) => outbox.owedTo(seq),
    written(seq) {
      outbox.written(seq);
      tellRoom();
    },
    diskLost() {
      outbox.diskLost();
      tellRoom();
    },
    brought(now, events) {
      outbox.brought(now, events);
      tellRoom();
    },
    unsettled: (after, upTo, visit) => outbox.unsettled(after, upTo, visit),
    tick(now) {
      intake.tick(now);
      late.review(now);
      outbox.tick(now);
      tellRoom();
    },
    deadline: () => Math.min(intake.deadline(), outbox.deadline(), late.deadline()),
    view: () => ({
      outbox: outbox.view(),
      held: intake.view().held,
      streams: intake.view().streams,
      links: forwarder.view(),
      retained: retained.view(),
    }),
  };
}
