/** `POST /v1/responses`, without a memory. */

import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';

import type { JsonObject } from '../events.ts';
import { toLlmFailure } from '../failure.ts';
import type { Answer } from '../policy/engine.ts';
import { askOf } from './ask-of.ts';
import { checkChat } from './check-chat.ts';
import { createStreamOut, readJson, sendJson } from './exchange.ts';
import { createResponsesEncoder } from './responses-encoder.ts';
import { toChatRequest } from './responses-request.ts';
import { answerHeaders, watchClient } from './serve-chat.ts';
import type { Served } from './serve-chat.ts';

/** How long an answer goes on after its client went away before it was told anything, in ms. */
const graceMs = 3_000;

/** Serves a response. @throws {LlmFailure} before anything is sent. */
export async function serveResponses({
  engine,
  principal,
  request,
  response,
}: Served): Promise<void> {
  const body = await readJson(request);
  const chat = toChatRequest(body);
  checkChat(chat);
  const ask = askOf(request, principal, 'chat', chat);
  const id = `resp_${randomUUID().replaceAll('-', '')}`;
  const answer = engine.ask(ask);
  const unwatch = watchClient(response, () => answer.leave(response.headersSent ? 0 : graceMs));
  try {
    if (ask.isStream) await stream(answer, body, id, response);
    else {
      const encoder = createResponsesEncoder(id, body);
      for await (const batch of answer.batches) encoder.encode(batch);
      sendJson(response, 200, encoder.response(), answerHeaders(id, answer));
    }
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
  const encoder = createResponsesEncoder(id, body);
  const out = createStreamOut(response, 'text/event-stream; charset=utf-8', ': hb\n\n', () =>
    answerHeaders(id, answer),
  );
  try {
    for await (const batch of answer.batches) {
      const text = encoder.encode(batch);
      if (text === '') continue;
      answer.told();
      await out.write(text);
    }
    out.end(encoder.end());
  } catch (error) {
    const failure = toLlmFailure(error);
    if (!out.hasBegun) throw failure;
    out.end(encoder.fail(failure));
  } finally {
    out.stop();
  }
}
