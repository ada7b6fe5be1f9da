/** The subscribers inside this process: callbacks and async iterators over MQTT filters, each with its own bound. */

import { BoundedQueue } from '../kernel/bounded-queue.ts';
import { MycelError } from '../kernel/errors.ts';
import { filterProblem, isReservedTopic, topicMatches } from '../kernel/topic.ts';
import type { Log } from '../ports/log.ts';
import type { Metrics } from '../ports/metrics.ts';
import type { MeshMessage, SubscribeOptions } from './mesh-node.ts';

/** Subscriptions one process may hold. */
export const subscriptionsMax = 1000;

/** Messages held for a slow iterator when the caller states no limit. */
const queueLimitDefault = 1000;

/** The in-process subscriptions of a node. */
export interface Subscriptions {
  /** Hands a message to every matching subscriber. A listener that throws is logged and stays subscribed. */
  deliver(message: MeshMessage): void;
  listen(
    filter: string,
    listener: (message: MeshMessage) => void,
    options: SubscribeOptions,
  ): () => void;
  iterate(filter: string, options: SubscribeOptions): AsyncIterableIterator<MeshMessage>;
  /** Ends every subscription: iterators finish, callbacks are forgotten. */
  end(): void;
  count(): number;
}

interface Subscriber {
  readonly filter: string;
  take(message: MeshMessage): void;
  end(): void;
}

/** Builds the table. `retained` replays the last values that match a new filter. */
export function createSubscriptions(world: {
  readonly log: Log;
  readonly metrics: Metrics;
  retained(filter: string): readonly MeshMessage[];
}): Subscriptions {
  const subscribers = new Set<Subscriber>();

  function admit(filter: string, options: SubscribeOptions, subscriber: Subscriber): void {
    const problem = isReservedTopic(filter)
      ? 'it is below the reserved root "$mycel"'
      : filter.startsWith('$share/')
        ? 'shared subscriptions are not implemented for programs'
        : filterProblem(filter);
    if (problem !== undefined) {
      throw new MycelError('MYCEL_BAD_TOPIC', {
        filter,
        reason: `Filter '${filter}': ${problem}.`,
      });
    }
    if (subscribers.size >= subscriptionsMax) {
      throw new MycelError('MYCEL_BAD_OPTION', {
        reason: `This process holds ${subscriptionsMax} subscriptions already.`,
        fix: 'End subscriptions that are no longer read, or use a wildcard.',
      });
    }
    if (options.signal?.aborted === true) {
      subscriber.end();
      return;
    }
    options.signal?.addEventListener('abort', subscriber.end, { once: true });
    subscribers.add(subscriber);
    for (const message of world.retained(filter)) subscriber.take(message);
  }

  return {
    count: () => subscribers.size,
    deliver(message) {
      for (const subscriber of subscribers) {
        if (topicMatches(subscriber.filter, message.topic)) subscriber.take(message);
      }
    },
    listen(filter, listener, options) {
      const subscriber: Subscriber = {
        filter,
        take(message) {
          try {
            listener(message);
          } catch (error) {
            world.log.error({ filter, error }, 'a subscriber threw; it stays subscribed');
          }
        },
        end: () => void subscribers.delete(subscriber),
      };
      admit(filter, options, subscriber);
      return subscriber.end;
    },
    iterate(filter, options) {
      const iterator = createIterator(options.queueLimit ?? queueLimitDefault, world.metrics, () =>
        subscribers.delete(subscriber),
      );
      const subscriber: Subscriber = { filter, take: iterator.take, end: iterator.end };
      admit(filter, options, subscriber);
      return iterator.iterable;
    },
    end() {
      for (const subscriber of subscribers) subscriber.end();
      subscribers.clear();
    },
  };
}

/** A bounded queue with a promise at its end: the oldest message makes room, and the loss is counted. */
function createIterator(
  limit: number,
  metrics: Metrics,
  ended: () => void,
): {
  take(message: MeshMessage): void;
  end(): void;
  iterable: AsyncIterableIterator<MeshMessage>;
} {
  const queue = new BoundedQueue<MeshMessage>(limit, 'drop-oldest');
  const waiting: ((result: IteratorResult<MeshMessage>) => void)[] = [];
  let isEnded = false;

  function end(): void {
    if (isEnded) return;
    isEnded = true;
    ended();
    for (const resolve of waiting.splice(0)) resolve({ done: true, value: undefined });
  }

  return {
    end,
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
