/** The HTTP server: finds the caller and the handler, and tells every failure in one shape. */

import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

import type { GatewayConfig } from '../config/load.ts';
import { LlmFailure, toLlmFailure } from '../failure.ts';
import type { Engine } from '../policy/engine.ts';
import type { Toolbox } from '../mcp/toolbox.ts';
import { createIdentify } from './caller.ts';
import { sendFailure } from './exchange.ts';
import { routes } from './routes.ts';
import type { Route } from './routes.ts';

/** Connections served at once. */
export const connectionsMax = 4096;

/** A server that accepts connections. */
export interface HttpServer {
  readonly host: string;
  /** The real one, also when any free one was asked for. */
  readonly port: number;
  /** Stops accepting, gives answers under way a moment, then closes. */
  close(): Promise<void>;
}

/** What the server serves. */
export interface HttpOptions {
  readonly config: GatewayConfig;
  readonly engine: Engine;
  /** What MCP clients may call; undefined: nothing. */
  readonly tools?: Toolbox | undefined;
  /** What the owner should know of; undefined: nothing. */
  readonly trouble?: () => string | undefined;
  /** Tells of a bug: never of what a client or a target did. */
  report(error: unknown): void;
}

/** How long answers under way may go on once the server closes, in ms. */
const closeMs = 2_000;

/** Listens. @throws the system's error when it cannot. */
export async function openHttpServer(options: HttpOptions): Promise<HttpServer> {
  const { config, engine, tools, trouble, report } = options;
  const identify = createIdentify(config);

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let route: Route | undefined;
    try {
      route = find(request);
      const principal = route.isOpen ? undefined : identify(request);
      await route.serve({ engine, tools, trouble, config, principal, request, response });
    } catch (error) {
      const failure = toLlmFailure(error);
      if (failure.kind === 'internal') report(error);
      // The rest of a body that nobody reads would be taken for the next request.
      if (!request.complete) response.setHeader('connection', 'close');
      sendFailure(response, failure, route?.failureBody?.(failure));
      if (!response.writableEnded) response.destroy();
    }
  }

  /** Answers under way on each connection. */
  const connections = new Map<Socket, number>();
  let isClosing = false;
  const server = createServer(
    { keepAliveTimeout: 65_000, requestTimeout: 60_000, noDelay: true },
    (request, response) => {
      const { socket } = request;
      connections.set(socket, (connections.get(socket) ?? 0) + 1);
      response.once('close', () => {
        const open = (connections.get(socket) ?? 1) - 1;
        if (connections.has(socket)) connections.set(socket, open);
        if (isClosing && open === 0) socket.destroySoon();
      });
      response.on('error', () => undefined);
      void serve(request, response);
    },
  );
  server.maxConnections = connectionsMax;
  server.on('connection', (socket) => {
    connections.set(socket, 0);
    socket.once('close', () => connections.delete(socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(config.http.port, config.http.host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : config.http.port;
  return {
    host: config.http.host,
    port,
    close: () =>
      new Promise((resolve) => {
        const timer = setTimeout(() => server.closeAllConnections(), closeMs);
        server.close(() => {
          clearTimeout(timer);
          resolve();
        });
        // Those kept for a next request, and those that never made one, have nothing to wait for.
        isClosing = true;
        for (const [socket, open] of connections) if (open === 0) socket.destroySoon();
      }),
  };
}

function cleaned(path: string): string {
  return path.replace(/\/+$/, '').replace(/^\/v1(?=\/)/, '') || '/';
}

/** Paths are taken with and without `/v1`. */
function find(request: IncomingMessage): Route {
  const [path = '/'] = (request.url ?? '/').split('?', 1);
  const plain = path.startsWith('/v1/') ? path.slice(3) : path;
  const short = routes.has(plain) ? plain : cleaned(path);
  const byMethod =
    routes.get(short) ?? (short.startsWith('/models/') ? routes.get('/models/:id') : undefined);
  if (byMethod === undefined) {
    throw new LlmFailure(
      'invalid',
      `There is nothing at ${path.slice(0, 100)}. Use one of ${[...routes.keys()].join(', ')}.`,
      {
        status: 404,
        code: 'unknown_url',
      },
    );
  }
  const method = request.method === 'HEAD' ? 'GET' : (request.method ?? 'GET');
  const route = byMethod[method as 'GET' | 'POST'];
  if (route !== undefined) return route;
  throw new LlmFailure(
    'invalid',
    `${path.slice(0, 100)} takes ${Object.keys(byMethod).join(' or ')}, not ${method}.`,
    {
      status: 405,
      code: 'method_not_allowed',
    },
  );
}
