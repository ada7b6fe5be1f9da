/** Requests to the state machine, what came of them, and its whole state, as bytes. */

import type { NodeId } from '../kernel/ids.ts';
import type { MachineState } from '../protocol/consensus/machine.ts';
import type {
  Command,
  Expectation,
  Outcome,
  Request,
} from '../protocol/consensus/machine-types.ts';
import * as z from 'zod/mini';
import { decodeCbor, encodeCbor } from './cbor.ts';

/** Largest encoded request: one parcel, with room for its letter. */
export const requestBytesMax: number = 28 * 1024;

/** Longest text in a command, in UTF-16 units. */
const textLengthMax = 512;

/** Largest encoded state, in bytes. */
const stateBytesMax: number = 16 * 1024 * 1024;

const count = z.int().check(z.gte(0));
const bytes = z.instanceof(Uint8Array);

/** Encodes a command. */
export function encodeCommand(command: Command): Uint8Array {
  return encodeCbor(commandParts(command));
}

/** Decodes a command; undefined for anything that is not exactly one. */
export function decodeCommand(encoded: Uint8Array): Command | undefined {
  return commandOf(read(encoded, requestBytesMax));
}

/** Encodes a request, as it goes into the log. */
export function encodeRequest({ client, number, advanceMs, command }: Request): Uint8Array {
  return encodeCbor([client, number, advanceMs, commandParts(command)]);
}

/** Decodes a request; undefined for anything that is not exactly one. */
export function decodeRequest(encoded: Uint8Array): Request | undefined {
  const value = read(encoded, requestBytesMax);
  if (!Array.isArray(value) || value.length !== 4) return undefined;
  const [client, number, advanceMs, parts] = value as unknown[];
  const command = commandOf(parts);
  if (command === undefined || !isText(client) || !isCount(number)) return undefined;
  return typeof advanceMs === 'number' ? { client, number, advanceMs, command } : undefined;
}

function commandParts(command: Command): unknown[] {
  switch (command.op) {
    case 'put':
      return ['put', command.key, command.value];
    case 'delete':
      return ['delete', command.key];
    case 'cas': {
      const { expect } = command;
      const expected = expect.type === 'version' ? expect.version : (expect.value ?? null);
      return ['cas', command.key, expected, command.value ?? null];
    }
    case 'openSession':
      return ['openSession', command.node, command.ttlMs];
    case 'keepSession':
    case 'closeSession':
      return [command.op, command.session];
    case 'acquire': {
      const { session, name, owner, permits, mayWait } = command;
      return ['acquire', session, name, owner, permits, mayWait];
    }
    case 'release':
      return ['release', command.session, command.name, command.owner];
    case 'arrive':
      return ['arrive', command.name, command.party, command.parties];
    case 'next':
      return ['next', command.name, command.count];
    case 'clock':
      return ['clock'];
  }
}

function commandOf(value: unknown): Command | undefined {
  if (!Array.isArray(value)) return undefined;
  const [op, one, two, three, four, five] = value as unknown[];
  if (typeof op !== 'string' || value.length !== 1 + (fieldCounts.get(op) ?? -2)) return undefined;
  switch (op) {
    case 'put':
      return isText(one) && isBytes(two) ? { op, key: one, value: two.slice() } : undefined;
    case 'delete':
      return isText(one) ? { op, key: one } : undefined;
    case 'cas': {
      const expect = expectationOf(two);
      if (!isText(one) || expect === undefined || !(three === null || isBytes(three)))
        return undefined;
      return { op, key: one, expect, value: three?.slice() };
    }
    case 'openSession':
      return isText(one) && isCount(two) ? { op, node: one as NodeId, ttlMs: two } : undefined;
    case 'keepSession':
    case 'closeSession':
      return isCount(one) ? { op, session: one } : undefined;
    case 'acquire':
      if (!isCount(one) || !isText(two) || !isText(three) || !isCount(four)) return undefined;
      if (typeof five !== 'boolean') return undefined;
      return { op, session: one, name: two, owner: three, permits: four, mayWait: five };
    case 'release':
      if (!isCount(one) || !isText(two) || !isText(three)) return undefined;
      return { op, session: one, name: two, owner: three };
    case 'arrive':
      if (!isText(one) || !isText(two) || !isCount(three)) return undefined;
      return { op, name: one, party: two, parties: three };
    case 'next':
      return isText(one) && isCount(two) ? { op, name: one, count: two } : undefined;
    default:
      return { op: 'clock' };
  }
}

