/** Actions of the mesh as tools of a language model: typed by their schemas, asked of a policy when they change anything. */

import type { Millis } from '../../kernel/core.ts';
import { MycelError } from '../../kernel/errors.ts';
import type { ErrorCode } from '../../kernel/errors.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { JsonSchema } from '../services/describing.ts';
import type { Services } from '../services/services.ts';

/** Tools that one request may offer to a model. */
export const llmToolsMax = 64;

/** Arguments of one call of a tool, in characters. */
export const llmToolInputMax = 65_536;

/** What one call of a tool may answer to the model, in characters of JSON. */
export const llmToolResultMax = 16_384;

/** An action that a model may call. */
export interface LlmTool {
  /** `SERVICE.ACTION`, or `SERVICE.*` for every action of a service that answers once. */
  readonly action: string;
  /** What the model reads about it. @default what its service says */
  readonly description?: string;
  /** @default 'default' */
  readonly namespace?: string;
  /** Only instances that fit, as in `node.call`. */
  readonly select?: string;
  /** Only on this node. */
  readonly node?: NodeId;
}

/** A call of a tool that changes something, before it is made. */
export interface ToolWish {
  readonly action: string;
  readonly namespace: string;
  /** What the model wrote; the action checks it when it is called. */
  readonly input: Readonly<Record<string, unknown>>;
  /** The agent whose model wants it; undefined: a program on this node. */
  readonly agent: string | undefined;
}

/**
 * Who may have a model cause effects: a function that says true, or why not; or a table of actions (`lamp.set`, `lamp.*`)
 * with the agents that may, `*` for all agents and the programs of the node.
 */
export type ToolPolicy =
  | ((wish: ToolWish) => boolean | string | Promise<boolean | string>)
  | Readonly<Record<string, readonly string[]>>;

/** A call of a tool that was made, or refused. */
export interface LlmToolStep {
  readonly type: 'called';
  readonly id: string;
  /** The name that the model called. */
  readonly name: string;
  /** The action; undefined: there is no tool of this name. */
  readonly action: string | undefined;
  /** What the model wrote, as it wrote it. */
  readonly input: string;
  /** The code of its failure; undefined: it was carried out. A handler's own errors are `MYCEL_HANDLER_FAILED`. */
  readonly failure: ErrorCode | undefined;
  /** What the model was told: JSON. */
  readonly told: string;
}

/** A call as a model wishes it. */
export interface ToolCall {
  readonly id: string;
  readonly name: string;
  readonly input: string;
}

/** What one call is made with. */
export interface ToolCallOptions {
  readonly timeoutMs: Millis;
  readonly signal: AbortSignal | undefined;
  /** Names the call: a repeat is carried out once. */
  readonly key: string;
  readonly correlation: string;
}

/** The tools of one request. */
export interface Tools {
  /** As OpenAI's `tools`. */
  readonly offered: readonly Readonly<Record<string, unknown>>[];
  /** Whether any of these calls would change something. */
  haveEffect(calls: readonly ToolCall[]): boolean;
  /** Makes one; what fails is told to the model, which may ask in another way. Rejects only when the signal is aborted. */
  call(call: ToolCall, options: ToolCallOptions): Promise<LlmToolStep>;
}

/** What tools need of their node. */
export interface ToolWorld {
  readonly services: Pick<Services, 'call' | 'describe' | 'list'>;
  readonly policy: ToolPolicy | undefined;
  readonly agent: string | undefined;
  /** Resolves when there is no doubt any more that the asker may act; undefined: there is none. */
  pass(): Promise<void> | undefined;
}

interface Tool extends LlmTool {
  readonly name: string;
  readonly namespace: string;
  readonly says: string;
  readonly input: JsonSchema;
  readonly hasEffect: boolean;
}

/**
 * Finds what was named.
 * @throws {MycelError} MYCEL_UNKNOWN_SERVICE, MYCEL_UNKNOWN_ACTION, MYCEL_BAD_OPTION
 */
export async function gatherTools(
  wanted: readonly (string | LlmTool)[],
  world: ToolWorld,
): Promise<Tools> {
  const named = wanted.map((one) => (typeof one === 'string' ? { action: one } : one));
  const all = named.flatMap((one) => spread(one, world.services));
  if (all.length > llmToolsMax) {
    throw new MycelError('MYCEL_BAD_OPTION', {
      reason: `${all.length} tools are named, ${llmToolsMax} at most.`,
      fix: 'Name single actions instead of whole services.',
    });
  }
  const tools = await Promise.all(all.map((one) => describe(one, world.services)));
  const byName = new Map(tools.map((tool) => [tool.name, tool]));
  if (byName.size < tools.length) {
    const twice = tools.find((tool) => byName.get(tool.name) !== tool);
    throw new MycelError('MYCEL_BAD_OPTION', {
      reason: `Two tools would be called '${twice?.name ?? ''}' by the model.`,
      fix: 'Name each action once.',
    });
  }

  async function carryOut(
    tool: Tool | undefined,
    { name, input: text }: ToolCall,
    how: ToolCallOptions,
  ): Promise<string> {
    if (tool === undefined) {
      throw new MycelError('MYCEL_UNKNOWN_ACTION', {
        reason: `There is no tool '${name.slice(0, 64)}'. There are: ${[...byName.keys()].join(', ')}.`,
      });
    }
    const input = argumentsOf(text);
    const { action, namespace, select, node, hasEffect } = tool;
    if (hasEffect) await allow({ action, namespace, input, agent: world.agent }, world.policy);
    for (let doubt = world.pass(); doubt !== undefined; doubt = world.pass()) await doubt;
    how.signal?.throwIfAborted();
    const value = await world.services.call(action, input, {
      namespace,
      timeoutMs: how.timeoutMs,
      key: how.key,
      correlation: how.correlation,
      ...(how.signal === undefined ? {} : { signal: how.signal }),
      ...(select === undefined ? {} : { select }),
      ...(node === undefined ? {} : { node }),
    });
    return jsonOf(value);
  }

  return {
    offered: tools.map(({ name, says, input }) => ({
      type: 'function',
      function: { name, description: says, parameters: input },
    })),
    haveEffect: (calls) => calls.some(({ name }) => byName.get(name)?.hasEffect === true),
    async call(call, how) {
      const { id, name, input } = call;
      const tool = byName.get(name);
      const step = { type: 'called', id, name, action: tool?.action, input } as const;
      try {
        return { ...step, failure: undefined, told: await carryOut(tool, call, how) };
      } catch (error) {
        how.signal?.throwIfAborted();
        const failure = MycelError.is(error) ? error.code : 'MYCEL_HANDLER_FAILED';
        const message = error instanceof Error ? error.message : String(error);
        const told = JSON.stringify({ error: { code: failure, message: message.slice(0, 2_000) } });
        return { ...step, failure, told };
      }
    },
  };
}

