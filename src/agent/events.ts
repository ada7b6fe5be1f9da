/** Events as programs use them: emit, listen, ask the whole mesh what happened. */

import { MycelError } from '../kernel/errors.ts';
import type { Chronicle, ChronicleEvent, EventAnswer } from '../runtime/chronicle/chronicle.ts';
import type { Json } from './state-types.ts';
import { checkValue } from './state-values.ts';

/** Something that happened on one node. */
export interface MeshEvent extends Omit<ChronicleEvent, 'data'> {
  readonly data: Json;
}

/** How an event belongs to others. */
export interface EmitOptions {
  /** The event this one follows from: it inherits its correlation. */
  readonly because?: Pick<MeshEvent, 'id' | 'correlation'>;
  /** @default that of `because`, else the event's own id */
  readonly correlation?: string;
}

/** Which events are asked for. */
export interface EventQuery {
  /** A type, or the beginning of one followed by `*`. @default all */
  readonly type?: string;
  /** Wall time in ms. */
  readonly sinceMs?: number;
  readonly untilMs?: number;
  readonly correlation?: string;
  /** The latest so many, at most 1000. @default 100 */
  readonly limit?: number;
}

/** The events of the mesh. */
export interface EventsHandle {
  /**
   * Keeps an event and tells it to all members that are there. Resolves when it is on disk here.
   * @throws {MycelError} MYCEL_STATE_INVALID (a bad type), MYCEL_STATE_INVALID, MYCEL_TOO_LARGE, MYCEL_NOT_RUNNING
   */
  emit(type: string, data?: Json, options?: EmitOptions): Promise<MeshEvent>;
  /** Hears of events of all nodes as they come. What came while this node was away is found by `query`. */
  subscribe(type: string, listener: (event: MeshEvent) => void): () => void;
  /** Asks every member; `missing` names those that did not answer. */
  query(
    query?: EventQuery,
    options?: { readonly deadlineMs?: number },
  ): Promise<{ readonly events: readonly MeshEvent[]; readonly missing: EventAnswer['missing'] }>;
  /** What this node itself keeps. */
  local(query?: EventQuery): readonly MeshEvent[];
}

const deadlineMsDefault = 3_000;
const limitDefault = 100;
const limitMax = 1_000;

/** Builds the handle. */
export function createEventsHandle(chronicle: Chronicle): EventsHandle {
  const filterOf = (query: EventQuery) => ({
    ...query,
    limit: Math.max(1, Math.min(query.limit ?? limitDefault, limitMax)),
  });
  return {
    async emit(type, data = null, options = {}) {
      const content = checkValue(['event'], data, undefined);
      const event = await chronicle.emit({
        type: checkType(type),
        correlation: options.correlation ?? options.because?.correlation,
        causation: options.because?.id,
        data: content,
      });
      return event as MeshEvent;
    },
    subscribe: (type, listener) =>
      chronicle.onEvent((event) => {
        const isWanted = type.endsWith('*')
          ? event.type.startsWith(type.slice(0, -1))
          : event.type === type;
        if (isWanted) listener(event as MeshEvent);
      }),
    async query(query = {}, { deadlineMs = deadlineMsDefault } = {}) {
      const { events, missing } = await chronicle.query(filterOf(query), deadlineMs);
      return { events: events as readonly MeshEvent[], missing };
    },
    local: (query = {}) => chronicle.local(filterOf(query)) as readonly MeshEvent[],
  };
}

function checkType(type: string): string {
  if (type.length > 0 && type.length <= 128 && !/[\p{Cc}\p{Cs}*]/u.test(type)) return type;
  throw new MycelError('MYCEL_STATE_INVALID', {
    reason: 'The type of an event has 1 to 128 characters, none of them a control character or *.',
  });
}
