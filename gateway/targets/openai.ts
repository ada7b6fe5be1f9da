/** Any server that speaks OpenAI's format: OpenAI, Ollama, llama.cpp, vLLM, LM Studio, OpenRouter, Groq and others. */

import type { IncomingMessage } from 'node:http';

import { createParser } from 'eventsource-parser';

import type { TargetConfig } from '../config/load.ts';
import { isObject } from '../events.ts';
import type { Batch, JsonObject, LlmEvent } from '../events.ts';
import { LlmFailure, toLlmFailure } from '../failure.ts';
import { Halt } from '../halt.ts';
import { createChatDecoder, decodeChatAnswer, decodeUsage } from '../upstream/openai-events.ts';
import { failureOfAnswer } from '../upstream/openai-failure.ts';
import { createTransport, readAll, readPieces } from '../upstream/transport.ts';
import { decodeFloats } from '../vectors.ts';
import type { Target, TargetRequest } from './target.ts';

/** Longest single event of a stream, in characters. */
const eventLengthMax = 16 * 1024 * 1024;

/** How long to wait for the connection to end after the answer is whole, in ms. */
const tailMs = 1000;

/** Builds a target over its own connections. */
export function createOpenAiTarget(config: TargetConfig): Target {
  const base = config.kind === 'ollama' ? `${config.url}/v1` : (config.url ?? '');
  const transport = createTransport(base);
  const { name, key } = config;
  const headers = [
    'content-type',
    'application/json',
    'user-agent',
    'mycel-gateway',
    ...(key === undefined ? [] : ['authorization', `Bearer ${key.reveal()}`]),
  ];
  const scrub = (text: string): string => key?.scrub(text) ?? text;

  async function open(request: TargetRequest, path: string): Promise<IncomingMessage> {
    const { body, isStream, halt, ttlMs } = request;
    const limitMs = isStream ? config.firstByteMs : config.answerMs;
    const incoming = await transport.send({
      method: 'POST',
      path,
      headers,
      body: JSON.stringify(isStream ? streamed(body) : whole(body)),
      headMs: Math.min(limitMs, ttlMs),
      halt,
    });
    if (incoming.statusCode === 200) return incoming;
    const text = await readAll(incoming, config.stallMs, halt).catch(() => '');
    throw failureOfAnswer(incoming.statusCode ?? 502, incoming.headers, scrub(text), name);
  }

  async function* chat(request: TargetRequest): AsyncGenerator<Batch> {
    const incoming = await open(request, '/chat/completions');
    const start = { type: 'start', target: name, model: String(request.body['model']) } as const;
    const isEvents = incoming.headers['content-type']?.includes('text/event-stream') === true;
    if (request.isStream && isEvents) yield* readStream(incoming, request, start);
    else {
      const text = await readAll(incoming, config.answerMs, request.halt);
      yield [start, ...decodeChatAnswer(parse(text), name)];
    }
  }

  async function* readStream(
    incoming: IncomingMessage,
    { halt }: TargetRequest,
    start: LlmEvent,
  ): AsyncGenerator<Batch> {
    const decoder = createChatDecoder(name);
    const utf8 = new TextDecoder('utf-8', { ignoreBOM: false });
    let batch: LlmEvent[] = [start];
    let failure: LlmFailure | undefined;
    let isTail = false;
    const parser = createParser({
      maxBufferSize: eventLengthMax,
      onEvent({ data }) {
        if (failure !== undefined) return;
        try {
          batch.push(...decoder.push(data));
        } catch (error) {
          failure = toLlmFailure(error);
        }
      },
      onError(error) {
        // Fields that are not of the standard are ignored, as browsers do.
        if (error.type === 'max-buffer-size-exceeded') failure ??= tooLong(name);
      },
    });
    try {
      for await (const piece of readPieces(incoming, config.stallMs, halt)) {
        parser.feed(utf8.decode(piece, { stream: true }));
        if (batch.length > 0) {
          const ready = batch;
          batch = [];
          yield ready;
        }
        if (failure !== undefined) throw failure;
        // Once: every call adds a listener, and a long tail comes in many pieces.
        if (decoder.isFinished() && !isTail) incoming.setTimeout(tailMs, () => incoming.destroy());
        isTail = decoder.isFinished();
      }
    } catch (error) {
      // Nothing is missing when the connection breaks after the last word.
      if (!(decoder.isFinished() && isBreak(error))) throw error;
    }
    // Some servers end without the blank line after the last event; half an event is no event.
    if (!decoder.isFinished()) parser.feed('\n\n');
    yield [...batch, ...decoder.end()];
  }

  async function* embed(request: TargetRequest): AsyncGenerator<Batch> {
    const incoming = await open(request, '/embeddings');
    const body = parse(await readAll(incoming, config.answerMs, request.halt));
    if (isObject(body) && body['error'] !== undefined && body['error'] !== null) {
      throw failureOfAnswer(502, {}, scrub(JSON.stringify(body)), name);
    }
    const usage = isObject(body) ? decodeUsage(body['usage']) : undefined;
    yield [
      { type: 'start', target: name, model: String(request.body['model']) },
      { type: 'vectors', vectors: decodeVectors(body, request.body, name) },
      ...(usage === undefined ? [] : [{ type: 'usage', usage } as const]),
      { type: 'finish', reason: 'stop' },
    ];
  }

  /** Says whose failure it is, and never the key. */
  function rethrow(error: unknown): never {
    if (!(error instanceof LlmFailure)) throw error;
    const isOurs = error.message.includes(`'${name}'`);
    const message = scrub(isOurs ? error.message : `Target '${name}': ${error.message}`);
    throw message === error.message ? error : renamed(error, message);
  }

  return {
    name,
    ask(request) {
      const batches = request.kind === 'chat' ? chat(request) : embed(request);
      // A generator around a generator would cost each word three turns.
      return {
        [Symbol.asyncIterator]: () => ({
          next: () => batches.next().catch(rethrow),
          return: () => batches.return(undefined).catch(rethrow),
        }),
      };
    },
    async listModels(signal) {
      const halt = Halt.of(signal);
      const incoming = await transport.send({
        method: 'GET',
        path: '/models',
        headers,
        body: undefined,
        headMs: config.firstByteMs,
        halt,
      });
      const text = await readAll(incoming, config.stallMs, halt);
      if (incoming.statusCode !== 200) {
        throw failureOfAnswer(incoming.statusCode ?? 502, incoming.headers, scrub(text), name);
      }
      const body = parse(text);
      const list: unknown = isObject(body) ? body['data'] : undefined;
      if (!Array.isArray(list)) {
        throw new LlmFailure(
          'malformed',
          `Target '${name}' does not list its models as OpenAI does.`,
        );
      }
      return list.flatMap((entry) =>
        isObject(entry) && typeof entry['id'] === 'string' ? [entry['id']] : [],
      );
    },
    close: () => transport.close(),
  };
}

