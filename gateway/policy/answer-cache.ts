/** Answers that were given before, as the events they came in: they replay in any format. */

import { LRUCache } from 'lru-cache';

import type { Batch, LlmEvent } from '../events.ts';

/** An answer that is kept. */
export interface KeptAnswer {
  readonly events: Batch;
  /** Not given out after this, except when nobody else answers; on the clock of `performance.now`. */
  readonly freshUntil: number;
}

/** The kept answers of one gateway. */
export interface AnswerCache {
  get(key: string): KeptAnswer | undefined;
  /** Keeps a whole answer; anything else is left out. */
  keep(key: string, batches: readonly Batch[], freshUntil: number): void;
  readonly size: number;
  readonly bytes: number;
}

/** Bounded in bytes; the one longest unused goes. */
export function createAnswerCache(bytesMax: number): AnswerCache {
  if (bytesMax === 0) {
    return { get: () => undefined, keep: () => undefined, size: 0, bytes: 0 };
  }
  const kept = new LRUCache<string, KeptAnswer>({
    maxSize: bytesMax,
    maxEntrySize: Math.ceil(bytesMax / 8),
    sizeCalculation: ({ events }, key) => key.length + bytesOf(events),
  });
  return {
    get: (key) => kept.get(key),
    keep(key, batches, freshUntil) {
      const events = joined(batches);
      if (events !== undefined) kept.set(key, { events, freshUntil });
    },
    get size() {
      return kept.size;
    },
    get bytes() {
      return kept.calculatedSize;
    },
  };
}

/** The last attempt's events, pieces of one text joined; undefined unless the answer is whole. */
function joined(batches: readonly Batch[]): Batch | undefined {
  const events: LlmEvent[] = [];
  let isWhole = false;
  for (const event of batches.flat()) {
    const last = events.at(-1);
    if (event.type === 'reset') events.length = 0;
    else if (
      event.type === 'text' &&
      last?.type === 'text' &&
      event.extra === undefined &&
      last.extra === undefined
    ) {
      events[events.length - 1] = { type: 'text', text: last.text + event.text };
    } else events.push(event);
    // What was cut off by a limit, filtered or refused is not an answer to keep.
    if (event.type === 'finish') isWhole = event.reason === 'stop' || event.reason === 'tool_calls';
  }
  return isWhole ? events : undefined;
}

function bytesOf(events: Batch): number {
  let bytes = 64;
  for (const event of events) {
    if (event.type === 'vectors')
      bytes += event.vectors.reduce((sum, { length }) => sum + 8 * length, 0);
    else bytes += 2 * JSON.stringify(event).length;
  }
  return bytes;
}
