/** The subscribers inside this process: callbacks and async iterators over MQTT filters, each with its own bound. */

import { BoundedQueue } from '../kernel/bounded-queue.ts';
import { MycelError } from '../kernel/errors.ts';
import { isShared, subscriptionProblem, topicMatches } from '../kernel/topic.ts';
import type { Log } from '../ports/log.ts';
import type { Metrics } from '../ports/metrics.ts';
import { sharesMax } from '../protocol/routing/share-members.ts';
import type { ShareMember } from '../protocol/routing/share-members.ts';
import type { MeshMessage, SubscribeOptions } from './mesh-node.ts';
import type { Groups } from './routing/groups.ts';

/** Subscriptions one process may hold. */
export const subscriptionsMax = 1000;

/** Messages held for a slow iterator when the caller states no limit. */
const queueLimitDefault = 1000;

/** The largest limit a caller may state. */
const queueLimitMax = 1_000_000;

/** The in-process subscriptions of a node. A new one hears nothing before the call that made it has returned. */
export interface Subscriptions {
  /** Hands a message to every matching subscriber. A listener that throws or rejects is logged and stays subscribed. */
  deliver(message: MeshMessage): void;
  listen(
    filter: string,
    listener: (message: MeshMessage) => void,
    options: SubscribeOptions,
  ): () => void;
  iterate(filter: string, options: SubscribeOptions): AsyncIterableIterator<MeshMessage>;
  /** Ends every subscription, and the table: iterators finish, callbacks are forgotten, new ones are refused. */
  end(): void;
  count(): number;
}

/** Where shared subscriptions are made; which member gets a message is decided there. */
export type ProgramGroups = Pick<Groups, 'mayJoin' | 'join' | 'leave' | 'returned'>;

interface Subscriber {
  readonly filter: string;
  /** Whether it keeps up with its group. */
  isReady(): boolean;
  take(message: MeshMessage): void;
  end(): void;
  /** The last values, then what came since, until the turn in which it was made is over. */
  early: MeshMessage[] | undefined;
}

