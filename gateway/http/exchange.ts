/** One HTTP request and its answer: bodies with a bound, errors in one shape, streams that mind a slow reader. */

import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';

import { isObject } from '../events.ts';
import type { JsonObject } from '../events.ts';
import { invalid, LlmFailure } from '../failure.ts';

/** Largest request, in bytes: a few pictures in base64. */
export const requestBytesMax: number = 32 * 1024 * 1024;

/** Between two signs of life on a stream that has nothing to say, in ms. */
const heartbeatMs = 10_000;

/**
 * Reads a JSON object.
 * @throws {LlmFailure} invalid
 */
export async function readJson(request: IncomingMessage): Promise<JsonObject> {
  const text = await readBody(request);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw invalid(
      'The request is not JSON. Send a JSON object with content-type application/json.',
      undefined,
      'invalid_json',
    );
  }
  if (!isObject(value))
    throw invalid('The request is not a JSON object.', undefined, 'invalid_json');
  return value;
}

/** Listens instead of iterating: an iterator of a stream costs more than the rest of a short request. */
function readBody(request: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = [];
    let length = 0;
    let isWhole = false;
    const take = (piece: Buffer): void => {
      length += piece.length;
      if (length <= requestBytesMax) return void pieces.push(piece);
      // What is left is not read.
      request.off('data', take).pause();
      reject(
        new LlmFailure(
          'invalid',
          `The request is longer than ${requestBytesMax} bytes. Send less.`,
          { status: 413, code: 'request_too_large' },
        ),
      );
    };
    request.on('data', take);
    request.once('end', () => {
      isWhole = true;
      resolve(textOf(pieces));
    });
    // Every request closes; a failure that nobody hears of costs as much as all the rest of this.
    const left = (): void => {
      if (isWhole) return;
      reject(new LlmFailure('cancelled', 'The client went away before its request was whole.'));
    };
    request.once('error', left);
    request.once('close', left);
  });
}

/** What came in pieces, as text. */
function textOf(pieces: readonly Buffer[]): string {
  const [only] = pieces;
  const whole = pieces.length === 1 && only !== undefined ? only : Buffer.concat(pieces);
  return whole.toString('utf8');
}

/** Sends a whole answer. */
export function sendJson(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  const text = JSON.stringify(body);
  response.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(text),
    ...headers,
  });
  response.end(text);
}

/** What tells a client whether and when to come back. */
export function failureHeaders(failure: LlmFailure): Record<string, string> {
  const headers: Record<string, string> = {};
  if (failure.retryAfterMs !== undefined) {
    headers['retry-after'] = String(Math.max(1, Math.ceil(failure.retryAfterMs / 1000)));
    headers['retry-after-ms'] = String(Math.ceil(failure.retryAfterMs));
  }
  // What can be tried again was tried here, at every target.
  const isPatience = failure.kind === 'rate' || failure.kind === 'queue';
  if (!isPatience) headers['x-should-retry'] = 'false';
  return headers;
}

/** Sends an error in OpenAI's shape; nothing when the answer has begun. */
export function sendFailure(
  response: ServerResponse,
  failure: LlmFailure,
  body: unknown = failure.toBody(),
): void {
  if (response.headersSent || response.destroyed) return;
  sendJson(response, failure.status, body, failureHeaders(failure));
}

/** A stream of pieces to a client. */
export interface StreamOut {
  /** Whether the head is on its way: from here on errors are told in the stream. */
  readonly hasBegun: boolean;
  /** Writes a piece; the first one sends the head. Gives what to wait for when the client does not keep up. */
  write(text: string): Promise<unknown> | undefined;
  end(text?: string): void;
  /** Stops the signs of life. */
  stop(): void;
}

/** Opens nothing before the first piece, or the first sign of life. */
export function createStreamOut(
  response: ServerResponse,
  contentType: string,
  heartbeat: string | undefined,
  headers: () => Readonly<Record<string, string>>,
): StreamOut {
  return new Stream(response, contentType, heartbeat, headers);
}

class Stream implements StreamOut {
  private readonly response: ServerResponse;
  private readonly contentType: string;
  private readonly headers: () => Readonly<Record<string, string>>;
  private readonly timer: NodeJS.Timeout | undefined;

  constructor(
    response: ServerResponse,
    contentType: string,
    heartbeat: string | undefined,
    headers: () => Readonly<Record<string, string>>,
  ) {
    this.response = response;
    this.contentType = contentType;
    this.headers = headers;
    if (heartbeat === undefined) return;
    this.timer = setInterval(() => {
      this.begin();
      response.write(heartbeat);
    }, heartbeatMs).unref();
  }

  get hasBegun(): boolean {
    return this.response.headersSent;
  }

  private begin(): void {
    if (this.response.headersSent) return;
    this.response.writeHead(200, {
      'content-type': this.contentType,
      'cache-control': 'no-cache',
      'x-accel-buffering': 'no',
      ...this.headers(),
    });
  }

  write(text: string): Promise<unknown> | undefined {
    const { response } = this;
    this.begin();
    this.timer?.refresh();
    if (response.write(text) || response.destroyed) return undefined;
    return Promise.race([once(response, 'drain'), once(response, 'close')]);
  }

  end(text?: string): void {
    clearInterval(this.timer);
    this.begin();
    this.response.end(text);
  }

  stop(): void {
    clearInterval(this.timer);
  }
}
