/**
 * What became of the last messages on this node, one step at a time: a ring that forgets the oldest step.
 *
 * Noting a step writes into arrays that are there already; it makes no object and copies nothing.
 */

import type { Millis } from '../../kernel/core.ts';
import type { Hlc } from '../../kernel/hlc.ts';
import type { NodeId } from '../../kernel/ids.ts';

/** Steps kept on one node; the oldest is written over. */
export const traceMax = 8192;

/**
 * `published`: by a client or program of this node. `sent`: handed to the link to `peer`. `queued`: waits for that link. `received`: came from `peer`. `held`: waits for an earlier one of its origin.
 * `delivered`: given to the subscribers of this node. `shared`: given to one member of the group in `detail`, which has
 * members here. `handed`: no member of the group in `detail` is here any more. `dropped`: lost here, for `reason`.
 */
export type Fate =
  | 'published'
  | 'sent'
  | 'queued'
  | 'received'
  | 'held'
  | 'delivered'
  | 'shared'
  | 'handed'
  | 'dropped';

/** Why a step is the last one. */
export type DropCause =
  | 'no-interest'
  | 'acl'
  | 'ttl'
  | 'overflow'
  | 'duplicate'
  | 'expired'
  | 'no-way';

/** One step of one message. */
export interface Step {
  readonly at: Millis;
  readonly fate: Fate;
  readonly cause: DropCause | undefined;
  readonly peer: NodeId | undefined;
  /** In words; '' when there is nothing to say. */
  readonly detail: string;
}

/** A step to be noted, and the message that made it. */
export interface Note extends Step {
  readonly origin: NodeId;
  readonly wallMs: number;
  readonly count: number;
  /** '' when it is known from an earlier step. */
  readonly topic: string;
}

/** The ring. */
export interface Trace {
  /** Copies the fields: its caller may use the same object again. */
  note(step: Note): void;
  /** The steps of one message, oldest first. */
  of(origin: NodeId, hlc: Hlc): readonly Step[];
  /** Its topic, when a step told it. */
  topicOf(origin: NodeId, hlc: Hlc): string | undefined;
  /** How often each fate befell messages on a topic, of those still remembered. */
  about(topic: string): readonly TopicFate[];
  /** Steps noted ever, and the oldest that is remembered; undefined: none. */
  view(): { readonly noted: number; readonly since: Millis | undefined };
}

/** A fate on a topic. */
export interface TopicFate {
  readonly fate: Fate;
  readonly cause: DropCause | undefined;
  readonly detail: string;
  readonly count: number;
  /** When it was last so. */
  readonly at: Millis;
}

/** Kinds of fates told of one topic; further ones are left out. */
const topicFatesMax = 64;

/** Builds an empty ring of `size` steps. */
export function createTrace(size: number = traceMax): Trace {
  const at = new Float64Array(size);
  const walls = new Float64Array(size);
  const counts = new Uint16Array(size);
  const fates: Fate[] = Array.from({ length: size });
  const origins: NodeId[] = Array.from({ length: size });
  const topics: string[] = Array.from({ length: size });
  const peers: (NodeId | undefined)[] = Array.from({ length: size });
  const causes: (DropCause | undefined)[] = Array.from({ length: size });
  const details: string[] = Array.from({ length: size });
  let noted = 0;

  /** Shows the places in use, oldest first. */
  function* places(): Generator<number> {
    for (let n = Math.max(0, noted - size); n < noted; n += 1) yield n % size;
  }

  function isOf(place: number, origin: NodeId, { wallMs, count }: Hlc): boolean {
    return walls[place] === wallMs && counts[place] === count && origins[place] === origin;
  }

  function stepAt(place: number): Step {
    return {
      at: at[place] ?? 0,
      fate: fates[place] as Fate,
      cause: causes[place],
      peer: peers[place],
      detail: details[place] ?? '',
    };
  }

  return {
    note(step) {
      const place = noted % size;
      noted += 1;
      at[place] = step.at;
      walls[place] = step.wallMs;
      counts[place] = step.count;
      fates[place] = step.fate;
      origins[place] = step.origin;
      topics[place] = step.topic;
      peers[place] = step.peer;
      causes[place] = step.cause;
      details[place] = step.detail;
    },
    of(origin, hlc) {
      const found: Step[] = [];
      for (const place of places()) if (isOf(place, origin, hlc)) found.push(stepAt(place));
      return found;
    },
    topicOf(origin, hlc) {
      for (const place of places()) {
        if (topics[place] !== '' && isOf(place, origin, hlc)) return topics[place];
      }
      return undefined;
    },
    about(topic) {
      const found = new Map<string, TopicFate>();
      for (const place of places()) {
        if (topics[place] !== topic) continue;
        const { fate, cause, detail, at: when } = stepAt(place);
        const key = `${fate} ${cause ?? ''} ${detail}`;
        const before = found.get(key);
        if (before === undefined && found.size >= topicFatesMax) continue;
        found.set(key, { fate, cause, detail, count: (before?.count ?? 0) + 1, at: when });
      }
      return [...found.values()];
    },
    view: () => ({ noted, since: noted === 0 ? undefined : at[Math.max(0, noted - size) % size] }),
  };
}
