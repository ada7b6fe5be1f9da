/** Requests to a target over node:http(s): kept-alive connections, exact time limits, exact aborts. */

import { request as requestHttp } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as requestHttps } from 'node:https';

import { LlmFailure } from '../failure.ts';
import type { Halt } from '../halt.ts';
import { Pool } from './pool.ts';

/** Connections kept open to one target while idle. */
const idleSocketsMax = 256;

/** Largest answer that is not a stream, in bytes. */
export const answerBytesMax: number = 32 * 1024 * 1024;

/** How long what is on its way is still taken after an abort, in ms. */
const leaveMs = 250;

/** One request. */
export interface UpstreamRequest {
  readonly method: 'GET' | 'POST';
  /** Appended to the base address, with its slash. */
  readonly path: string;
  /** Names and values in turn; `host` and the length of the body are added. */
  readonly headers: readonly string[];
  readonly body: string | undefined;
  /** Until the head of the answer is there, in ms. */
  readonly headMs: number;
  readonly halt: Halt;
}

/** The connections to one target. */
export interface Transport {
  /**
   * Sends a request and gives the answer's head and a body to be read.
   * @throws {LlmFailure} network, timeout, or cancelled.
   */
  send(request: UpstreamRequest): Promise<IncomingMessage>;
  close(): void;
}

/** Opens nothing yet. */
export function createTransport(base: string): Transport {
  const { protocol, host, hostname, port, pathname } = new URL(base);
  const isTls = protocol === 'https:';
  const open = isTls ? requestHttps : requestHttp;
  const prefix = pathname.replace(/\/+$/, '');
  const address = {
    host: hostname.replace(/^\[|\]$/g, ''),
    port: port === '' ? (isTls ? 443 : 80) : Number(port),
  };
  const agent = isTls
    ? new HttpsAgent({ keepAlive: true, maxFreeSockets: idleSocketsMax, scheduling: 'lifo' })
    : new Pool(address, idleSocketsMax);
  const where = { ...address, agent };

  function once(request: UpstreamRequest): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const { halt, body } = request;
      if (halt.reason !== undefined) return reject(halt.reason);
      const outgoing = open({
        ...where,
        method: request.method,
        path: prefix + request.path,
        // As a list they are written as they are, without being looked up one by one.
        headers: [
          'host',
          host,
          ...request.headers,
          ...(body === undefined ? [] : ['content-length', String(Buffer.byteLength(body))]),
        ],
      });
      const timer = setTimeout(
        () =>
          outgoing.destroy(
            new LlmFailure('timeout', `No answer began in ${request.headMs} ms.`, {
              wasDispatched: true,
            }),
          ),
        request.headMs,
      );
      let answer: IncomingMessage | undefined;
      const onCall = (): void => {
        if (answer === undefined) outgoing.destroy(halt.reason);
        else leave(answer, halt.reason);
      };
      halt.onCall(onCall);
      const letGo = (): void => halt.off(onCall);
      outgoing.once('response', (incoming) => {
        clearTimeout(timer);
        // From here on the reader decides how long it waits; an abort still ends the connection.
        answer = incoming;
        incoming.once('close', letGo);
        // A connection that breaks while nobody reads must not end the process.
        incoming.on('error', () => undefined);
        resolve(incoming);
      });
      outgoing.once('error', (error: NodeJS.ErrnoException) => {
        clearTimeout(timer);
        letGo();
        if (error instanceof LlmFailure) return reject(error);
        reject(Object.assign(unreachable(error), { wasReused: outgoing.reusedSocket }));
      });
      outgoing.end(body);
    });
  }

  return {
    async send(request) {
      try {
        return await once(request);
      } catch (error) {
        // A kept connection that the other side closed at the same moment: it never saw the request.
        const { wasReused, code } = error as { wasReused?: boolean; code?: string };
        if (wasReused !== true || code !== 'upstream_reset') throw error;
        return once(request);
      }
    },
    close: () => agent.destroy(),
  };
}

/**
 * Says that nobody listens any more, and still takes what is on its way: it was made, and will be paid for. The other
 * side ends the connection at once, or loses it.
 */
function leave(incoming: IncomingMessage, why: LlmFailure | undefined): void {
  const isStream = incoming.headers['content-type']?.includes('text/event-stream') === true;
  if (!isStream || incoming.socket.destroyed) return void incoming.destroy(why);
  incoming.socket.end();
  const timer = setTimeout(() => incoming.destroy(why), leaveMs);
  incoming.once('close', () => clearTimeout(timer));
}

function unreachable(error: NodeJS.ErrnoException): LlmFailure {
  const isReset = error.code === 'ECONNRESET' || error.code === 'EPIPE';
  return new LlmFailure(
    'network',
    isReset
      ? 'The target closed the connection without an answer.'
      : `The target cannot be reached (${error.code ?? 'connection failed'}).`,
    { code: isReset ? 'upstream_reset' : 'upstream_unreachable', wasDispatched: isReset },
  );
}

/**
 * Reads a body piece by piece; the wait for each piece is limited, the reader's own pauses are not.
 * @throws {LlmFailure} timeout after `stallMs` of silence, incomplete when the connection breaks.
 */
export async function* readPieces(
  incoming: IncomingMessage,
  stallMs: number,
  halt: Halt,
): AsyncGenerator<Buffer> {
  let isWaiting = true;
  const timer = setTimeout(() => {
    if (isWaiting) incoming.destroy(stalled(stallMs));
  }, stallMs);
  try {
    for await (const piece of incoming as AsyncIterable<Buffer>) {
      isWaiting = false;
      yield piece;
      isWaiting = true;
      timer.refresh();
    }
  } catch (error) {
    throw brokenBy(error, halt);
  } finally {
    clearTimeout(timer);
    incoming.destroy();
  }
}

function stalled(ms: number): LlmFailure {
  return new LlmFailure('timeout', `The answer stopped for ${ms} ms.`, {
    code: 'stream_stalled',
    wasDispatched: true,
  });
}

/**
 * Reads a whole body as text.
 * @throws {LlmFailure} timeout, incomplete, or malformed when it is too long.
 */
export function readAll(incoming: IncomingMessage, waitMs: number, halt: Halt): Promise<string> {
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = [];
    let length = 0;
    let isWhole = false;
    const timer = setTimeout(() => incoming.destroy(stalled(waitMs)), waitMs);
    const fail = (error?: unknown): void => {
      // After the end it says nothing new.
      if (isWhole) return;
      clearTimeout(timer);
      reject(brokenBy(error, halt));
    };
    incoming.on('data', (piece: Buffer) => {
      timer.refresh();
      length += piece.length;
      if (length <= answerBytesMax) pieces.push(piece);
      else
        incoming.destroy(
          new LlmFailure('malformed', `The answer is longer than ${answerBytesMax} bytes.`),
        );
    });
    incoming.once('error', fail);
    incoming.once('close', fail);
    incoming.once('end', () => {
      isWhole = true;
      clearTimeout(timer);
      const [only] = pieces;
      const whole = pieces.length === 1 && only !== undefined ? only : Buffer.concat(pieces);
      resolve(whole.toString('utf8'));
    });
  });
}

/** Why a body is not whole. */
function brokenBy(error: unknown, halt: Halt): LlmFailure {
  if (error instanceof LlmFailure) return error;
  if (halt.reason !== undefined) return halt.reason;
  return new LlmFailure('incomplete', 'The connection broke in the middle of the answer.', {
    wasDispatched: true,
    cause: error,
  });
}