/** Builds the table. `retained` replays the last values that match a new filter. */
export function createSubscriptions(world: {
  readonly log: Log;
  readonly metrics: Metrics;
  retained(filter: string): readonly MeshMessage[];
  /** A filter is wanted by somebody now, or by nobody any more. */
  wanted(filter: string, isWanted: boolean): void;
  readonly groups: ProgramGroups;
}): Subscriptions {
  const { groups } = world;
  /** Replaced with every change: who hears a message is settled when its delivery begins. */
  let subscribers: readonly Subscriber[] = [];
  const places = new Map<Subscriber, ShareMember<MeshMessage>>();
  let isOver = false;

  function forget(subscriber: Subscriber): void {
    subscriber.early = undefined;
    if (!subscribers.includes(subscriber)) return;
    subscribers = subscribers.filter((one) => one !== subscriber);
    const place = places.get(subscriber);
    if (place !== undefined) {
      places.delete(subscriber);
      return groups.leave(subscriber.filter, place);
    }
    if (!isWanted(subscriber.filter)) world.wanted(subscriber.filter, false);
  }

  function isWanted(filter: string): boolean {
    return subscribers.some((one) => one.filter === filter);
  }

  function hand(subscriber: Subscriber, message: MeshMessage): void {
    if (subscriber.early === undefined) subscriber.take(message);
    else subscriber.early.push(message);
  }

  function open(subscriber: Subscriber): void {
    // A callback may end its own subscription, which empties the list.
    for (let at = 0; subscriber.early !== undefined; at += 1) {
      const message = subscriber.early[at];
      if (message === undefined) subscriber.early = undefined;
      else subscriber.take(message);
    }
  }

  /** One that was ended by another's callback hears nothing of a delivery that had begun. */
  function isServed(subscriber: Subscriber): boolean {
    return subscribers.includes(subscriber);
  }

  function failed(filter: string, error: unknown): void {
    world.log.error({ filter, error }, 'a subscriber threw; it stays subscribed');
  }

  /** The only one of its group that gets a message: what it never took goes to another. */
  function share(subscriber: Subscriber): void {
    const { filter } = subscriber;
    const place = {
      take: (message: MeshMessage) => hand(subscriber, message),
      isReady: () => subscriber.isReady(),
    };
    places.set(subscriber, place);
    groups.join(filter, place);
  }

  function admit(filter: string, options: SubscribeOptions, subscriber: Subscriber): void {
    const problem = subscriptionProblem(filter);
    if (problem !== undefined) {
      throw new MycelError('MYCEL_BAD_TOPIC', {
        filter,
        reason: `Filter '${filter}': ${problem}.`,
      });
    }
    const isFull = subscribers.length >= subscriptionsMax;
    if (isFull || (isShared(filter) && !groups.mayJoin(filter))) {
      throw new MycelError('MYCEL_BAD_OPTION', {
        reason: isFull
          ? `This process holds ${subscriptionsMax} subscriptions already.`
          : `This node has members of ${sharesMax} groups already, or of groups with very long names.`,
        fix: 'End subscriptions that are no longer read, or use a wildcard.',
      });
    }
    if (isOver) throw new MycelError('MYCEL_NOT_RUNNING', { reason: 'It was stopped.' });
    if (options.signal?.aborted === true) return subscriber.end();
    options.signal?.addEventListener('abort', subscriber.end, { once: true });
    subscriber.early = isShared(filter) ? [] : [...world.retained(filter)];
    if (!isShared(filter) && !isWanted(filter)) world.wanted(filter, true);
    subscribers = [...subscribers, subscriber];
    if (isShared(filter)) share(subscriber);
    queueMicrotask(() => open(subscriber));
  }

  return {
    count: () => subscribers.length,
    deliver(message) {
      for (const subscriber of subscribers) {
        if (places.has(subscriber)) continue;
        if (topicMatches(subscriber.filter, message.topic)) hand(subscriber, message);
      }
    },
    listen(filter, listener, options) {
      const subscriber: Subscriber = {
        filter,
        early: undefined,
        isReady: () => true,
        take(message) {
          if (!isServed(subscriber)) return;
          try {
            const promised: unknown = listener(message);
            if (promised instanceof Promise) promised.catch((error) => failed(filter, error));
          } catch (error) {
            failed(filter, error);
          }
        },
        end() {
          options.signal?.removeEventListener('abort', subscriber.end);
          forget(subscriber);
        },
      };
      admit(filter, options, subscriber);
      return subscriber.end;
    },
    iterate(filter, options) {
      const limit = options.queueLimit ?? queueLimitDefault;
      if (!(limit >= 1 && limit <= queueLimitMax)) {
        throw new MycelError('MYCEL_BAD_OPTION', {
          reason: `"queueLimit" is ${limit}, and may be 1 to ${queueLimitMax}.`,
        });
      }
      const iterator = createIterator(limit, world.metrics, (unread) => {
        options.signal?.removeEventListener('abort', subscriber.end);
        const isShare = places.has(subscriber);
        forget(subscriber);
        if (!isShare) return;
        for (let one = unread.shift(); one !== undefined; one = unread.shift()) {
          if (one.qos === 1) groups.returned(filter, one);
        }
      });
      const { take, end, isReady } = iterator;
      const subscriber: Subscriber = { filter, take, end, isReady, early: undefined };
      admit(filter, options, subscriber);
      return iterator.iterable;
    },
    end() {
      isOver = true;
      for (const subscriber of subscribers) subscriber.end();
    },
  };
}

/** A bounded queue with a promise at its end: the oldest message makes room, and the loss is counted. */
function createIterator(
  limit: number,
  metrics: Metrics,
  ended: (unread: BoundedQueue<MeshMessage>) => void,
): {
  take(message: MeshMessage): void;
  end(): void;
  isReady(): boolean;
  iterable: AsyncIterableIterator<MeshMessage>;
} {
  const queue = new BoundedQueue<MeshMessage>(limit, 'drop-oldest');
  const waiting: ((result: IteratorResult<MeshMessage>) => void)[] = [];
  let isEnded = false;

  function end(): void {
    if (isEnded) return;
    isEnded = true;
    ended(queue);
    for (const resolve of waiting.splice(0)) resolve({ done: true, value: undefined });
  }

  return {
    end,
    isReady: () => queue.length < limit,
    take(message) {
      if (isEnded) return;
      const reader = waiting.shift();
      if (reader !== undefined) reader({ done: false, value: message });
      else if (queue.push(message) !== undefined) metrics.drop('subscriber', 'slow-reader');
    },
    iterable: {
      [Symbol.asyncIterator]() {
        return this;
      },
      next() {
        const message = queue.shift();
        if (message !== undefined) return Promise.resolve({ done: false, value: message });
        if (isEnded) return Promise.resolve({ done: true, value: undefined });
        return new Promise((resolve) => waiting.push(resolve));
      },
      return() {
        end();
        queue.clear();
        return Promise.resolve({ done: true, value: undefined });
      },
    },
  };
}
