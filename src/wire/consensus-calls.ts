/** What a node asks of the leader of a group and what comes back, and hints about who leads, as bytes. */

import type { NodeId } from '../kernel/ids.ts';
import { isNodeId } from '../kernel/ids.ts';
import type { Command, Outcome } from '../protocol/consensus/machine-types.ts';
import * as z from 'zod/mini';
import { decodeCbor, encodeCbor } from './cbor.ts';
import { decodeCommand, encodeCommand, outcomeOf } from './machine-codec.ts';

/** Who leads which group. */
export interface GroupHint {
  readonly group: string;
  readonly term: number;
  readonly leader: NodeId | undefined;
  readonly voters: readonly NodeId[];
}

/** A seat of a group that nobody holds on the node that says so. */
export interface EmptySeat {
  readonly group: string;
  readonly empty: number;
}

/** A question about the state machine. */
export type Query =
  | { readonly type: 'key'; readonly key: string }
  | { readonly type: 'keys'; readonly prefix: string }
  | { readonly type: 'lock'; readonly name: string }
  | { readonly type: 'session'; readonly session: number };

/** What somebody waits for. */
export type Awaited =
  | {
      readonly type: 'grant';
      readonly name: string;
      readonly session: number;
      readonly owner: string;
    }
  | { readonly type: 'barrier'; readonly name: string; readonly generation: number }
  | { readonly type: 'lock'; readonly name: string; readonly after: number };

/** The reply to any of them. `elsewhere`: this node does not lead, but may know who does. */
export type LeaderReply<Result> =
  | { readonly type: 'ok'; readonly result: Result }
  | { readonly type: 'elsewhere'; readonly hint: GroupHint | undefined }
  | { readonly type: 'refused'; readonly reason: string };

/** A lock as it is seen from outside. */
export interface LockView {
  readonly permits: number;
  readonly holders: readonly {
    readonly node: string;
    readonly owner: string;
    readonly token: number;
  }[];
  readonly waiting: number;
}

/** The answers to queries. */
export interface QueryResults {
  key: { readonly version: number; readonly value: Uint8Array } | undefined;
  keys: readonly string[];
  lock: LockView | undefined;
  session: boolean;
}

const group = z.string().check(z.regex(/^[0-9a-f]{32}$/));
const count = z.int().check(z.gte(0));
const text = z.string().check(z.maxLength(512));
const node = z.string().check(z.refine(isNodeId));
const hintShape = z.tuple([
  group,
  count,
  z.union([node, z.null()]),
  z.array(node).check(z.maxLength(16)),
]);
const emptyShape = z.tuple([group, count]);

/** Encodes a hint, or that a seat is empty. */
export function encodeHint(hint: GroupHint | EmptySeat): Uint8Array {
  return encodeCbor('empty' in hint ? [hint.group, hint.empty] : hintParts(hint));
}

/** Decodes either; undefined for anything else. */
export function decodeHint(bytes: Uint8Array): GroupHint | EmptySeat | undefined {
  const value = read(bytes);
  const empty = emptyShape.safeParse(value);
  if (empty.success) return { group: empty.data[0], empty: empty.data[1] };
  return hintOf(value);
}

function hintParts(hint: GroupHint): unknown[] {
  return [hint.group, hint.term, hint.leader ?? null, hint.voters];
}

function hintOf(value: unknown): GroupHint | undefined {
  const parsed = hintShape.safeParse(value);
  if (!parsed.success) return undefined;
  const [id, term, leader, voters] = parsed.data;
  return {
    group: id,
    term,
    leader: (leader ?? undefined) as NodeId | undefined,
    voters: voters as NodeId[],
  };
}

const writeShape = z.tuple([text, count, z.instanceof(Uint8Array)]);

/** A command for the leader. */
export function encodeWrite(client: string, number: number, command: Command): Uint8Array {
  return encodeCbor([client, number, encodeCommand(command)]);
}

/** The command that came. */
export function decodeWrite(
  bytes: Uint8Array,
): { client: string; number: number; command: Command } | undefined {
  const parsed = writeShape.safeParse(read(bytes));
  if (!parsed.success) return undefined;
  const [client, number, encoded] = parsed.data;
  const command = decodeCommand(encoded);
  return command === undefined ? undefined : { client, number, command };
}

const queryShape = z.union([
  z.object({ type: z.literal('key'), key: text }),
  z.object({ type: z.literal('keys'), prefix: text }),
  z.object({ type: z.literal('lock'), name: text }),
  z.object({ type: z.literal('session'), session: count }),
]);

/** The question that came; encode it with `encodeCbor`. */
export function decodeQuery(bytes: Uint8Array): Query | undefined {
  const parsed = queryShape.safeParse(read(bytes));
  return parsed.success ? parsed.data : undefined;
}

