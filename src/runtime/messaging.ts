/** Messages at work: the router between the local broker, the subscribers of this process and the links. */

import { decodeBroadcast, encodeBroadcast } from '../wire/broadcast-codec.ts';
import { copied } from '../wire/carve.ts';
import type { Millis } from '../kernel/core.ts';
import { createHybridClock } from '../kernel/hlc.ts';
import type { NodeId } from '../kernel/ids.ts';
import { topicMatches } from '../kernel/topic.ts';
import type { BrokerMessage } from '../ports/broker.ts';
import { messageIdOf } from '../protocol/routing/message-id.ts';
import { createRouter } from '../protocol/routing/router.ts';
import type { Router } from '../protocol/routing/router-world.ts';
import { envelopeCodec } from '../wire/envelope.ts';
import type { MeshMessage } from './mesh-node.ts';
import type { Messaging, MessagingWorld } from './messaging-world.ts';
import { createDurableOutbox } from './routing/durable-outbox.ts';
import {
  createPublishing,
  publicationOf,
  sizeProblem,
  travelsAsEvent,
} from './routing/publishing.ts';
import type { OwnMessage, Publisher } from './routing/publishing.ts';
import { createMessageTrace } from './routing/message-trace.ts';
import { createTurnClock } from './routing/turn-clock.ts';
import { createTreeRelay } from './routing/tree-relay.ts';
import { fromRetained, toMessage } from './routing/mesh-message.ts';
import { observeHlc } from './routing/observe-hlc.ts';
import { createRetainedSync } from './retained-sync.ts';

/**
 * Publishes, and their payload bytes, that wait for room in the outbox; one more is refused with MYCEL_OUTBOX_FULL, and an
 * MQTT client is disconnected. A client alone cannot get there: it is not read while what one read brought (64 KiB) waits.
 */
export const waitingMax = 16_384;
const waitingBytesMax: number = 16 * 1024 * 1024;

const withheldText = 'its receiver is on probation';
const unreadableText = 'the node runs a version that knows no large messages';

/** A signal need not wait, but must not overtake an event of the same client either: it is dropped when it would. */
const signalBehind = 'signal behind a full outbox';

/** Who published does not wait. */
const nobody = { taken: (): void => {} };

interface Waiting {
  readonly message: OwnMessage;
  readonly by: Publisher;
}

