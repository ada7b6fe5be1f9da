/** What waits for one saturated link: relayed events in order, and the latest signal of each topic. */

import { BoundedMap } from '../../kernel/bounded-map.ts';
import { BoundedQueue } from '../../kernel/bounded-queue.ts';
import type { DeliveryClass } from './messages.ts';

/** Bounds of one link's queue. */
export interface PeerQueueConfig {
  /** Relayed events that wait; the newest is dropped beyond it, and its origin sends it again. @default 4096 */
  readonly relayMax?: number;
  /** Their bytes. @default 4_194_304 */
  readonly relayBytesMax?: number;
  /** Topics whose latest signal waits; the oldest is dropped beyond it. @default 256 */
  readonly signalsMax?: number;
}

/** The queue of one link. */
export interface PeerQueue {
  /** Per class: each has a channel of its own, and the one must not wait for the other. */
  readonly isSaturated: Record<DeliveryClass, boolean>;
  /** Keeps a copy of a relayed event. False: the queue is full. */
  keepEvent(raw: Uint8Array): boolean;
  /** Keeps a copy of a signal in place of an older one of its topic. @returns how many signals were lost by it. */
  keepSignal(topic: string, raw: Uint8Array): number;
  /** Hands over what waits until the link is saturated again. */
  flush(transmit: (raw: Uint8Array, isEvent: boolean) => boolean): void;
  length(): number;
}

/** Builds the queue of one link. `lost` is shown the signals that make room, or that a newer one replaces. */
export function createPeerQueue(
  config: PeerQueueConfig,
  lost: (raw: Uint8Array, isSuperseded: boolean) => void = () => {},
): PeerQueue {
  const relayBytesMax = config.relayBytesMax ?? 4 * 1024 * 1024;
  const events = new BoundedQueue<Uint8Array>(config.relayMax ?? 4096, 'drop-newest');
  const signals = new BoundedMap<string, Uint8Array>(config.signalsMax ?? 256, (_, raw) =>
    lost(raw, false),
  );
  let eventBytes = 0;

  const queue: PeerQueue = {
    isSaturated: { signal: false, event: false },
    keepEvent(raw) {
      if (events.length > 0 && eventBytes + raw.byteLength > relayBytesMax) return false;
      const copy = new Uint8Array(raw);
      if (events.push(copy) !== undefined) return false;
      eventBytes += copy.byteLength;
      return true;
    },
    keepSignal(topic, raw) {
      const evictedBefore = signals.evictedCount;
      const before = signals.get(topic);
      const isSuperseding = before !== undefined;
      if (isSuperseding) lost(before, true);
      signals.set(topic, new Uint8Array(raw));
      return (isSuperseding ? 1 : 0) + signals.evictedCount - evictedBefore;
    },
    flush(transmit) {
      for (const [topic, raw] of signals) {
        if (queue.isSaturated.signal || !transmit(raw, false)) break;
        signals.delete(topic);
      }
      for (let raw = events.peek(); raw !== undefined; raw = events.peek()) {
        if (queue.isSaturated.event || !transmit(raw, true)) return;
        events.shift();
        eventBytes -= raw.byteLength;
      }
    },
    length: () => events.length + signals.size,
  };
  return queue;
}
