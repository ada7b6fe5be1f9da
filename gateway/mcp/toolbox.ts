/** Actions of the mesh's services as tools: which ones, with what schemas, and who may have them carried out. */

import { MycelError } from 'mycel';
import type { AgentHandles } from 'mycel';

import { toolName } from '../config/load.ts';
import type { PrincipalConfig, ToolConfig } from '../config/load.ts';
import type { JsonObject } from '../events.ts';

/** Calls of tools under way at once. */
export const toolCallsMax = 256;

/** How long an action may take, in ms: MCP clients give up after a minute. */
const callMs = 55_000;

/** What the toolbox needs of its node. */
export type ToolNode = Pick<AgentHandles, 'call' | 'describe'>;

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
  const byName = new Map(tools.map((tool) => [toolName(tool.action), tool]));
  let underWay = 0;

  async function toolOf(tool: ToolConfig): Promise<Tool | undefined> {
    const { action, namespace } = tool;
    const told = await node.describe(action, { namespace }).catch((error: unknown) => {
      // Nobody offers it now.
      if (MycelError.is(error)) return undefined;
      throw error;
    });
    if (told === undefined || told.isStream) return undefined;
    return {
      name: toolName(action),
      action,
      description:
        tool.description ??
        told.description ??
        `Calls '${told.action}' of the service '${told.service}' (${told.version}).`,
      inputSchema: objectSchema(told.input) ?? { type: 'object' },
      outputSchema: objectSchema(told.output),
      // The service knows; whoever runs the gateway may be stricter, and no milder.
      hasEffect: told.hasEffect || tool.effect === true,
    };
  }

  /** Why a principal may not, or undefined. */
  async function refusal(
    tool: ToolConfig,
    principal: PrincipalConfig,
    input: JsonObject,
    hasEffect: boolean,
  ): Promise<string | undefined> {
    if (!isVisible(tool, principal)) return `'${principal.name}' may not use it.`;
    if (!hasEffect) return undefined;
    if (mayCall !== undefined) {
      const said = await mayCall({ action: tool.action, principal: principal.name, input });
      return said === true ? undefined : said === false ? 'The policy says no.' : said;
    }
    if (tool.principals !== undefined) return undefined;
    const whose = tool.effect === false ? ' as its service says' : '';
    return `It has an effect${whose}, and nobody is named who may cause it. Name principals: for it under mcp.tools, or declare the action with effect: false.`;
  }

  return {
    async list(principal) {
      const found = await Promise.all(
        tools.filter((tool) => isVisible(tool, principal)).map(toolOf),
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
      const shown = await toolOf(tool);
      // What nobody offers now may have an effect when it is called.
      const why = await refusal(tool, principal, input, shown?.hasEffect !== false);
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

/** Tools take objects and give objects; what is none has no schema there. */
function objectSchema(schema: JsonObject | undefined): JsonObject | undefined {
  return schema?.['type'] === 'object' ? schema : undefined;
}
