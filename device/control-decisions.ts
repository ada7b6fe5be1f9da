/** What commands ask of a node about decisions: keys, roles and locks; the requests, their checks, and what each does. */

import type { AgentHandles, JsonValue, KvEntry, KvSwap, LeaderView, MeshNode } from 'mycel';

import type { CheckKit } from './control-agents.ts';
import { Failure, toFailure } from './failure.ts';
import type { FailureRecord } from './failure.ts';

/** The requests with one answer. Values are JSON text. */
export interface DecisionCalls {
  'kv-get': {
    args: { readonly key: string; readonly timeoutMs?: number };
    result: KvEntry | null;
  };
  'kv-put': {
    args: { readonly key: string; readonly value: string; readonly timeoutMs?: number };
    result: { readonly version: number };
  };
  /** Without `expected` the key must be absent. */
  'kv-cas': {
    args: {
      readonly key: string;
      readonly expected?: string;
      readonly value: string;
      readonly timeoutMs?: number;
    };
    result: KvSwap;
  };
  leader: { args: { readonly role?: string; readonly timeoutMs?: number }; result: LeaderView };
}

/** What happens to a lock that a command asked for. */
export type LockEvent =
  | { readonly type: 'granted'; readonly token: number }
  | { readonly type: 'lost'; readonly reason: string }
  | { readonly type: 'refused'; readonly error: FailureRecord };

/** The requests that are answered by a stream. The lock is given back when the stream ends, however it does. */
export interface DecisionStreams {
  lock: {
    args: { readonly name: string; readonly ttlMs?: number; readonly waitMs?: number };
    event: LockEvent;
  };
}

/** Longest value on the command line, in characters: it has 16 KiB at most when it is encoded. */
const valueLengthMax: number = 64 * 1024;

/** The longest wait for a decision or a lock, in ms. */
const waitMsMax = 3_600_000;

type Check = (value: unknown) => string | undefined;

/** The checks of these requests. */
export function decisionChecks({
  text,
  whole,
  optional,
}: CheckKit): Readonly<
  Record<keyof DecisionCalls | keyof DecisionStreams, Readonly<Record<string, Check>>>
> {
  const key = text(256);
  const value = text(valueLengthMax);
  const timeoutMs = optional(whole(1, waitMsMax));
  return {
    'kv-get': { key, timeoutMs },
    'kv-put': { key, value, timeoutMs },
    'kv-cas': { key, expected: optional(value), value, timeoutMs },
    leader: { role: optional(key), timeoutMs },
    lock: {
      name: key,
      ttlMs: optional(whole(500, waitMsMax)),
      waitMs: optional(whole(0, waitMsMax)),
    },
  };
}

/** One of the calls. */
export type DecisionRequest = {
  readonly [Op in keyof DecisionCalls]: {
    readonly op: Op;
    readonly args: DecisionCalls[Op]['args'];
  };
}[keyof DecisionCalls];

/** Whether a request is one of these calls. */
export function isDecisionRequest(request: { readonly op: string }): request is DecisionRequest {
  return ['kv-get', 'kv-put', 'kv-cas', 'leader'].includes(request.op);
}

/** Runs one. */
export async function runDecisionCall(node: MeshNode, request: DecisionRequest): Promise<unknown> {
  const { kv, leader } = node as MeshNode & AgentHandles;
  const { timeoutMs } = request.args;
  const options = timeoutMs === undefined ? {} : { deadlineMs: timeoutMs };
  switch (request.op) {
    case 'kv-get':
      return (await kv.get(request.args.key, options)) ?? null;
    case 'kv-put': {
      const { key, value } = request.args;
      return { version: await kv.put(key, parseValue(value), options) };
    }
    case 'kv-cas': {
      const { key, expected, value } = request.args;
      const found = expected === undefined ? undefined : parseValue(expected);
      return kv.cas(key, { value: found }, parseValue(value), options);
    }
    case 'leader':
      return leader(request.args.role, options);
  }
}

/** Takes a lock for as long as the stream lives. */
export function openLock(
  node: MeshNode,
  args: DecisionStreams['lock']['args'],
  emit: (event: LockEvent) => void,
  signal: AbortSignal,
): void {
  const { lock } = node as MeshNode & AgentHandles;
  const { name, ttlMs, waitMs } = args;
  lock(name, {
    signal,
    ...(ttlMs === undefined ? {} : { ttl: ttlMs }),
    ...(waitMs === undefined ? {} : { wait: waitMs }),
  }).then(
    (held) => {
      const release = (): void => void held.release();
      if (signal.aborted) return release();
      signal.addEventListener('abort', release, { once: true });
      held.lost.addEventListener('abort', () => {
        const { reason } = held.lost as { reason: unknown };
        emit({ type: 'lost', reason: reason instanceof Error ? reason.message : 'It was lost.' });
      });
      emit({ type: 'granted', token: held.token });
    },
    (error: unknown) => {
      if (!signal.aborted) emit({ type: 'refused', error: toFailure(error).toRecord() });
    },
  );
}

/** @throws {Failure} MYCEL_USAGE */
export function parseValue(value: string): JsonValue {
  try {
    return JSON.parse(value) as JsonValue;
  } catch {
    throw new Failure(
      'MYCEL_USAGE',
      `'${value.slice(0, 40)}' is not JSON.`,
      `Write a text as '"text"', a number as 21.5, an object as '{"on":true}'.`,
    );
  }
}
