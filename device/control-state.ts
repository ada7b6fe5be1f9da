/** What commands may ask of replicated state, events and partitions: the requests, their checks, and what they do. */

import type {
  AgentHandles,
  EventQuery,
  Json,
  MergeReport,
  MeshEvent,
  MeshNode,
  StateChange,
  StateRow,
  StateStatus,
} from 'mycel';

/** Requests with one answer. */
export interface StateCalls {
  'state-set': {
    args: { readonly key: string; readonly json: string };
    result: StateRow;
  };
  'state-incr': { args: { readonly key: string; readonly by: number }; result: StateRow };
  'state-add': { args: { readonly key: string; readonly json: string }; result: StateRow };
  'state-remove': {
    args: { readonly key: string; readonly json?: string };
    result: { readonly key: string; readonly isRemoved: boolean };
  };
  'state-ls': { args: { readonly prefix: string }; result: readonly StateRow[] };
  'state-status': {
    args: Readonly<Record<string, never>>;
    result: StateStatus & { readonly fingerprint: string };
  };
  'events-emit': {
    args: {
      readonly type: string;
      readonly json?: string;
      readonly correlation?: string;
    };
    result: MeshEvent;
  };
  'events-query': {
    args: {
      readonly type?: string;
      readonly sinceMs?: number;
      readonly correlation?: string;
      readonly limit?: number;
      readonly isLocal?: boolean;
    };
    result: { readonly events: readonly MeshEvent[]; readonly missing: readonly string[] };
  };
  partitions: {
    args: Readonly<Record<string, never>>;
    result: {
      readonly missing: readonly { readonly node: string; readonly sinceMs: number }[];
      readonly reports: readonly MergeReport[];
    };
  };
}

/** Requests that are answered by a stream. */
export interface StateStreams {
  'state-watch': { args: { readonly prefix: string }; event: StateChange };
  'events-tail': { args: { readonly type: string }; event: MeshEvent };
}

/** Longest JSON of a value on its way to the node, in characters. */
const jsonLengthMax: number = 64 * 1024;

/** The checks that the control protocol is made of. */
interface CheckKit {
  text(lengthMax: number, lengthMin?: number): Check;
  whole(low: number, high: number): Check;
  optional(check: Check): Check;
}

type Check = (value: unknown) => string | undefined;

const flag: Check = (value) => (typeof value === 'boolean' ? undefined : 'must be true or false');

/** The checks of their arguments. */
export function stateChecks({
  text,
  whole,
  optional,
}: CheckKit): Readonly<
  Record<keyof StateCalls | keyof StateStreams, Readonly<Record<string, Check>>>
> {
  const key = text(1024);
  const prefix = text(1024, 0);
  const json = text(jsonLengthMax);
  return {
    'state-set': { key, json },
    'state-incr': { key, by: whole(-Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER) },
    'state-add': { key, json },
    'state-remove': { key, json: optional(json) },
    'state-ls': { prefix },
    'state-status': {},
    'state-watch': { prefix },
    'events-emit': { type: key, json: optional(json), correlation: optional(text(128)) },
    'events-query': {
      type: optional(text(128)),
      sinceMs: optional(whole(0, Number.MAX_SAFE_INTEGER)),
      correlation: optional(text(128)),
      limit: optional(whole(1, 1000)),
      isLocal: optional(flag),
    },
    'events-tail': { type: text(128) },
    partitions: {},
  };
}

/** A checked request of these. */
export type StateCallRequest = {
  readonly [Op in keyof StateCalls]: {
    readonly id: number;
    readonly op: Op;
    readonly args: StateCalls[Op]['args'];
  };
}[keyof StateCalls];

export type StateStreamRequest = {
  readonly [Op in keyof StateStreams]: {
    readonly id: number;
    readonly op: Op;
    readonly args: StateStreams[Op]['args'];
  };
}[keyof StateStreams];

const callNames: readonly string[] = Object.keys({
  'state-set': true,
  'state-incr': true,
  'state-add': true,
  'state-remove': true,
  'state-ls': true,
  'state-status': true,
  'events-emit': true,
  'events-query': true,
  partitions: true,
} satisfies Record<keyof StateCalls, true>);

/** Whether a call is one of these. */
export function isStateCall<Request extends { readonly op: string }>(
  request: Request,
): request is Extract<Request, { readonly op: keyof StateCalls }> {
  return callNames.includes(request.op);
}

/** Whether a stream is one of these. */
export function isStateStream<Request extends { readonly op: string }>(
  request: Request,
): request is Extract<Request, { readonly op: keyof StateStreams }> {
  return request.op === 'state-watch' || request.op === 'events-tail';
}

const furnished = (node: MeshNode): AgentHandles => node as MeshNode & AgentHandles;

/** Runs one call. */
export async function runStateCall(
  node: MeshNode,
  request: StateCallRequest,
): Promise<StateCalls[keyof StateCalls]['result']> {
  const { state, events, partitions } = furnished(node);
  switch (request.op) {
    case 'state-set': {
      const { key, json } = request.args;
      const register = state.register(key);
      await register.set(parse(json));
      return { key, type: 'register', value: register.get() };
    }
    case 'state-incr': {
      const { key, by } = request.args;
      return { key, type: 'counter', value: await state.counter(key).increment(by) };
    }
    case 'state-add': {
      const { key, json } = request.args;
      const set = state.set(key);
      await set.add(parse(json));
      return { key, type: 'set', value: set.values() };
    }
    case 'state-remove': {
      const { key, json } = request.args;
      if (json !== undefined) {
        return { key, isRemoved: await state.set(key).remove(parse(json)) };
      }
      const isThere = state.register(key).get() !== undefined;
      await state.register(key).delete();
      return { key, isRemoved: isThere };
    }
    case 'state-ls':
      return state.list(request.args.prefix);
    case 'state-status':
      return { ...state.status(), fingerprint: state.fingerprint() };
    case 'events-emit': {
      const { type, json, correlation } = request.args;
      const options = correlation === undefined ? {} : { correlation };
      return await events.emit(type, json === undefined ? null : parse(json), options);
    }
    case 'events-query': {
      const { isLocal, ...query } = request.args;
      if (isLocal === true) return { events: events.local(query), missing: [] };
      return await events.query(query satisfies EventQuery);
    }
    case 'partitions':
      return { missing: partitions.missing(), reports: partitions.reports() };
  }
}

/** Opens a stream; returns the function that ends it. */
export function openStateStream(
  node: MeshNode,
  request: StateStreamRequest,
  emit: (event: StateStreams[keyof StateStreams]['event']) => void,
): () => void {
  const { state, events } = furnished(node);
  return request.op === 'state-watch'
    ? state.watch(request.args.prefix, emit)
    : events.subscribe(request.args.type, emit);
}

/** The command has checked that it is JSON. */
function parse(json: string): Json {
  return JSON.parse(json) as Json;
}