/** How many fields follow the name of each command. */
const fieldCounts: ReadonlyMap<string, number> = new Map([
  ['put', 2],
  ['delete', 1],
  ['cas', 3],
  ['openSession', 2],
  ['keepSession', 1],
  ['closeSession', 1],
  ['acquire', 5],
  ['release', 3],
  ['arrive', 3],
  ['next', 2],
  ['clock', 0],
]);

function expectationOf(value: unknown): Expectation | undefined {
  if (isCount(value)) return { type: 'version', version: value };
  if (value === null) return { type: 'value', value: undefined };
  return isBytes(value) ? { type: 'value', value: value.slice() } : undefined;
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value.length <= textLengthMax;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isBytes(value: unknown): value is Uint8Array {
  return value instanceof Uint8Array;
}

const outcomeShape = z.union([
  z.object({ type: z.literal('done'), index: count }),
  z.object({
    type: z.literal('refused'),
    reason: z.enum([
      'conflict',
      'full',
      'no-session',
      'busy',
      'other-permits',
      'other-parties',
      'not-held',
    ]),
    version: z.optional(count),
  }),
  z.object({ type: z.literal('granted'), token: count }),
  z.object({ type: z.literal('queued'), place: count }),
  z.object({ type: z.literal('arrived'), generation: count, isOpen: z.boolean() }),
  z.object({ type: z.literal('numbers'), first: count }),
]);

/** Reads an outcome that a leader sent. */
export function outcomeOf(value: unknown): Outcome | undefined {
  const parsed = outcomeShape.safeParse(value);
  return parsed.success ? (parsed.data as Outcome) : undefined;
}

/** Encodes the whole state. Only this node and its group's members read it: it is checked for its shape alone. */
export function encodeMachineState(state: MachineState): Uint8Array {
  const { time, hash, values, sessions, locks, barriers, sequences, clients } = state;
  return encodeCbor([1, time, hash, values, sessions, locks, barriers, sequences, clients]);
}

const stateShape = z.tuple([
  z.literal(1),
  z.number(),
  z.number(),
  z.array(z.tuple([z.string(), count, bytes])),
  z.array(z.tuple([count, z.string(), z.number(), z.number()])),
  z.array(
    z.tuple([
      z.string(),
      z.object({
        permits: count,
        holders: z.array(z.object({ session: count, owner: z.string(), token: count })),
        waiters: z.array(z.object({ session: count, owner: z.string() })),
      }),
    ]),
  ),
  z.array(
    z.tuple([
      z.string(),
      z.object({ parties: count, arrived: z.array(z.string()), generation: count }),
    ]),
  ),
  z.array(z.tuple([z.string(), count])),
  z.array(z.tuple([z.string(), z.array(z.tuple([count, outcomeShape]))])),
]);

/** Decodes a state; undefined when it is none of this version. */
export function decodeMachineState(encoded: Uint8Array): MachineState | undefined {
  const parsed = stateShape.safeParse(read(encoded, stateBytesMax));
  if (!parsed.success) return undefined;
  const [, time, hash, values, sessions, locks, barriers, sequences, clients] = parsed.data;
  const state = { time, hash, values, sessions, locks, barriers, sequences, clients };
  // Values are views of the encoded bytes, which would all be kept for the sake of one.
  const copied = values.map(([key, version, value]) => [key, version, value.slice()] as const);
  return { ...(state as unknown as MachineState), values: copied };
}

function read(encoded: Uint8Array, bytesMax: number): unknown {
  try {
    return decodeCbor(encoded, { bytesMax, depthMax: 8 });
  } catch {
    return undefined;
  }
}
