/** One page of text over HTTP, for scrapers: no paths of the caller's, no bodies, few connections. */

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import { MycelError } from '../../kernel/errors.ts';

/** Connections at once; one more is closed. */
export const scrapersMax = 16;

/** How long a request may take to arrive, in ms. */
const requestMsMax = 5_000;

/** What is served. */
export interface TextPage {
  /** Local address to bind. */
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
  readonly path: string;
  readonly type: string;
  /** Builds the page; what it throws is answered with 500. */
  render(): string;
}

/** An open server. */
export interface TextServer {
  readonly port: number;
  stop(): Promise<void>;
}

/** Opens it. @throws {MycelError} MYCEL_PORT_TAKEN when the port is in use. */
export async function serveText(page: TextPage): Promise<TextServer> {
  const server = createServer((request, response) => {
    const path = (request.url ?? '').split('?', 1)[0];
    const isReading = request.method === 'GET' || request.method === 'HEAD';
    if (!isReading || path !== page.path) {
      response.writeHead(isReading ? 404 : 405, { 'content-type': 'text/plain' });
      return response.end(`There is only ${page.path} here.\n`);
    }
    let text: string;
    try {
      text = page.render();
    } catch {
      response.writeHead(500, { 'content-type': 'text/plain' });
      return response.end('The node is starting or stopping.\n');
    }
    response.writeHead(200, { 'content-type': page.type });
    return response.end(request.method === 'HEAD' ? undefined : text);
  });
  server.maxConnections = scrapersMax;
  server.requestTimeout = requestMsMax;
  server.headersTimeout = requestMsMax;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(failureOf(page, error)));
    server.listen(page.port, page.host, resolve);
  });
  // A broken connection is the scraper's trouble, never the node's.
  server.on('clientError', (_, socket) => socket.destroy());
  return {
    port: (server.address() as AddressInfo).port,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function failureOf({ host, port }: TextPage, cause: NodeJS.ErrnoException): MycelError {
  if (cause.code === 'EADDRINUSE') {
    const reason = `It is the port of the metrics page, ${host}:${port}.`;
    return new MycelError('MYCEL_PORT_TAKEN', { port, reason }, { cause });
  }
  const reason = `The metrics page cannot use ${host}:${port} (${cause.code ?? 'error'}).`;
  return new MycelError('MYCEL_BAD_OPTION', { reason }, { cause });
}
