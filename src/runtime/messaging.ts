/** Messages at work: the router between the local broker, the subscribers of this process and the links. */

import type { Millis } from '../kernel/core.ts';
import { MycelError } from '../kernel/errors.ts';
import { createHybridClock } from '../kernel/hlc.ts';
import type { Hlc } from '../kernel/hlc.ts';
import type { NodeId } from '../kernel/ids.ts';
import type { Random } from '../kernel/random.ts';
import { isReservedTopic, topicMatches, topicProblem } from '../kernel/topic.ts';
import type { Broker, BrokerMessage } from '../ports/broker.ts';
import type { Clock } from '../ports/clock.ts';
import type { Log } from '../ports/log.ts';
import type { Metrics } from '../ports/metrics.ts';
import type { Envelope, Letter } from '../protocol/routing/messages.ts';
import type { RetainedEntry } from '../protocol/routing/retained-map.ts';
import { createRouter } from '../protocol/routing/router.ts';
import type { Router, RouterView } from '../protocol/routing/router.ts';
import { addressEnvelope, encodeEnvelope, payloadBytesMax, writeTtl } from '../wire/envelope.ts';
import type { MeshMessage, PublishOptions } from './mesh-node.ts';
import type { Subscriptions } from './subscriptions.ts';

/** Publishes that wait for room in the outbox; one more is refused with MYCEL_OUTBOX_FULL. */
export const waitingMax = 1000;

/** Entries in one `retained` record of the link; bounded by its size too. */
const entriesPerRecord = 64;
const entryBytesPerRecord: number = 64 * 1024;

/** A wall clock before 2026 has not been set (the software is younger than that); one after 2100 never will be right. */
const clockUnsetBeforeMs = 1_767_225_600_000;
const clockAbsurdMs = 4_102_444_800_000;

/** What the node around it provides. */
export interface MessagingWorld {
  readonly self: NodeId;
  readonly boot: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly broker: Broker;
  readonly subscriptions: Subscriptions;
  transmit(peer: NodeId, record: Uint8Array): boolean;
  sendLetter(peer: NodeId, letter: Letter): void;
  sendRetained(peer: NodeId, entries: readonly RetainedEntry[]): void;
  announceNeighbours(neighbours: readonly NodeId[]): void;
}

/** The message floor of one node in one mesh. */
export interface Messaging {
  readonly router: Router;
  /** A local client published; `taken` is called when the message is safe in the outbox, or with why it is not. */
  fromClient(message: BrokerMessage, taken: (refusal?: string) => void): void;
  /** A program in this process published. */
  publish(topic: string, payload: Uint8Array, options: PublishOptions): Promise<void>;
  received(from: NodeId, envelope: Envelope, raw: Uint8Array): void;
  /** The last values that match a filter, for a new subscriber in this process. */
  retained(filter: string): readonly MeshMessage[];
  /** A peer showed its digest of retained values: send what differs. */
  retainedAsked(peer: NodeId, digest: Uint8Array): void;
  /** A peer sent retained values. */
  retainedReceived(entries: readonly RetainedEntry[]): void;
  /** Runs a step of the router and sets its alarm anew. */
  step<Result>(act: (router: Router, now: Millis) => Result): Result;
  view(): RouterView;
  stop(): void;
}

interface Waiting {
  readonly message: BrokerMessage;
  readonly taken: (refusal?: string) => void;
}

