/** What is served where. */

import type { IncomingMessage, ServerResponse } from 'node:http';

import type { GatewayConfig, PrincipalConfig } from '../config/load.ts';
import { LlmFailure } from '../failure.ts';
import type { Toolbox } from '../mcp/toolbox.ts';
import type { Engine } from '../policy/engine.ts';
import { serveChat, serveEmbeddings } from './serve-chat.ts';
import { serveHealth, serveMetrics, serveTargets, serveUsage } from './serve-health.ts';
import { serveModel, serveModels } from './serve-models.ts';
import {
  ollamaFailure,
  serveEmbed,
  serveOllamaChat,
  serveShow,
  serveTags,
  serveVersion,
} from './serve-ollama.ts';
import { serveResponses } from './serve-responses.ts';

/** What a handler is given. */
export interface RouteCall {
  readonly engine: Engine;
  readonly tools: Toolbox | undefined;
  /** What the owner should know of. */
  readonly trouble: (() => string | undefined) | undefined;
  readonly config: GatewayConfig;
  /** Undefined for what everybody may see. */
  readonly principal: PrincipalConfig | undefined;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/** A handler. */
export interface Route {
  /** Whether it is served without a token. */
  readonly isOpen?: boolean;
  /** How its clients expect an error, when not as OpenAI's. */
  readonly failureBody?: (failure: LlmFailure) => unknown;
  serve(call: RouteCall): Promise<void>;
}

type Methods = Readonly<Partial<Record<'GET' | 'POST', Route>>>;

/** A handler for callers that are known. */
function forCaller(
  serve: (call: RouteCall & { readonly principal: PrincipalConfig }) => Promise<void> | void,
): Route {
  return {
    async serve(call) {
      const { principal } = call;
      if (principal === undefined)
        throw new LlmFailure('unauthorized', 'The request has no token.');
      await serve({ ...call, principal });
    },
  };
}

/** The same, for clients of Ollama. */
function asOllama(serve: Parameters<typeof forCaller>[0]): Route {
  return { ...forCaller(serve), failureBody: ollamaFailure };
}

/** By path, without `/v1`. */
export const routes: ReadonlyMap<string, Methods> = new Map<string, Methods>([
  ['/models', { GET: forCaller(serveModels) }],
  ['/models/:id', { GET: forCaller(serveModel) }],
  ['/chat/completions', { POST: forCaller(serveChat) }],
  ['/embeddings', { POST: forCaller(serveEmbeddings) }],
  ['/responses', { POST: forCaller(serveResponses) }],
  ['/api/version', { GET: { isOpen: true, serve: async (call) => serveVersion(call) } }],
  ['/api/tags', { GET: asOllama(serveTags) }],
  ['/api/show', { POST: asOllama(serveShow) }],
  ['/api/chat', { POST: asOllama(serveOllamaChat) }],
  ['/api/embed', { POST: asOllama(serveEmbed) }],
  [
    '/mcp',
    {
      // Loaded with the first client: most gateways have none.
      POST: forCaller(async (call) => (await import('./serve-mcp.ts')).serveMcp(call)),
    },
  ],
  ['/health', { GET: { isOpen: true, serve: async (call) => serveHealth(call) } }],
  ['/metrics', { GET: forCaller(serveMetrics) }],
  ['/mycel/targets', { GET: forCaller(serveTargets) }],
  ['/mycel/usage', { GET: forCaller(serveUsage) }],
  [
    '/',
    {
      GET: {
        isOpen: true,
        // Home Assistant and others look for these words.
        serve: async ({ response }) => void response.end('Ollama is running'),
      },
    },
  ],
]);
