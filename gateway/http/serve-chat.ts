/** `POST /v1/chat/completions` and `POST /v1/embeddings`. */

import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';

import type { PrincipalConfig } from '../config/load.ts';
import { isObject } from '../events.ts';
import type { Batch, JsonObject, Usage } from '../events.ts';
import { invalid, LlmFailure, toLlmFailure } from '../failure.ts';
import { modelOf } from '../policy/ask.ts';
import type { Answer, Engine } from '../policy/engine.ts';
import { encodeFloats } from '../vectors.ts';
import { askOf } from './ask-of.ts';
import { collect, createChunkEncoder, encodeAnswer, encodeUsage } from './chat-encoder.ts';
import { checkChat } from './check-chat.ts';
import { createStreamOut, readJson, sendJson } from './exchange.ts';

/**
 * How long an answer goes on after its client went away before it was told anything, in ms: clients that lost their
 * patience or their connection ask again within a second, and then find it under way.
 */
const graceMs = 3_000;

/** Inputs of one embeddings request. */
const inputsMax = 2048;

/** What each handler is given. */
export interface Served {
  readonly engine: Engine;
  readonly principal: PrincipalConfig;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/** Calls `left` when the client goes away before the answer is out. Gives the function that ends the watch. */
export function watchClient(response: ServerResponse, left: () => void): () => void {
  const onClose = (): void => {
    if (!response.writableFinished) left();
  };
  response.once('close', onClose);
  return () => response.off('close', onClose);
}

/** Tells where an answer came from. */
export function answerHeaders(id: string, answer: Answer): Record<string, string> {
  const { cache, offline } = answer;
  const way = offline === undefined ? {} : { 'x-mycel-offline': offline };
  return { 'x-request-id': id, 'x-mycel-cache': cache, ...way };
}

/** Serves a chat completion. @throws {LlmFailure} before anything is sent. */
export async function serveChat(served: Served): Promise<void> {
  const { engine, principal, request, response } = served;
  const body = await readJson(request);
  checkChat(body);
  const ask = askOf(request, principal, 'chat', body);
  const id = `chatcmpl-${randomUUID()}`;
  const answer = engine.ask(ask);
  const unwatch = watchClient(response, () => answer.leave(response.headersSent ? 0 : graceMs));
  try {
    if (ask.isStream) await stream(answer, body, id, response);
    else
      sendJson(
        response,
        200,
        encodeAnswer(id, modelOf(body), await collect(answer.batches)),
        answerHeaders(id, answer),
      );
  } finally {
    unwatch();
    answer.leave(graceMs);
  }
}

async function stream(
  answer: Answer,
  body: JsonObject,
  id: string,
  response: ServerResponse,
): Promise<void> {
  const options = body['stream_options'];
  const wantsUsage = isObject(options) && options['include_usage'] === true;
  const encoder = createChunkEncoder(id, modelOf(body), wantsUsage);
  const out = createStreamOut(response, 'text/event-stream; charset=utf-8', ': hb\n\n', () =>
    answerHeaders(id, answer),
  );
  try {
    for await (const batch of answer.batches) {
      const text = encoder.encode(batch);
      if (text === '') continue;
      answer.told();
      const slow = out.write(text);
      if (slow !== undefined) await slow;
    }
    out.end(encoder.end());
  } catch (error) {
    const failure = toLlmFailure(error);
    if (!out.hasBegun) throw failure;
    // No end mark: a client that knows no better must not take this for an answer.
    out.end(`data: ${JSON.stringify(failure.toBody())}\n\n`);
  } finally {
    out.stop();
  }
}

/** Serves embeddings. @throws {LlmFailure} */
export async function serveEmbeddings(served: Served): Promise<void> {
  const { engine, principal, request, response } = served;
  const body = await readJson(request);
  checkInput(body);
  const ask = { ...askOf(request, principal, 'embeddings', body), isStream: false };
  const answer = engine.ask(ask);
  const unwatch = watchClient(response, () => answer.leave(graceMs));
  try {
    const { vectors, usage } = await collectVectors(answer.batches);
    const isBase64 = body['encoding_format'] === 'base64';
    sendJson(
      response,
      200,
      {
        object: 'list',
        data: vectors.map((vector, index) => ({
          object: 'embedding',
          index,
          embedding: isBase64 ? encodeFloats(vector) : vector,
        })),
        model: modelOf(body),
        usage: encodeUsage(usage),
      },
      answerHeaders(`embd-${randomUUID()}`, answer),
    );
  } finally {
    unwatch();
    answer.leave(graceMs);
  }
}

/** The vectors of an answer. @throws {LlmFailure} incomplete */
export async function collectVectors(
  batches: AsyncIterable<Batch>,
): Promise<{ vectors: readonly (readonly number[])[]; usage: Usage | undefined }> {
  let vectors: readonly (readonly number[])[] | undefined;
  let usage: Usage | undefined;
  for await (const batch of batches) {
    for (const event of batch) {
      if (event.type === 'vectors') ({ vectors } = event);
      if (event.type === 'usage') ({ usage } = event);
    }
  }
  if (vectors === undefined) throw new LlmFailure('incomplete', 'No embeddings came.');
  return { vectors, usage };
}

function checkInput(body: JsonObject): void {
  const { input, encoding_format: format } = body;
  if (input === undefined) {
    throw invalid(
      'The request has no input. Add "input": a text or a list of texts.',
      'input',
      'missing_required_parameter',
    );
  }
  const isText = typeof input === 'string' && input !== '';
  const isList =
    Array.isArray(input) &&
    input.length > 0 &&
    input.length <= inputsMax &&
    input.every(
      (one) =>
        (typeof one === 'string' && one !== '') || typeof one === 'number' || Array.isArray(one),
    );
  if (!isText && !isList) {
    throw invalid(
      `"input" must be a text that is not empty, or a list of 1 to ${inputsMax} of them.`,
      'input',
    );
  }
  if (format !== undefined && format !== null && format !== 'float' && format !== 'base64') {
    throw invalid('"encoding_format" must be "float" or "base64".', 'encoding_format');
  }
}