/** Usage is always wanted: it is what was paid for. */
function streamed(body: JsonObject): JsonObject {
  const options = isObject(body['stream_options']) ? body['stream_options'] : {};
  return { ...body, stream: true, stream_options: { ...options, include_usage: true } };
}

function whole(body: JsonObject): JsonObject {
  const { stream: _stream, stream_options: _options, ...rest } = body;
  return rest;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function decodeVectors(
  body: unknown,
  request: JsonObject,
  name: string,
): readonly (readonly number[])[] {
  const data: unknown = isObject(body) ? body['data'] : undefined;
  const bad = (what: string): LlmFailure =>
    new LlmFailure('malformed', `The embeddings of target '${name}' ${what}.`, {
      wasDispatched: true,
    });
  if (!Array.isArray(data)) throw bad('are not a list');
  const vectors: (readonly number[])[] = [];
  for (const [at, entry] of (data as unknown[]).entries()) {
    if (!isObject(entry)) throw bad('hold something that is no vector');
    const vector = decodeFloats(entry['embedding']);
    if (vector === undefined) throw bad('hold something that is no vector');
    vectors[typeof entry['index'] === 'number' ? entry['index'] : at] = vector;
  }
  const { input } = request;
  const isTokens = Array.isArray(input) && typeof input[0] === 'number';
  const wanted = Array.isArray(input) && !isTokens ? input.length : 1;
  if (vectors.length !== wanted || vectors.includes(undefined as never)) {
    throw new LlmFailure(
      'incomplete',
      `Target '${name}' gave ${data.length} of ${wanted} embeddings.`,
      { wasDispatched: true },
    );
  }
  return vectors;
}

function isBreak(error: unknown): boolean {
  return error instanceof LlmFailure && (error.kind === 'incomplete' || error.kind === 'timeout');
}

function tooLong(name: string): LlmFailure {
  return new LlmFailure(
    'malformed',
    `Target '${name}' sent an event longer than ${eventLengthMax} characters.`,
    { wasDispatched: true },
  );
}

function renamed(error: LlmFailure, message: string): LlmFailure {
  return new LlmFailure(error.kind, message, {
    status: error.status,
    code: error.code,
    wasDispatched: error.wasDispatched,
    ...(error.param === undefined ? {} : { param: error.param }),
    ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }),
  });
}