/** Builds the message floor. */
export function createMessaging(world: MessagingWorld): Messaging {
  const { self, clock, log, metrics, broker } = world;
  const hlc = createHybridClock();
  const waiting: Waiting[] = [];
  let cancelAlarm = (): void => {};
  let isStopped = false;

  const router = createRouter(
    {
      self,
      boot: world.boot,
      random: world.random,
      codec: { encode: encodeEnvelope, writeTtl, address: addressEnvelope },
      observeHlc: observe,
    },
    {
      deliver(envelope, isRetained) {
        metrics.count('mesh.delivered');
        broker.deliver({
          topic: envelope.topic,
          payload: envelope.payload,
          qos: envelope.class === 'event' ? 1 : 0,
          retain: isRetained,
        });
        if (world.subscriptions.count() > 0) world.subscriptions.deliver(toMessage(envelope));
      },
      transmit: (peer, raw) => world.transmit(peer, raw),
      sendLetter: (peer, letter) => world.sendLetter(peer, letter),
      announceNeighbours: (neighbours) => world.announceNeighbours(neighbours),
      gap(origin, from, to) {
        metrics.drop('router', 'gap', to - from + 1);
        log.warn({ origin, from, to }, 'events of this origin were given up before they came here');
      },
      forgetRetained: (topic) =>
        broker.deliver({ topic, payload: new Uint8Array(0), qos: 0, retain: true }),
      drop: (reason, count) => metrics.drop('router', reason, count),
      roomAgain: () => setImmediate(retry),
    },
  );

  /** A board that boots in the past has no clock to judge others by: it believes whatever could be a date at all. */
  function observe(remote: Hlc): boolean {
    const wallMs = clock.wallMs();
    const isUnset = wallMs < clockUnsetBeforeMs;
    const judge = isUnset ? Math.min(remote.wallMs, clockAbsurdMs) : wallMs;
    return hlc.observe(judge, remote) === 'merged';
  }

  function toMessage(envelope: Envelope): MeshMessage {
    return {
      topic: envelope.topic,
      payload: envelope.payload.slice(),
      origin: envelope.origin,
      qos: envelope.class === 'event' ? 1 : 0,
      retain: false,
      at: envelope.hlc.wallMs,
    };
  }

  function rearm(): void {
    cancelAlarm();
    const at = router.deadline();
    if (at < Infinity && !isStopped) {
      cancelAlarm = clock.alarm(at, () => step((one, now) => one.tick(now)));
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
    const result = act(router, clock.now());
    rearmSoon();
    return result;
  }

  function offer(message: BrokerMessage): 'taken' | 'full' {
    const { topic, payload, qos, retain } = message;
    const stamp = hlc.tick(clock.wallMs());
    const verdict = step((one, now) =>
      one.publish(now, { topic, payload, qos, retain, hlc: stamp }),
    );
    if (verdict === 'full') return verdict;
    metrics.count('mesh.published');
    world.subscriptions.deliver({
      topic,
      payload,
      origin: self,
      qos,
      retain: false,
      at: stamp.wallMs,
    });
    return verdict;
  }

  /** Publishers get their turn in the order in which they came: order per publisher must survive a full outbox. */
  function retry(): void {
    while (waiting.length > 0 && !isStopped) {
      const next = waiting[0] as Waiting;
      if (offer(next.message) === 'full') return;
      waiting.shift();
      next.taken();
    }
  }

  function take(message: BrokerMessage, taken: (refusal?: string) => void): void {
    if (isStopped) return taken('the node is stopping');
    if (message.payload.byteLength > payloadBytesMax) return taken('payload too large');
    if (waiting.length === 0 && offer(message) === 'taken') return taken();
    if (message.qos === 0 && waiting.length > 0) {
      // A signal need not wait, but must not overtake an event of the same client either: it is dropped when it would.
      metrics.drop('outbox', 'signal behind a full outbox');
      return taken();
    }
    if (waiting.length >= waitingMax) return taken('the outbox is full');
    waiting.push({ message, taken });
  }

  return {
    router,
    step,
    view: () => router.view(),
    fromClient: take,
    publish(topic, payload, options) {
      const problem = isReservedTopic(topic) ? 'it is reserved' : topicProblem(topic);
      if (problem !== undefined) {
        return Promise.reject(
          new MycelError('MYCEL_BAD_TOPIC', { topic, reason: `Topic '${topic}': ${problem}.` }),
        );
      }
      if (payload.byteLength > payloadBytesMax) {
        return Promise.reject(new MycelError('MYCEL_TOO_LARGE', { bytes: payload.byteLength }));
      }
      const message: BrokerMessage = {
        topic,
        payload,
        qos: options.qos ?? 1,
        retain: options.retain ?? false,
      };
      return new Promise((resolve, reject) => {
        take(message, (refusal) => {
          if (refusal !== undefined) {
            reject(new MycelError('MYCEL_OUTBOX_FULL', { reason: refusal }));
            return;
          }
          broker.deliver(message);
          resolve();
        });
      });
    },
    received(from, envelope, raw) {
      metrics.count('mesh.received');
      step((one, now) => one.received(now, from, envelope, raw));
    },
    retained(filter) {
      return router.retained
        .differences(new Uint8Array(0))
        .filter((entry) => entry.payload.byteLength > 0 && topicMatches(filter, entry.topic))
        .map((entry) => ({
          topic: entry.topic,
          payload: entry.payload,
          origin: entry.origin,
          qos: 1,
          retain: true,
          at: entry.hlc.wallMs,
        }));
    },
    retainedAsked(peer, digest) {
      let batch: RetainedEntry[] = [];
      let bytes = 0;
      for (const entry of router.retained.differences(digest)) {
        if (batch.length >= entriesPerRecord || bytes > entryBytesPerRecord) {
          world.sendRetained(peer, batch);
          batch = [];
          bytes = 0;
        }
        batch.push(entry);
        bytes += entry.payload.byteLength + entry.topic.length;
      }
      if (batch.length > 0) world.sendRetained(peer, batch);
    },
    retainedReceived(entries) {
      const sane = entries.filter((entry) => observe(entry.hlc));
      if (sane.length < entries.length) {
        metrics.drop('retained', 'clock too far ahead', entries.length - sane.length);
      }
      for (const { topic, payload } of router.retained.merge(sane)) {
        broker.deliver({ topic, payload, qos: 1, retain: true });
      }
    },
    stop() {
      isStopped = true;
      cancelAlarm();
      for (const { taken } of waiting.splice(0)) taken('the node is stopping');
    },
  };
}
