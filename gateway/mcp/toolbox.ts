/** Actions of the mesh's services as tools: which ones, with what schemas, and who may have them carried out. */

import { LRUCache } from 'lru-cache';
import { MycelError } from 'mycel';
import type { AgentHandles, ServiceInfo } from 'mycel';

import { toolName } from '../config/load.ts';
import type { PrincipalConfig, ToolConfig } from '../config/load.ts';
import { isObject } from '../events.ts';
import type { JsonObject } from '../events.ts';

/** Calls of tools under way at once. */
export const toolCallsMax = 256;

/** Schemas of actions that are remembered. */
export const toolSchemasMax = 1024;

/** How long an action may take, in ms: MCP clients give up after a minute. */
const callMs = 55_000;

/** How long a node may take to tell its schemas, in ms. */
const schemaMs = 3_000;

/** What the toolbox needs of its node. */
export type ToolNode = Pick<AgentHandles, 'call' | 'services'>;

/** An action as a tool. */
export interface Tool {
  readonly name: string;
  readonly action: string;
  readonly description: string;
  /** JSON Schema of an object, as the service states it. */
  readonly inputSchema: JsonObject;
  /** The same of what comes back; undefined when that is no object. */
  readonly outputSchema: JsonObject | undefined;
  readonly hasEffect: boolean;
  readonly isIdempotent: boolean;
}

/** A wish to call a tool that has an effect. */
export interface ToolWish {
  readonly action: string;
  readonly principal: string;
  readonly input: JsonObject;
}

/** Decides about a tool with an effect before it is called: true, or why not. */
export type MayCall = (wish: ToolWish) => boolean | string | Promise<boolean | string>;

/** The tools of one gateway. */
export interface Toolbox {
  /** Those whose service is in the mesh now and that the principal may see. */
  list(principal: PrincipalConfig): Promise<readonly Tool[]>;
  /**
   * Calls one.
   * @throws {MycelError} MYCEL_UNKNOWN_ACTION, MYCEL_TOOL_REFUSED, MYCEL_SERVICE_BUSY, or what the call failed with.
   */
  call(
    name: string,
    input: JsonObject,
    principal: PrincipalConfig,
    signal: AbortSignal,
  ): Promise<{ readonly value: unknown; readonly hasSchema: boolean }>;
}

/** Builds it over the actions that the configuration names. */
export function createToolbox(
  tools: readonly ToolConfig[],
  node: ToolNode,
  mayCall: MayCall | undefined,
): Toolbox {
  const schemas = new LRUCache<string, JsonObject>({ max: toolSchemasMax });
  const byName = new Map(tools.map((tool) => [toolName(tool.action), tool]));
  let underWay = 0;

  /** Asks the node that offers it; what it told counts until the shape of the action is another one. */
  async function schemasOf(info: ServiceInfo, action: string): Promise<JsonObject | undefined> {
    const hash = info.actions.find(({ name }) => name === action)?.hash;
    const key = JSON.stringify([info.node, info.namespace, info.service, action, hash]);
    const known = schemas.get(key);
    if (known !== undefined) return known;
    const told = await node.call('$SRV.info', {}, { node: info.node, timeoutMs: schemaMs });
    const service = (Array.isArray(told) ? (told as unknown[]) : []).find(
      (one) =>
        isObject(one) && one['service'] === info.service && one['namespace'] === info.namespace,
    );
    const all = isObject(service) ? service['schemas'] : undefined;
    const found = isObject(all) ? all[action] : undefined;
    if (!isObject(found)) return undefined;
    schemas.set(key, found);
    return found;
  }

  async function toolOf(tool: ToolConfig, all: readonly ServiceInfo[]): Promise<Tool | undefined> {
    const { service, action } = split(tool.action);
    const info = all.find(
      (one) =>
        one.service === service &&
        one.namespace === tool.namespace &&
        one.actions.some(({ name, isStream }) => name === action && !isStream),
    );
    if (info === undefined) return undefined;
    const told = await schemasOf(info, action).catch(() => undefined);
    const input = objectSchema(told?.['input']);
    const output = told?.['output'];
    return {
      name: toolName(tool.action),
      action: tool.action,
      description:
        tool.description ?? `Calls '${action}' of the service '${service}' (${info.version}).`,
      inputSchema: input ?? { type: 'object' },
      outputSchema: objectSchema(output),
      hasEffect: tool.effect,
      isIdempotent: !tool.effect,
    };
  }

  /** Why a principal may not, or undefined. */
  async function refusal(
    tool: ToolConfig,
    principal: PrincipalConfig,
    input: JsonObject,
  ): Promise<string | undefined> {
    if (!isVisible(tool, principal)) return `'${principal.name}' may not use it.`;
    if (!tool.effect) return undefined;
    if (mayCall !== undefined) {
      const said = await mayCall({ action: tool.action, principal: principal.name, input });
      return said === true ? undefined : said === false ? 'The policy says no.' : said;
    }
    return tool.principals === undefined
      ? `It has an effect, and nobody is named who may cause it. Name principals: for it under mcp.tools.`
      : undefined;
  }

  return {
    async list(principal) {
      const all = node.services();
      const found = await Promise.all(
        tools.filter((tool) => isVisible(tool, principal)).map((tool) => toolOf(tool, all)),
      );
      return found.flatMap((tool) => tool ?? []);
    },
    async call(name, input, principal, signal) {
      const tool = byName.get(name);
      if (tool === undefined) {
        throw new MycelError('MYCEL_UNKNOWN_ACTION', {
          reason: `There is no tool '${name.slice(0, 64)}'.`,
          fix: 'tools/list names those there are.',
        });
      }
      const why = await refusal(tool, principal, input);
      if (why !== undefined)
        throw new MycelError('MYCEL_TOOL_REFUSED', { tool: name, reason: why });
      if (underWay >= toolCallsMax) {
        throw new MycelError('MYCEL_SERVICE_BUSY', {
          reason: `${toolCallsMax} tools are being called already.`,
        });
      }
      underWay += 1;
      try {
        const { namespace } = tool;
        const value = await node.call(tool.action, input, { namespace, timeoutMs: callMs, signal });
        const shown = await toolOf(tool, node.services());
        return { value, hasSchema: shown?.outputSchema !== undefined };
      } finally {
        underWay -= 1;
      }
    },
  };
}

function isVisible({ principals }: ToolConfig, { name }: PrincipalConfig): boolean {
  return principals === undefined || principals.includes(name);
}

function split(action: string): { readonly service: string; readonly action: string } {
  const dot = action.lastIndexOf('.');
  return { service: action.slice(0, dot), action: action.slice(dot + 1) };
}

/** A schema of an object, without the name of its dialect: some clients look that up. */
function objectSchema(schema: unknown): JsonObject | undefined {
  if (!isObject(schema) || schema['type'] !== 'object') return undefined;
  const { $schema: _dialect, ...rest } = schema;
  return rest;
}