/** Every action of a service where `*` stands for them. */
function spread(tool: LlmTool, services: Pick<Services, 'list'>): readonly LlmTool[] {
  if (!tool.action.endsWith('.*')) return [tool];
  const service = tool.action.slice(0, -2);
  const fitting = services
    .list()
    .filter((one) => one.service === service && one.namespace === (tool.namespace ?? 'default'));
  const names = fitting.flatMap(({ actions }) =>
    actions.filter(({ isStream }) => !isStream).map(({ name }) => name),
  );
  if (names.length > 0)
    return [...new Set(names)].sort().map((name) => ({ ...tool, action: `${service}.${name}` }));
  throw new MycelError('MYCEL_UNKNOWN_SERVICE', {
    reason: `Nobody offers '${service.slice(0, 64)}', whose actions are to be tools.`,
  });
}

async function describe(tool: LlmTool, services: Pick<Services, 'describe'>): Promise<Tool> {
  const told = await services.describe(tool.action, tool);
  if (told.isStream) {
    throw new MycelError('MYCEL_BAD_OPTION', {
      reason: `'${tool.action}' answers with a stream, which no tool does.`,
    });
  }
  const { service, action, namespace, version, input } = told;
  return {
    ...tool,
    namespace,
    name: toolName(namespace === 'default' ? tool.action : `${namespace}_${tool.action}`),
    says:
      tool.description ??
      told.description ??
      `Calls '${action}' of the service '${service}' (${version}).`,
    input: input?.['type'] === 'object' ? input : { type: 'object' },
    hasEffect: told.hasEffect,
  };
}

/** How models call the tool of an action: many take names without dots only. */
function toolName(action: string): string {
  return action.replace(/[^A-Za-z0-9_-]/g, '_').slice(0, 64);
}

/** What the model wrote as arguments; nothing means none. */
function argumentsOf(text: string): Readonly<Record<string, unknown>> {
  if (text.length > llmToolInputMax) {
    throw new MycelError('MYCEL_BAD_INPUT', {
      reason: `The arguments have ${text.length} characters, ${llmToolInputMax} at most.`,
    });
  }
  let value: unknown;
  try {
    value = text.trim() === '' ? {} : JSON.parse(text);
  } catch (error) {
    throw new MycelError('MYCEL_BAD_INPUT', {
      reason: `The arguments are no JSON: ${(error as Error).message}.`,
    });
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Readonly<Record<string, unknown>>;
  throw new MycelError('MYCEL_BAD_INPUT', { reason: 'The arguments are no JSON object.' });
}

function jsonOf(value: unknown): string {
  const text = JSON.stringify(value ?? null) ?? 'null';
  if (text.length <= llmToolResultMax) return text;
  throw new MycelError('MYCEL_TOO_LARGE', {
    reason: `It answered with ${text.length} characters, ${llmToolResultMax} at most: ask for less. It was carried out.`,
  });
}

/** @throws {MycelError} MYCEL_TOOL_REFUSED */
async function allow(wish: ToolWish, policy: ToolPolicy | undefined): Promise<void> {
  const why = await refusal(wish, policy);
  if (why === undefined) return;
  throw new MycelError('MYCEL_TOOL_REFUSED', { tool: wish.action, reason: why });
}

async function refusal(
  wish: ToolWish,
  policy: ToolPolicy | undefined,
): Promise<string | undefined> {
  const { action, agent } = wish;
  if (policy === undefined)
    return `'${action}' changes something, and this node has no toolPolicy that lets a model do that.`;
  if (typeof policy === 'function') {
    try {
      const said = await policy(wish);
      if (said === true) return undefined;
      return typeof said === 'string' ? said : 'The policy of the node says no.';
    } catch (error) {
      return `The policy of the node failed: ${error instanceof Error ? error.message : String(error)}`;
    }
  }
  const whole = `${action.slice(0, action.lastIndexOf('.'))}.*`;
  const agents = [action, whole].flatMap((key) =>
    Object.hasOwn(policy, key) ? (policy[key] ?? []) : [],
  );
  if (agents.includes('*') || (agent !== undefined && agents.includes(agent))) return undefined;
  const who = agent === undefined ? 'A program of the node' : `The agent '${agent}'`;
  return `${who} is not among those who may have a model call '${action}'.`;
}
