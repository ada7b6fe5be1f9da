/** The retained messages of one broker, bounded in number and bytes, with an index for exact filters. */

import { topicMatches } from '../../kernel/topic.ts';
import type { BrokerPacket } from './aedes-types.ts';

/** What became of a message that asked to be retained. */
export type RetainVerdict = 'kept' | 'deleted' | 'full';

/** A bounded retained store. Overflow policy: a new topic is refused, a known topic may always be updated in number. */
export interface RetainedStore {
  put(packet: BrokerPacket): RetainVerdict;
  /** Each retained message that any of the filters matches, once. */
  matching(filters: readonly string[]): BrokerPacket[];
  has(topic: string): boolean;
  count(): number;
}

/** Builds a store for at most `topicsMax` topics and `bytesMax` bytes of topics and payloads. */
export function createRetainedStore(topicsMax: number, bytesMax: number): RetainedStore {
  const kept = new Map<string, BrokerPacket>();
  let bytes = 0;
  const sizeOf = (packet: BrokerPacket): number => packet.payload.length + packet.topic.length;

  return {
    put(packet) {
      const before = kept.get(packet.topic);
      const bytesBefore = before === undefined ? 0 : sizeOf(before);
      if (packet.payload.length === 0) {
        kept.delete(packet.topic);
        bytes -= bytesBefore;
        return 'deleted';
      }
      const bytesAfter = bytes - bytesBefore + sizeOf(packet);
      if ((before === undefined && kept.size >= topicsMax) || bytesAfter > bytesMax) return 'full';
      bytes = bytesAfter;
      kept.set(packet.topic, packet);
      return 'kept';
    },
    matching(filters) {
      const found = new Set<BrokerPacket>();
      for (const filter of filters) {
        if (!/[+#]/.test(filter)) {
          const exact = kept.get(filter);
          if (exact !== undefined) found.add(exact);
          continue;
        }
        for (const [topic, packet] of kept) if (topicMatches(filter, topic)) found.add(packet);
      }
      return [...found];
    },
    has: (topic) => kept.has(topic),
    count: () => kept.size,
  };
}