const awaitedShape = z.union([
  z.object({ type: z.literal('grant'), name: text, session: count, owner: text }),
  z.object({ type: z.literal('barrier'), name: text, generation: count }),
  z.object({ type: z.literal('lock'), name: text, after: count }),
]);

/** What somebody waits for; encode it with `encodeCbor`. */
export function decodeAwaited(bytes: Uint8Array): Awaited | undefined {
  const parsed = awaitedShape.safeParse(read(bytes));
  return parsed.success ? parsed.data : undefined;
}

const seatShape = z.tuple([group, count]);

/** A seat to be taken. */
export function encodeSeat(id: string, seat: number): Uint8Array {
  return encodeCbor([id, seat]);
}

/** The seat to be taken. */
export function decodeSeat(bytes: Uint8Array): { group: string; seat: number } | undefined {
  const parsed = seatShape.safeParse(read(bytes));
  return parsed.success ? { group: parsed.data[0], seat: parsed.data[1] } : undefined;
}

/** A seat of a group at an index of its log. */
export interface Place {
  readonly group: string;
  readonly seat: number;
  readonly index: number;
}

const placeShape = z.tuple([group, count, count]);

/** Encodes a place. */
export function encodePlace(place: Place): Uint8Array {
  return encodeCbor([place.group, place.seat, place.index]);
}

/** Decodes a place; undefined for anything else. */
export function decodePlace(bytes: Uint8Array): Place | undefined {
  const parsed = placeShape.safeParse(read(bytes));
  if (!parsed.success) return undefined;
  const [id, seat, index] = parsed.data;
  return { group: id, seat, index };
}

/** Any value, as a request that has no codec of its own. */
export function encodeAsk(value: Query | Awaited): Uint8Array {
  return encodeCbor(value);
}

/** Encodes a reply. */
export function encodeReply(reply: LeaderReply<unknown>): Uint8Array {
  if (reply.type === 'ok') return encodeCbor(['ok', reply.result ?? null]);
  if (reply.type === 'refused') return encodeCbor(['refused', reply.reason]);
  return encodeCbor(['elsewhere', reply.hint === undefined ? null : hintParts(reply.hint)]);
}

const replyShape = z.union([
  z.tuple([z.literal('ok'), z.unknown()]),
  z.tuple([z.literal('refused'), text]),
  z.tuple([z.literal('elsewhere'), z.unknown()]),
]);

/** Decodes a reply whose result `resultOf` reads; undefined when it is none. */
export function decodeReply<Result>(
  bytes: Uint8Array,
  resultOf: (value: unknown) => Result | undefined,
): LeaderReply<Result> | undefined {
  const parsed = replyShape.safeParse(read(bytes));
  if (!parsed.success) return undefined;
  const [type, value] = parsed.data;
  if (type === 'elsewhere') return { type, hint: value === null ? undefined : hintOf(value) };
  if (type === 'refused') return { type, reason: value as string };
  const result = resultOf(value);
  return result === undefined ? undefined : { type: 'ok', result };
}

const lockShape = z.object({
  permits: count,
  holders: z.array(z.object({ node: text, owner: text, token: count })),
  waiting: count,
});
const keyShape = z.object({ version: count, value: z.instanceof(Uint8Array) });

/** Readers of results, boxed so that "nothing there" is told from "not an answer". */
export const resultReaders: {
  readonly outcome: (value: unknown) => Outcome | undefined;
  readonly key: (value: unknown) => { found: QueryResults['key'] } | undefined;
  readonly keys: (value: unknown) => { found: QueryResults['keys'] } | undefined;
  readonly lock: (value: unknown) => { found: QueryResults['lock'] } | undefined;
  readonly session: (value: unknown) => { found: boolean } | undefined;
  readonly token: (value: unknown) => { token: number } | undefined;
} = {
  outcome: outcomeOf,
  key: (value) => maybe(keyShape, value),
  keys: (value) => boxed(z.array(text), value),
  lock: (value) => maybe(lockShape, value),
  session: (value) => boxed(z.boolean(), value),
  token: (value) => (typeof value === 'number' ? { token: value } : undefined),
};

function boxed<Shape extends z.ZodMiniType>(
  shape: Shape,
  value: unknown,
): { found: z.infer<Shape> } | undefined {
  const parsed = shape.safeParse(value);
  return parsed.success ? { found: parsed.data } : undefined;
}

function maybe<Shape extends z.ZodMiniType>(
  shape: Shape,
  value: unknown,
): { found: z.infer<Shape> | undefined } | undefined {
  return value === null ? { found: undefined } : boxed(shape, value);
}

function read(bytes: Uint8Array): unknown {
  try {
    return decodeCbor(bytes);
  } catch {
    return undefined;
  }
}
