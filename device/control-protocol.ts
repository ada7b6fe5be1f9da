/** What a command and the running node say to each other: one JSON object a line over a unix socket. */

import type {
  DiscoveryReport,
  GuestInfo,
  Invite,
  MemberInfo,
  MeshEvents,
  NodeStatus,
  PendingMember,
  ListenersReport,
  MessageExplanation,
  Published,
  TopicExplanation,
  TopologyReport,
} from 'mycel';

import { agentChecks } from './control-agents.ts';
import { configChecks } from './control-config.ts';
import type { ConfigCalls } from './control-config.ts';
import { decisionChecks } from './control-decisions.ts';
import type { DecisionCalls, DecisionStreams } from './control-decisions.ts';
import type { AgentCalls } from './control-agents.ts';
import { llmChecks } from './control-llm.ts';
import type { LlmCalls, LlmStreams } from './control-llm.ts';
import { stateChecks } from './control-state.ts';
import { taskChecks } from './control-tasks.ts';
import type { TaskCalls } from './control-tasks.ts';
import type { StateCalls, StateStreams } from './control-state.ts';
import { updateChecks } from './control-updates.ts';
import type { UpdateCalls } from './control-updates.ts';
import { blobChecks } from './control-blobs.ts';
import type { BlobCalls } from './control-blobs.ts';
import type { FailureRecord } from './failure.ts';
import { configFileBytesMax } from './config-file.ts';
import type { TopologySetArgs } from './topology-operations.ts';

/** Longest line either side accepts, in bytes: the largest message in base64. A longer one ends the connection. */
export const controlLineBytesMax: number = 24 * 1024 * 1024;

/** Connections the node serves at once; one more is told to come back and closed. */
export const controlConnectionsMax = 64;

/** Requests and streams one connection may have open at once. */
export const controlOpenMax = 32;

/** Output waiting for one slow reader before it is cut, in bytes. */
export const controlOutputBytesMax: number = 24 * 1024 * 1024;

/** Output waiting for all readers together before the one being written to is cut, in bytes. */
export const controlOutputTotalBytesMax: number = 48 * 1024 * 1024;

/** Largest payload of `publish`, in bytes. */
export const controlPayloadBytesMax: number = 16 * 1024 * 1024;

/** No arguments. */
export type NoArgs = Readonly<Record<string, never>>;

/** A message as it travels to a command. */
export interface ControlMessage {
  readonly topic: string;
  readonly payloadBase64: string;
  readonly origin: string;
  readonly qos: 0 | 1;
  readonly retain: boolean;
  readonly at: number;
  /** For `explain`. */
  readonly id: string;
}

/** One of the node's events, by name. */
export type ControlEvent = {
  readonly [Name in keyof MeshEvents]: { readonly name: Name; readonly value: MeshEvents[Name] };
}[keyof MeshEvents];

/** The requests with one answer: what they take and what they give. */
export interface ControlCalls
  extends
    AgentCalls,
    BlobCalls,
    ConfigCalls,
    LlmCalls,
    DecisionCalls,
    StateCalls,
    TaskCalls,
    UpdateCalls {
  status: { args: NoArgs; result: NodeStatus };
  members: { args: NoArgs; result: readonly MemberInfo[] };
  discover: { args: NoArgs; result: DiscoveryReport };
  publish: {
    args: {
      readonly topic: string;
      readonly payloadBase64: string;
      readonly qos: 0 | 1;
      readonly retain: boolean;
      readonly channel?: string;
      readonly urgent?: boolean;
    };
    result: Published;
  };
  init: {
    args: { readonly mesh?: string };
    result: { readonly id: string; readonly name: string };
  };
  invite: {
    args: {
      readonly ttlMs?: number;
      readonly uses?: number;
      readonly role?: 'node' | 'admin';
    };
    result: Invite;
  };
  window: { args: { readonly ms: number }; result: NoArgs };
  pending: { args: NoArgs; result: readonly PendingMember[] };
  approve: {
    args: { readonly who: string };
    result: { readonly id: string; readonly name: string };
  };
  join: {
    args: { readonly invite: string };
    result: { readonly id: string; readonly name: string };
  };
  leave: { args: NoArgs; result: NoArgs };
  revoke: {
    args: { readonly who: string };
    result: { readonly id: string; readonly name: string };
  };
  'guest-add': {
    args: {
      readonly name: string;
      readonly password?: string;
      readonly publish?: readonly string[];
      readonly subscribe?: readonly string[];
    };
    result: { readonly password: string; readonly port: number };
  };
  listeners: { args: { readonly topic: string }; result: ListenersReport };
  'explain-topic': { args: { readonly topic: string }; result: TopicExplanation };
  'explain-message': { args: { readonly message: string }; result: MessageExplanation };
  /** `json`: the channels as in the configuration file. */
  'channels-set': { args: { readonly json: string }; result: NodeStatus['channels'] };
  topology: { args: NoArgs; result: TopologyReport };
  'topology-set': { args: TopologySetArgs; result: TopologyReport };
  'topology-auto': { args: { readonly hint?: string }; result: TopologyReport };
  'guest-ls': { args: NoArgs; result: readonly GuestInfo[] };
  'guest-rm': { args: { readonly name: string }; result: NoArgs };
  /**
   * Answers when the node has begun to stop; the connection closes when it has stopped.
   * With `sleepMs` the mesh is told first that the board will be back after so long.
   */
  down: { args: { readonly sleepMs?: number }; result: NoArgs };
}

