/** What happened, on every node its own part: events are kept where they were emitted, told to all, and asked of all. */

import type { NodeId } from '../../kernel/ids.ts';
import { MycelError } from '../../kernel/errors.ts';
import { parcelBytesMax } from '../../kernel/parcel.ts';
import type { Journal } from '../../ports/journal.ts';
import {
  decodeEventFilter,
  decodeEvents,
  encodeEventFilter,
  encodeEvents,
  eventsPerAnswerMax,
} from '../../wire/event-codec.ts';
import type { ChronicleEvent, EventFilter } from '../../wire/event-codec.ts';
import type { NodePart, PartWorld } from '../parts.ts';
import type { StateRoom } from '../state/state-room.ts';
import { EventShelf, isBefore, shelfLimits } from './event-shelf.ts';
import type { ShelfLimits } from './event-shelf.ts';

export type { ChronicleEvent, EventFilter };

const protocol = 'events';
const queryMethod = 'events.query';

/** Bytes of events in one answer; the latest are given. */
const answerBytesMax: number = 192 * 1024;

/** What became of a query. */
export interface EventAnswer {
  /** In order of their hybrid time. */
  readonly events: readonly ChronicleEvent[];
  /** Members that did not answer: their events are missing. */
  readonly missing: readonly NodeId[];
}

/** The chronicle of one node. */
export interface Chronicle {
  readonly part: NodePart;
  /** Keeps an event of this node and tells it to all. Resolves when it is on disk. */
  emit(
    event: Omit<ChronicleEvent, 'id' | 'at' | 'node' | 'correlation'> & {
      readonly correlation: string | undefined;
    },
  ): Promise<ChronicleEvent>;
  /** Hears of events as they come, of this node and of others. */
  onEvent(listener: (event: ChronicleEvent) => void): () => void;
  local(filter: EventFilter): readonly ChronicleEvent[];
  /** Asks all members and merges what they answer. */
  query(filter: EventFilter, deadlineMs: number): Promise<EventAnswer>;
  size(): { readonly events: number; readonly bytes: number };
}

/** Builds it. The hybrid clock is the one of the state: what an event tells of a write comes after that write. */
export function createChronicle(
  world: PartWorld,
  time: Pick<StateRoom, 'tick' | 'observe'>,
  limits: ShelfLimits = shelfLimits,
): Chronicle {
  const { calls, clock, log, mesh, metrics } = world;
  const shelf = new EventShelf(limits);
  const listeners = new Set<(event: ChronicleEvent) => void>();
  let journal: Journal | undefined;
  let stops: (() => void)[] = [];

  function tell(event: ChronicleEvent): void {
    for (const listener of listeners) {
      try {
        listener(event);
      } catch (error) {
        log.error({ error, type: event.type }, 'a listener to events threw');
      }
    }
  }

  function put(event: ChronicleEvent, bytes: number): void {
    const pruned = shelf.put(event, bytes, clock.wallMs());
    if (pruned > 0) metrics.count('events.pruned', pruned);
  }

  function* snapshot(): Generator<Uint8Array> {
    for (const event of shelf.all()) yield encodeEvents([event]);
  }

  function answer(filter: EventFilter): Uint8Array {
    let events = shelf.query(filter);
    let bytes = encodeEvents(events);
    while (bytes.length > answerBytesMax) {
      events = events.slice(Math.ceil(events.length / 4));
      bytes = encodeEvents(events);
    }
    return bytes;
  }

  async function start(): Promise<void> {
    const opened = await world.adapters.openJournal(world.dataDir)('events', (record) => {
      for (const event of decodeEvents(record) ?? []) {
        shelf.put(event, record.length, clock.wallMs());
        time.observe(event.at);
      }
    });
    journal = opened;
    stops = [
      mesh.handle(protocol, (from, bytes) => {
        for (const event of decodeEvents(bytes) ?? []) {
          if (event.node !== from) return metrics.drop('events', 'foreign');
          time.observe(event.at);
          metrics.count('events.heard');
          tell(event);
        }
      }),
      calls.serve(queryMethod, async (body) => {
        const filter = decodeEventFilter(body);
        if (filter === undefined) throw new MycelError('MYCEL_BAD_BYTES');
        return answer(filter);
      }),
    ];
  }

  return {
    part: {
      start,
      async stop() {
        for (const end of stops) end();
        stops = [];
        await journal?.close();
        journal = undefined;
      },
    },
    async emit({ type, correlation, causation, data }) {
      if (journal === undefined) throw new MycelError('MYCEL_NOT_RUNNING');
      const at = time.tick();
      const id = `${at.wallMs.toString(36)}-${at.count.toString(36)}-${mesh.self}`;
      const event = {
        id,
        type,
        at,
        node: mesh.self,
        correlation: correlation ?? id,
        causation,
        data,
      };
      const bytes = encodeEvents([event]);
      if (bytes.length > parcelBytesMax) {
        throw new MycelError('MYCEL_TOO_LARGE', {
          reason: `The event takes ${bytes.length} bytes; ${parcelBytesMax} are allowed.`,
          fix: 'Put large data elsewhere and name it in the event.',
        });
      }
      put(event, bytes.length);
      await journal.append(bytes, 'now');
      if (journal.wantsCompaction()) void journal.compact(snapshot());
      metrics.count('events.emitted');
      tell(event);
      for (const node of mesh.peers()) mesh.send(node, protocol, bytes);
      return event;
    },
    onEvent(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    local: (filter) => shelf.query(filter),
    async query(filter, deadlineMs) {
      const body = encodeEventFilter({
        ...filter,
        limit: Math.min(filter.limit, eventsPerAnswerMax),
      });
      const missing: NodeId[] = [];
      const answers = await Promise.all(
        mesh.peers().map(async (node) => {
          try {
            return decodeEvents(await calls.call(node, queryMethod, body, { deadlineMs })) ?? [];
          } catch {
            missing.push(node);
            return [];
          }
        }),
      );
      const events = [...shelf.query(filter), ...answers.flat()].sort((left, right) =>
        isBefore(left, right) ? -1 : 1,
      );
      return { events: events.slice(-filter.limit), missing };
    },
    size: () => ({ events: shelf.size, bytes: shelf.bytes }),
  };
}
