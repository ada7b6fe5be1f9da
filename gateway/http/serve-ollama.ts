/** The small part of Ollama's own API that Home Assistant and Ollama's clients need: they work by URL alone. */

import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';

import type { PrincipalConfig } from '../config/load.ts';
import { isObject, textOf } from '../events.ts';
import type { JsonObject } from '../events.ts';
import { invalid, LlmFailure, toLlmFailure } from '../failure.ts';
import type { Answer } from '../policy/engine.ts';
import { askOf } from './ask-of.ts';
import { createCollector } from './chat-encoder.ts';
import { checkChat } from './check-chat.ts';
import { createStreamOut, readJson, sendJson } from './exchange.ts';
import type { RouteCall } from './routes.ts';
import { answerHeaders, collectVectors, watchClient } from './serve-chat.ts';
import { modelsFor } from './serve-models.ts';

type Known = RouteCall & { readonly principal: PrincipalConfig };

/** The version of Ollama whose API this follows. */
const apiVersion = '0.12.0';

/** Models have no date of their own here. */
const modifiedAt = new Date().toISOString();

/** Errors as Ollama tells them. */
export function ollamaFailure(failure: LlmFailure): object {
  return { error: failure.message };
}

/** `GET /api/version` */
export function serveVersion({ response }: RouteCall): void {
  sendJson(response, 200, { version: apiVersion });
}

/** `GET /api/tags` */
export function serveTags({ engine, principal, response }: Known): void {
  const models = modelsFor(engine, principal).map(({ id }) => ({
    name: id,
    model: id,
    modified_at: modifiedAt,
    size: 0,
    digest: '',
    details: details(id),
  }));
  sendJson(response, 200, { models });
}

/** `POST /api/show` */
export async function serveShow({ engine, principal, request, response }: Known): Promise<void> {
  const body = await readJson(request);
  const wanted = nameOf(body);
  const found = modelsFor(engine, principal).find(({ id }) => id === wanted);
  if (found === undefined) {
    throw new LlmFailure('invalid', `model '${wanted}' not found`, {
      status: 404,
      code: 'model_not_found',
    });
  }
  const model = engine.desks.flatMap((desk) => desk.models()).find(({ name }) => name === wanted);
  const context = model?.context;
  sendJson(response, 200, {
    modelfile: '',
    parameters: '',
    template: '',
    details: details(wanted),
    model_info: {
      'general.architecture': 'remote',
      ...(context === undefined ? {} : { 'remote.context_length': context }),
    },
    capabilities: model?.isEmbeddings === true ? ['embedding'] : ['completion', 'tools', 'vision'],
    modified_at: modifiedAt,
  });
}

function details(id: string): object {
  return {
    parent_model: '',
    format: 'remote',
    family: id,
    families: [id],
    parameter_size: '',
    quantization_level: '',
  };
}

/** Ollama's clients say `name:latest` for a name without a tag. */
function nameOf(body: JsonObject): string {
  return (textOf(body['model']) ?? textOf(body['name']) ?? '').replace(/:latest$/, '');
}

/** `POST /api/chat`: a line of JSON for each piece, or one object. */
export async function serveOllamaChat({
  engine,
  principal,
  request,
  response,
}: Known): Promise<void> {
  const body = await readJson(request);
  const chat = toChat(body);
  checkChat(chat);
  const ask = askOf(request, principal, 'chat', chat);
  const startedAt = performance.now();
  const answer = engine.ask(ask);
  const unwatch = watchClient(response, () => answer.leave(0));
  const writer = createWriter(nameOf(body), startedAt);
  try {
    if (ask.isStream) await stream(answer, writer, response);
    else {
      for await (const batch of answer.batches) writer.add(batch);
      sendJson(response, 200, writer.whole(), answerHeaders(`ollama-${randomUUID()}`, answer));
    }
  } finally {
    unwatch();
    answer.leave(0);
  }
}

type Batches = Parameters<ReturnType<typeof createCollector>['add']>[0];

interface Writer {
  add(batch: Batches): void;
  /** The lines for a batch; '' when there is nothing to tell. */
  lines(batch: Batches): string;
  /** The last line of a stream: calls come whole, as Ollama sends them. */
  last(): string;
  whole(): object;
}

function createWriter(model: string, startedAt: number): Writer {
  const collector = createCollector();
  const line = (message: object, more: object): object => ({
    model,
    created_at: new Date().toISOString(),
    message: { role: 'assistant', ...message },
    ...more,
  });

  function end(): { calls: readonly object[]; facts: object; text: string; thoughts: string } {
    const { calls, finish, usage, text, thoughts } = collector.whole();
    const nanos = Math.round((performance.now() - startedAt) * 1e6);
    return {
      text,
      thoughts,
      calls: calls.map(({ name, input }) => ({ function: { name, arguments: parseInput(input) } })),
      facts: {
        done: true,
        done_reason: finish === 'length' ? 'length' : 'stop',
        total_duration: nanos,
        load_duration: 0,
        prompt_eval_count: usage?.inputTokens ?? 0,
        prompt_eval_duration: 0,
        eval_count: usage?.outputTokens ?? 0,
        eval_duration: nanos,
      },
    };
  }

  return {
    add: (batch) => collector.add(batch),
    lines(batch) {
      collector.add(batch);
      let text = '';
      for (const event of batch) {
        if (event.type === 'text' && event.text !== '')
          text += `${JSON.stringify(line({ content: event.text }, { done: false }))}\n`;
        if (event.type === 'think')
          text += `${JSON.stringify(line({ content: '', thinking: event.text }, { done: false }))}\n`;
      }
      return text;
    },
    last() {
      const { calls, facts } = end();
      const called =
        calls.length === 0
          ? ''
          : `${JSON.stringify(line({ content: '', tool_calls: calls }, { done: false }))}\n`;
      return `${called}${JSON.stringify(line({ content: '' }, facts))}\n`;
    },
    whole() {
      const { calls, facts, text, thoughts } = end();
      return line(
        {
          content: text,
          ...(thoughts === '' ? {} : { thinking: thoughts }),
          ...(calls.length === 0 ? {} : { tool_calls: calls }),
        },
        facts,
      );
    },
  };
}