/** Builds the message floor. */
export function createMessaging(world: MessagingWorld): Messaging {
  const { self, clock, log, metrics, broker } = world;
  const turn = createTurnClock(clock);
  const trace = createMessageTrace(self, turn);
  const hlc = createHybridClock();
  const waiting: Waiting[] = [];
  let waitingBytes = 0;
  let cancelAlarm = (): void => {};
  let isStopped = false;

  const trees = createTreeRelay({
    self,
    profile: world.profile,
    clock,
    random: world.random.split(),
    metrics,
    memberCount: () => world.memberCount(),
    rttMs: (peer) => world.rttMs(peer),
    send: (peer, message) => world.sendBroadcast(peer, encodeBroadcast(message)),
    forward: (peer, raw, isEvent) => router.repeat(peer, raw, isEvent),
    holds: ({ origin, boot, seq, stream }) => router.hasSeen(origin, boot, seq, stream === 1),
  });

  const router: Router = createRouter(
    {
      self,
      boot: world.boot,
      relay: trees.policy,
      random: world.random,
      leftover: world.found.leftover,
      outbox: { ...world.outbox, hasDisk: world.journal !== undefined },
      absent: world.absent,
      codec: envelopeCodec,
      groups: world.groups,
      trace,
      observeHlc: (remote) => observeHlc(hlc, turn.wallMs(), remote),
      canRead: (peer, raw) => world.canRead(peer, raw),
    },
    {
      deliver(envelope, isRetained) {
        // Counted, so that its origin's stream has no hole, but not for this node to read.
        if (envelope.topic === '') {
          trace.step('dropped', envelope, undefined, 'acl', withheldText);
          return metrics.drop('mesh', 'withheld');
        }
        metrics.count('mesh.delivered');
        const { share } = envelope;
        if (share !== undefined) {
          const fate = world.groups.has(share) ? 'shared' : 'handed';
          trace.step(fate, envelope, undefined, undefined, share);
          return world.groups.hand(share, toMessage(envelope), envelope.origin);
        }
        trace.step('delivered', envelope, undefined, undefined, '');
        broker.deliver({
          topic: envelope.topic,
          payload: envelope.payload,
          qos: envelope.class === 'event' ? 1 : 0,
          retain: isRetained,
        });
        if (world.subscriptions.count() > 0) world.subscriptions.deliver(toMessage(envelope));
      },
      transmit(peer, raw, kind) {
        const verdict = world.transmit(peer, raw, kind);
        if (verdict === true) trace.raw('sent', raw, peer, undefined, '');
        else if (verdict === 'withheld') trace.raw('dropped', raw, peer, 'acl', withheldText);
        else if (verdict !== false) trace.raw('dropped', raw, peer, 'no-way', unreadableText);
        return verdict !== false;
      },
      sendLetter: (peer, letter) => world.sendLetter(peer, letter),
      sendInterest: (peer, message) => world.sendInterest(peer, message),
      announceNeighbours: (neighbours) => world.announceNeighbours(neighbours),
      parcel: (from, protocol, bytes) => world.parcel(from, protocol, copied(bytes)),
      gap(origin, from, to) {
        metrics.drop('router', 'gap', Math.max(1, to - from + 1));
        log.warn({ origin, from, to }, 'events of this origin were given up before they came here');
        world.missed(origin, to - from + 1);
      },
      keepRetained: ({ topic, payload }) => broker.keep(topic, payload),
      showRetained(entry) {
        const { topic, payload } = entry;
        broker.deliver({ topic, payload, qos: 1, retain: true });
        if (world.subscriptions.count() > 0) world.subscriptions.deliver(fromRetained(entry));
      },
      forgetRetained: (topic) => broker.keep(topic, new Uint8Array(0)),
      drop: (reason, count) => metrics.drop('router', reason, count),
      forfeited: (node, count, reason) => world.givenUp(node, count, reason),
      settled: (seq) => durable.settled(seq),
      bring: (seq) => durable.bring(seq),
      press: () => durable.press(),
      roomAgain: () => setImmediate(retry),
    },
  );

  const durable = createDurableOutbox({
    clock,
    log,
    metrics,
    mesh: world.mesh,
    journal: world.journal,
    found: world.found,
    stream: world.found.leftover?.boot ?? world.boot,
    router: () => router,
    step: (act) => step(act),
    alert: (code, text) => world.alert(code, text),
  });

  const sync = createRetainedSync({
    clock,
    retained: router.retained,
    send: (peer, entries) => world.sendRetained(peer, entries),
    queuedBytes: (peer) => world.queuedBytes(peer),
  });

  function rearm(): void {
    cancelAlarm();
    const at = router.deadline();
    if (at < Infinity && !isStopped) {
      cancelAlarm = clock.alarm(at, () => {
        turn.read();
        step((one, now) => one.tick(now));
      });
    }
  }

  let isRearmDue = false;
  /** One alarm per turn of the loop, however many messages came in it. */
  function rearmSoon(): void {
    if (isRearmDue) return;
    isRearmDue = true;
    setImmediate(() => {
      isRearmDue = false;
      rearm();
    });
  }

  function step<Result>(act: (router: Router, now: Millis) => Result): Result {
    const result = act(router, turn.now());
    rearmSoon();
    return result;
  }

  function offer(message: OwnMessage, by: Pick<Publisher, 'stamped'>): 'taken' | 'full' {
    const { topic, payload, qos, retain, channel } = message;
    const stamp = hlc.tick(turn.wallMs());
    const isEvent = travelsAsEvent(message);
    trace.own('published', topic, stamp, undefined, isEvent ? 'event' : 'signal');
    if (world.mayLeave(topic)) {
      const publication = publicationOf({ topic, payload, qos, retain, channel }, stamp);
      if (step((one, now) => one.publish(now, publication)) === 'full') {
        trace.own('held', topic, stamp, undefined, 'the outbox is full; its publisher waits');
        return 'full';
      }
      metrics.count('mesh.published');
    } else {
      trace.own('dropped', topic, stamp, 'acl', 'this node is on probation');
      metrics.drop('mesh', 'on probation');
    }
    by.stamped?.(stamp);
    if (world.subscriptions.count() > 0 || world.groups.wants(topic)) {
      // A copy: the bytes belong to the publisher, or to the read that brought them.
      const own = new Uint8Array(payload);
      const at = stamp.wallMs;
      const id = messageIdOf(self, stamp);
      const delivered = { topic, payload: own, origin: self, qos, retain: false, at, id } as const;
      world.groups.publish(delivered);
      world.subscriptions.deliver(delivered);
    }
    return 'taken';
  }

  /** What no member of a group on this node can take goes to a node with others. */
  function homeless(filter: string, message: MeshMessage, had: NodeId | undefined): void {
    const { topic, payload, qos } = message;
    if (isStopped || !world.mayLeave(topic)) return metrics.drop('router', 'share-nobody');
    const stamp = hlc.tick(turn.wallMs());
    const publication = publicationOf({ topic, payload, qos, retain: false }, stamp);
    trace.own('published', topic, stamp, undefined, `handed on of ${message.id}`);
    const isTaken = step((one, now) => one.hand(now, filter, publication, had));
    if (!isTaken) trace.own('dropped', topic, stamp, 'no-interest', `no member in ${filter}`);
    if (isTaken && publication.qos === 1) durable.whenSafe(router.lastSeq(), nobody);
  }

  /** Publishers get their turn in the order in which they came: order per publisher must survive a full outbox. */
  function retry(): void {
    while (waiting.length > 0 && !isStopped) {
      const next = waiting[0] as Waiting;
      if (offer(next.message, next.by) === 'full') return;
      forget(next);
      accepted(next.message, next.by);
    }
  }

  function forget(one: Waiting): void {
    const at = waiting.indexOf(one);
    if (at < 0) return;
    waiting.splice(at, 1);
    waitingBytes -= one.message.payload.byteLength;
  }

  function accepted({ qos }: BrokerMessage, by: Publisher): void {
    by.accepted?.();
    if (qos === 1) durable.whenSafe(router.lastSeq(), by);
    else by.taken();
  }

  /** @returns what takes a message that has to wait back. */
  function take(message: OwnMessage, by: Publisher): () => void {
    const refusal = refusalOf(message);
    const isTaken = refusal === undefined && waiting.length === 0 && offer(message, by) === 'taken';
    if (isTaken) {
      accepted(message, by);
      return () => {};
    }
    if (refusal !== undefined) {
      trace.own('dropped', message.topic, undefined, 'overflow', refusal);
      by.taken(refusal);
      return () => {};
    }
    if (!travelsAsEvent(message)) {
      trace.own('dropped', message.topic, undefined, 'overflow', signalBehind);
      metrics.drop('outbox', signalBehind);
      by.taken();
      return () => {};
    }
    if (!world.channels.mayWait(message)) {
      trace.own(
        'dropped',
        message.topic,
        undefined,
        'overflow',
        'its channel rejects what must wait',
      );
      by.taken('the outbox is full');
      return () => {};
    }
    const one: Waiting = { message, by };
    waiting.push(one);
    waitingBytes += message.payload.byteLength;
    return () => forget(one);
  }

  function refusalOf(message: BrokerMessage): string | undefined {
    const bytes = message.payload.byteLength;
    if (isStopped) return 'the node is stopping';
    const tooLarge = sizeProblem(message);
    if (tooLarge !== undefined) return tooLarge;
    const isFull = waiting.length >= waitingMax || waitingBytes + bytes > waitingBytesMax;
    return isFull && waiting.length > 0 ? 'the outbox is full' : undefined;
  }

  const publish = createPublishing({
    self,
    channels: world.channels,
    take,
    signal(message, by) {
      const refusal = refusalOf(message);
      if (refusal !== undefined) {
        trace.own('dropped', message.topic, undefined, 'overflow', refusal);
        return refusal;
      }
      if (waiting.length > 0) {
        trace.own('dropped', message.topic, undefined, 'overflow', signalBehind);
        metrics.drop('outbox', signalBehind);
        return undefined;
      }
      offer(message, by);
      if (broker.isHeard(message.topic)) {
        broker.deliver({ ...message, payload: new Uint8Array(message.payload) });
      }
      return undefined;
    },
    deliver: (message) => broker.deliver(message),
    isStopped: () => isStopped,
  });

  const unfollow = world.interest.follow((filters, sinceMs) =>
    step((one) => one.wants(filters, sinceMs)),
  );

  const unfollowGroups = world.groups.follow(homeless);

  return {
    router,
    channels: world.channels,
    trace,
    step,
    view: () => router.view(),
    fromClient: (message, taken) => void take(message, { taken }),
    trouble: () => durable.trouble(),
    publish,
    refused(from, envelope) {
      trace.step('dropped', envelope, from, 'acl', 'its sender is on probation');
      metrics.drop('link', 'on probation');
    },
    lost: (peer, channel, raw) =>
      trace.raw('dropped', raw, peer, 'overflow', `the queue of channel '${channel}' was full`),
    received(from, envelope, raw) {
      metrics.count('mesh.received');
      step((one, now) => one.received(now, from, envelope, raw));
    },
    retained(filter) {
      return router.retained
        .differences(new Uint8Array(0))
        .filter((entry) => entry.payload.byteLength > 0 && topicMatches(filter, entry.topic))
        .map(fromRetained);
    },
    broadcastReceived(from, bytes) {
      const message = decodeBroadcast(bytes);
      if (message === undefined) metrics.drop('link', 'malformed broadcast message');
      else trees.received(from, message);
    },
    retainedAsked: (peer, digest) => sync.asked(peer, digest),
    async stop() {
      isStopped = true;
      unfollow();
      unfollowGroups();
      cancelAlarm();
      trees.stop();
      sync.stop();
      for (const { by } of waiting.splice(0)) by.taken('the node is stopping');
      await durable.stop();
    },
  };
}
