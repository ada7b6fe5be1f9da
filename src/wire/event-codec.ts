/** Events of a node as bytes: in its journal, on the mesh, and in the answers to a query. */

import * as z from 'zod/mini';
import { isNodeId } from '../kernel/ids.ts';
import type { NodeId } from '../kernel/ids.ts';
import { decodeCbor, encodeCbor } from './cbor.ts';
import { isPlain } from './state-facts.ts';
import type { Plain } from '../protocol/replication/cell.ts';

/** Something that happened on one node. */
export interface ChronicleEvent {
  /** Unique in the mesh. */
  readonly id: string;
  readonly type: string;
  /** Hybrid time: respects cause and effect. */
  readonly at: { readonly wallMs: number; readonly count: number };
  readonly node: NodeId;
  /** Shared by everything that came of one beginning. */
  readonly correlation: string;
  /** The id of the event that this one follows from. */
  readonly causation: string | undefined;
  readonly data: Plain;
}

/** Which events. */
export interface EventFilter {
  /** A type, or the beginning of one followed by `*`. */
  readonly type?: string | undefined;
  readonly sinceMs?: number | undefined;
  readonly untilMs?: number | undefined;
  readonly correlation?: string | undefined;
  /** The latest so many. */
  readonly limit: number;
}

/** Longest type, correlation or id, in UTF-16 units. */
export const eventTextMax = 128;

/** Events in one answer. */
export const eventsPerAnswerMax = 1000;

const text = z.string().check(z.minLength(1), z.maxLength(eventTextMax));
const whole = z.int().check(z.gte(0));
const shape = z.tuple([
  text,
  text,
  whole,
  whole,
  z.string().check(z.refine(isNodeId)),
  text,
  z.union([text, z.null()]),
  z.unknown().check(z.refine((value) => isPlain(value))),
]);
const filterShape = z.tuple([
  z.union([text, z.null()]),
  z.union([whole, z.null()]),
  z.union([whole, z.null()]),
  z.union([text, z.null()]),
  z.int().check(z.gte(1), z.lte(eventsPerAnswerMax)),
]);

function parts({ id, type, at, node, correlation, causation, data }: ChronicleEvent): unknown[] {
  return [id, type, at.wallMs, at.count, node, correlation, causation ?? null, data];
}

function eventOf(value: unknown): ChronicleEvent | undefined {
  const read = shape.safeParse(value);
  if (!read.success) return undefined;
  const [id, type, wallMs, count, node, correlation, causation, data] = read.data;
  return {
    id,
    type,
    at: { wallMs, count },
    node: node as NodeId,
    correlation,
    causation: causation ?? undefined,
    data: data as Plain,
  };
}

/** Encodes events. */
export function encodeEvents(events: readonly ChronicleEvent[]): Uint8Array {
  return encodeCbor(events.map(parts));
}

/** Decodes events; undefined when they are none. Never throws. */
export function decodeEvents(bytes: Uint8Array): readonly ChronicleEvent[] | undefined {
  try {
    const value = decodeCbor(bytes);
    if (!Array.isArray(value)) return undefined;
    const events = value.map(eventOf);
    return events.every((event) => event !== undefined) ? events : undefined;
  } catch {
    return undefined;
  }
}

/** Encodes a filter. */
export function encodeEventFilter(filter: EventFilter): Uint8Array {
  const { type, sinceMs, untilMs, correlation, limit } = filter;
  return encodeCbor([type ?? null, sinceMs ?? null, untilMs ?? null, correlation ?? null, limit]);
}

/** Decodes a filter; undefined when it is none. Never throws. */
export function decodeEventFilter(bytes: Uint8Array): EventFilter | undefined {
  try {
    const read = filterShape.safeParse(decodeCbor(bytes, { bytesMax: 4096 }));
    if (!read.success) return undefined;
    const [type, sinceMs, untilMs, correlation, limit] = read.data;
    return {
      type: type ?? undefined,
      sinceMs: sinceMs ?? undefined,
      untilMs: untilMs ?? undefined,
      correlation: correlation ?? undefined,
      limit,
    };
  } catch {
    return undefined;
  }
}