/** The requests that are answered by `ok` and then a stream of events. */
export interface ControlStreams extends LlmStreams, DecisionStreams, StateStreams {
  subscribe: { args: { readonly filter: string }; event: ControlMessage };
  events: { args: NoArgs; event: ControlEvent };
}

export type CallName = keyof ControlCalls;
export type StreamName = keyof ControlStreams;

/** A checked request. */
export type ControlRequest = {
  readonly [Op in CallName | StreamName]: {
    readonly id: number;
    readonly op: Op;
    readonly args: Op extends CallName
      ? ControlCalls[Op]['args']
      : Op extends StreamName
        ? ControlStreams[Op]['args']
        : never;
  };
}[CallName | StreamName];

/** Every line the node writes. `id` is null when the failure belongs to the connection, not to a request. */
export type ControlReply =
  | { readonly id: number; readonly ok: true; readonly result: unknown }
  | { readonly id: number | null; readonly ok: false; readonly error: FailureRecord }
  | { readonly id: number; readonly event: unknown }
  | { readonly id: number; readonly end: string };

/** Says what is wrong with a value, or undefined. */
type Check = (value: unknown) => string | undefined;

const text =
  (lengthMax: number, lengthMin = 1): Check =>
  (value) =>
    typeof value === 'string' && value.length >= lengthMin && value.length <= lengthMax
      ? undefined
      : `must be text of ${lengthMin} to ${lengthMax} characters`;
const whole =
  (low: number, high: number): Check =>
  (value) =>
    Number.isSafeInteger(value) && (value as number) >= low && (value as number) <= high
      ? undefined
      : `must be a whole number from ${low} to ${high}`;
const oneOf =
  (...allowed: readonly unknown[]): Check =>
  (value) =>
    allowed.includes(value) ? undefined : `must be one of ${allowed.join(', ')}`;
const list =
  (item: Check, lengthMax: number): Check =>
  (value) => {
    if (!Array.isArray(value) || value.length > lengthMax) {
      return `must be a list of at most ${lengthMax}`;
    }
    return value.map(item).find((problem) => problem !== undefined);
  };
const base64: Check = (value) =>
  typeof value === 'string' &&
  value.length <= Math.ceil(controlPayloadBytesMax / 3) * 4 &&
  value.length % 4 === 0 &&
  /^[A-Za-z0-9+/]*={0,2}$/.test(value)
    ? undefined
    : `must be base64 of at most ${controlPayloadBytesMax} bytes`;
const optional =
  (check: Check): Check =>
  (value) =>
    value === undefined ? undefined : check(value);

/** Thirty days: the longest time an invite or a join window may be given, in ms. */
const spanMaxMs = 30 * 86_400_000;
const filters = optional(list(text(1024), 64));

