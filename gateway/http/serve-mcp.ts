/** `POST /mcp`: tools for MCP clients over streamable HTTP. Nothing is kept between requests, so there is no session. */

import type { IncomingMessage, ServerResponse } from 'node:http';

import { version } from 'mycel';

import type { PrincipalConfig } from '../config/load.ts';
import { isObject, textOf } from '../events.ts';
import type { JsonObject } from '../events.ts';
import { LlmFailure } from '../failure.ts';
import type { Toolbox } from '../mcp/toolbox.ts';
import { readJson, sendJson } from './exchange.ts';
import { watchClient } from './serve-chat.ts';

/** Versions of the protocol, newest first; a client that speaks none of them is offered the newest. */
const versions: readonly string[] = ['2025-06-18', '2025-03-26', '2024-11-05'];

/** What it is given. */
export interface McpCall {
  readonly tools: Toolbox | undefined;
  readonly principal: PrincipalConfig;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

type ToolsCall = McpCall & { readonly tools: Toolbox };

/** JSON-RPC's own errors. */
class RpcError extends Error {
  readonly code: number;
  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/** Serves one message. @throws {LlmFailure} when it is none, or no tools are configured. */
export async function serveMcp(call: McpCall): Promise<void> {
  const { tools, request, response } = call;
  if (tools === undefined) {
    throw new LlmFailure('invalid', 'No tools are configured. Name some under mcp.tools.', {
      status: 404,
      code: 'no_tools',
    });
  }
  assertOrigin(request);
  const message = await readJson(request);
  const { id, method } = message as { id?: unknown; method?: unknown };
  // A notification, or an answer to something that was never asked: taken, and nothing to say.
  if (typeof method !== 'string' || (typeof id !== 'string' && typeof id !== 'number')) {
    response.writeHead(202).end();
    return;
  }
  const given = message['params'];
  try {
    const result = await answer(method, isObject(given) ? given : {}, { ...call, tools });
    sendJson(response, 200, { jsonrpc: '2.0', id, result });
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
    const { code, message: text } = error;
    sendJson(response, 200, { jsonrpc: '2.0', id, error: { code, message: text } });
  }
}

/** Pages of other sites must not call tools through somebody's browser. */
function assertOrigin({ headers }: IncomingMessage): void {
  const { origin, host } = headers;
  if (origin === undefined || (URL.canParse(origin) && new URL(origin).host === host)) return;
  throw new LlmFailure('unauthorized', 'Web pages of other places may not call tools here.', {
    status: 403,
    code: 'unknown_origin',
  });
}

async function answer(method: string, params: JsonObject, call: ToolsCall): Promise<unknown> {
  switch (method) {
    case 'initialize': {
      const wanted = textOf(params['protocolVersion']) ?? '';
      return {
        protocolVersion: versions.includes(wanted) ? wanted : versions[0],
        capabilities: { tools: {} },
        serverInfo: { name: 'mycel-gateway', version },
        instructions: 'Tools are actions of services on the devices of one mesh.',
      };
    }
    case 'ping':
      return {};
    case 'tools/list':
      return {
        tools: (await call.tools.list(call.principal)).map((tool) => ({
          name: tool.name,
          title: tool.action,
          description: tool.description,
          inputSchema: tool.inputSchema,
          ...(tool.outputSchema === undefined ? {} : { outputSchema: tool.outputSchema }),
          annotations: { readOnlyHint: !tool.hasEffect, openWorldHint: false },
        })),
      };
    case 'tools/call':
      return callTool(params, call);
    default:
      throw new RpcError(-32_601, `There is no method '${method.slice(0, 64)}' here.`);
  }
}

async function callTool(params: JsonObject, call: ToolsCall): Promise<unknown> {
  const { tools, principal, response } = call;
  const name = textOf(params['name']);
  const input = params['arguments'] ?? {};
  if (name === undefined || !isObject(input)) {
    throw new RpcError(-32_602, 'tools/call wants a "name" and "arguments", an object.');
  }
  const controller = new AbortController();
  const unwatch = watchClient(response, () => controller.abort());
  try {
    const { value, hasSchema } = await tools.call(name, input, principal, controller.signal);
    return {
      content: [{ type: 'text', text: JSON.stringify(value) ?? 'null' }],
      ...(hasSchema && isObject(value) ? { structuredContent: value } : {}),
    };
  } catch (error) {
    // Told to the model: it may ask in another way. A handler's own error comes as it was thrown.
    const reason = error instanceof Error ? error.message : String(error);
    return { isError: true, content: [{ type: 'text', text: reason }] };
  } finally {
    unwatch();
  }
}