async function stream(answer: Answer, writer: Writer, response: ServerResponse): Promise<void> {
  const out = createStreamOut(response, 'application/x-ndjson', undefined, () =>
    answerHeaders(`ollama-${randomUUID()}`, answer),
  );
  try {
    for await (const batch of answer.batches) {
      const text = writer.lines(batch);
      if (text === '') continue;
      answer.told();
      await out.write(text);
    }
    out.end(writer.last());
  } catch (error) {
    const failure = toLlmFailure(error);
    if (!out.hasBegun) throw failure;
    out.end(`${JSON.stringify(ollamaFailure(failure))}\n`);
  } finally {
    out.stop();
  }
}

/** `POST /api/embed` */
export async function serveEmbed({ engine, principal, request, response }: Known): Promise<void> {
  const body = await readJson(request);
  const { input } = body;
  if (input === undefined)
    throw invalid('The request has no input.', 'input', 'missing_required_parameter');
  const model = nameOf(body);
  const startedAt = performance.now();
  const answer = engine.ask({
    ...askOf(request, principal, 'embeddings', { model, input }),
    isStream: false,
  });
  const { vectors, usage } = await collectVectors(answer.batches);
  sendJson(response, 200, {
    model,
    embeddings: vectors,
    total_duration: Math.round((performance.now() - startedAt) * 1e6),
    load_duration: 0,
    prompt_eval_count: usage?.inputTokens ?? 0,
  });
}

/** Ollama's request as a chat request. */
function toChat(body: JsonObject): JsonObject {
  const { messages, tools, format, stream: wantsStream } = body;
  if (!Array.isArray(messages)) {
    throw invalid('The request has no messages.', 'messages', 'missing_required_parameter');
  }
  const options = isObject(body['options']) ? body['options'] : {};
  const chat: Record<string, unknown> = {
    model: nameOf(body),
    messages: toMessages(messages),
    stream: wantsStream !== false,
  };
  if (Array.isArray(tools) && tools.length > 0) chat['tools'] = tools;
  if (format === 'json') chat['response_format'] = { type: 'json_object' };
  else if (isObject(format))
    chat['response_format'] = {
      type: 'json_schema',
      json_schema: { name: 'answer', schema: format },
    };
  if (typeof body['think'] === 'string') chat['reasoning_effort'] = body['think'];
  for (const [theirs, ours] of optionNames) {
    if (options[theirs] !== undefined) chat[ours] = options[theirs];
  }
  // Ollama says -1 and -2 for "as much as there is".
  if (typeof chat['max_tokens'] === 'number' && chat['max_tokens'] < 1) delete chat['max_tokens'];
  return chat;
}

const optionNames = [
  ['temperature', 'temperature'],
  ['top_p', 'top_p'],
  ['seed', 'seed'],
  ['stop', 'stop'],
  ['num_predict', 'max_tokens'],
  ['presence_penalty', 'presence_penalty'],
  ['frequency_penalty', 'frequency_penalty'],
] as const;

/** Calls have no ids in Ollama's format: a result belongs to the earliest call that has none yet. */
function toMessages(messages: readonly unknown[]): unknown[] {
  const open: string[] = [];
  let callCount = 0;
  return messages.map((message) => {
    if (!isObject(message)) return message;
    const { role, content, images, tool_calls: calls } = message;
    if (role === 'tool')
      return { role, tool_call_id: open.shift() ?? 'call_0', content: content ?? '' };
    if (Array.isArray(calls) && calls.length > 0) {
      const made = (calls as unknown[]).map((call) => {
        const body = isObject(call) && isObject(call['function']) ? call['function'] : {};
        const id = `call_${callCount}`;
        callCount += 1;
        open.push(id);
        return {
          id,
          type: 'function',
          function: { name: body['name'], arguments: JSON.stringify(body['arguments'] ?? {}) },
        };
      });
      return { role, content: content ?? '', tool_calls: made };
    }
    if (!Array.isArray(images) || images.length === 0) return { role, content: content ?? '' };
    const pictures = (images as unknown[]).map((image) => ({
      type: 'image_url',
      image_url: { url: `data:${mediaType(String(image))};base64,${String(image)}` },
    }));
    return { role, content: [{ type: 'text', text: content ?? '' }, ...pictures] };
  });
}

/** By the first bytes, as base64 shows them. */
function mediaType(base64: string): string {
  if (base64.startsWith('iVBOR')) return 'image/png';
  if (base64.startsWith('R0lGOD')) return 'image/gif';
  return base64.startsWith('UklGR') ? 'image/webp' : 'image/jpeg';
}

function parseInput(input: string): unknown {
  try {
    return input === '' ? {} : (JSON.parse(input) as unknown);
  } catch {
    return {};
  }
}