const checks: Readonly<Record<CallName | StreamName, Readonly<Record<string, Check>>>> = {
  ...blobChecks({ text, whole }),
  ...agentChecks({ text, whole, optional, list, oneOf }),
  ...configChecks({ text, whole, optional, list, oneOf }),
  ...decisionChecks({ text, whole, optional, list, oneOf }),
  ...llmChecks({ text, whole, optional, list, oneOf }),
  ...stateChecks({ text, whole, optional }),
  ...taskChecks({ text, whole, optional, list, oneOf }),
  ...updateChecks({ text, whole, optional, list, base64 }),
  status: {},
  members: {},
  discover: {},
  publish: {
    topic: text(1024),
    payloadBase64: base64,
    qos: oneOf(0, 1),
    retain: oneOf(true, false),
    channel: optional(text(32)),
    urgent: optional(oneOf(true, false)),
  },
  subscribe: { filter: text(1024) },
  init: { mesh: optional(text(64)) },
  invite: {
    ttlMs: optional(whole(1, spanMaxMs)),
    uses: optional(whole(1, 1000)),
    role: optional(oneOf('node', 'admin')),
  },
  window: { ms: whole(0, spanMaxMs) },
  pending: {},
  approve: { who: text(64) },
  join: { invite: text(8192) },
  leave: {},
  revoke: { who: text(64) },
  'guest-add': {
    name: text(64),
    password: optional(text(256)),
    publish: filters,
    subscribe: filters,
  },
  listeners: { topic: text(1024) },
  'explain-topic': { topic: text(1024) },
  'explain-message': { message: text(128) },
  'channels-set': { json: text(configFileBytesMax) },
  topology: {},
  'topology-set': {
    kind: text(64),
    hubs: optional(list(text(64), 32)),
    reason: optional(text(128)),
  },
  'topology-auto': { hint: optional(text(64)) },
  'guest-ls': {},
  'guest-rm': { name: text(64) },
  events: {},
  down: { sleepMs: optional(whole(1, spanMaxMs)) },
};

/** Reads a line. `field` is the argument whose value is wrong; `id` is the request's when it could be read. */
export function parseRequest(line: string):
  | { readonly request: ControlRequest }
  | {
      readonly id: number | null;
      readonly problem: string;
      readonly field?: string;
      readonly isGarbage: boolean;
    } {
  const value = parseObject(line);
  if (value === undefined) return { id: null, problem: 'not a JSON object', isGarbage: true };
  const { id, op, args = {} } = value;
  if (whole(0, Number.MAX_SAFE_INTEGER)(id) !== undefined) {
    return { id: null, problem: "'id' must be a whole number", isGarbage: true };
  }
  const refuse = (problem: string) => ({ id: id as number, problem, isGarbage: false });
  if (typeof op !== 'string' || !Object.hasOwn(checks, op)) {
    return refuse(`there is no operation '${String(op).slice(0, 40)}'`);
  }
  if (typeof args !== 'object' || args === null || Array.isArray(args)) {
    return refuse("'args' must be an object");
  }
  const shape = checks[op as CallName];
  const stranger = Object.keys(args).find((key) => !Object.hasOwn(shape, key));
  if (stranger !== undefined) return refuse(`'${op}' takes no '${stranger.slice(0, 40)}'`);
  for (const [field, check] of Object.entries(shape)) {
    const problem = check((args as Record<string, unknown>)[field]);
    if (problem !== undefined) return { ...refuse(`'${field}' ${problem}`), field };
  }
  return { request: { id, op, args } as ControlRequest };
}

/** Reads a line of the node. Gives undefined when it is not one of ours. */
export function parseReply(line: string): ControlReply | undefined {
  const value = parseObject(line);
  if (value === undefined) return undefined;
  if (value['id'] !== null && !Number.isSafeInteger(value['id'])) return undefined;
  const isReply =
    typeof value['ok'] === 'boolean' || 'event' in value || typeof value['end'] === 'string';
  if (value['ok'] === false && !isFailureRecord(value['error'])) return undefined;
  return isReply ? (value as unknown as ControlReply) : undefined;
}

function isFailureRecord(value: unknown): value is FailureRecord {
  if (typeof value !== 'object' || value === null) return false;
  const { code, text: what, fix } = value as Record<string, unknown>;
  return [code, what, fix].every((part) => typeof part === 'string');
}

function parseObject(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}
