/** Anthropic and Gemini in their own formats, through provider libraries that are loaded for such targets only. */

import { MycelError } from 'mycel';

import type { TargetConfig } from '../config/load.ts';
import { isObject } from '../events.ts';
import type { Batch, JsonObject, LlmEvent, Usage } from '../events.ts';
import { invalid, LlmFailure, toLlmFailure } from '../failure.ts';
import { failureOfAnswer } from '../upstream/openai-failure.ts';
import { toNativeCall } from './native-prompt.ts';
import type { Target, TargetRequest } from './target.ts';

/** A part of a provider's stream; the fields that are read here. */
interface NativePart {
  readonly type: string;
  readonly id?: string;
  readonly delta?: string;
  readonly toolName?: string;
  readonly toolCallId?: string;
  readonly input?: string;
  readonly error?: unknown;
  readonly finishReason?: { readonly unified: string; readonly raw?: string };
  readonly usage?: NativeUsage;
}

interface NativeUsage {
  readonly inputTokens: { readonly total?: number; readonly cacheRead?: number };
  readonly outputTokens: { readonly total?: number; readonly reasoning?: number };
}

/** A provider, as far as it is used here: LanguageModelV3 and EmbeddingModelV3 of the AI SDK. */
interface NativeProvider {
  languageModel(model: string): {
    doStream(call: object): Promise<{ readonly stream: ReadableStream<NativePart> }>;
  };
  textEmbeddingModel(model: string): {
    doEmbed(call: object): Promise<{
      readonly embeddings: readonly (readonly number[])[];
      readonly usage?: { readonly tokens: number };
    }>;
  };
}

type Create = (options: { readonly apiKey: string; readonly baseURL?: string }) => NativeProvider;

const libraries = {
  anthropic: { name: '@ai-sdk/anthropic', factory: 'createAnthropic' },
  gemini: { name: '@ai-sdk/google', factory: 'createGoogleGenerativeAI' },
} as const;

/**
 * Loads the library and builds the target.
 * @throws {MycelError} MYCEL_BAD_OPTION when the library is not installed, or the target has no key.
 */
export async function openNativeTarget(config: TargetConfig): Promise<Target> {
  const { name, key, url } = config;
  const { name: library, factory } = libraries[config.kind as keyof typeof libraries];
  if (key === undefined) {
    throw new MycelError('MYCEL_BAD_OPTION', {
      reason: `Target '${name}' has no key.`,
      fix: 'Add apiKeyEnv: with the name of the variable that holds it.',
    });
  }
  const create = await load(library, factory, name);
  const provider = create({ apiKey: key.reveal(), ...(url === undefined ? {} : { baseURL: url }) });

  async function* chat(request: TargetRequest): AsyncGenerator<Batch> {
    const model = String(request.body['model']);
    const { stream } = await provider
      .languageModel(model)
      .doStream(toNativeCall(request.body, request.halt.signal));
    const decode = createDecoder(name);
    yield [{ type: 'start', target: name, model }];
    let waitMs = config.firstByteMs;
    for await (const part of timed(stream, () => waitMs)) {
      const events = decode(part);
      if (events.length === 0) continue;
      waitMs = config.stallMs;
      yield events;
      if (events.at(-1)?.type === 'finish') return;
    }
    throw new LlmFailure(
      'incomplete',
      `The answer of target '${name}' ended without saying that it is finished.`,
      { wasDispatched: true },
    );
  }

  async function* embed({ body, halt }: TargetRequest): AsyncGenerator<Batch> {
    if (config.kind === 'anthropic')
      throw invalid(`Target '${name}' has no embeddings.`, 'model', 'unsupported_value');
    const model = String(body['model']);
    const values = [body['input']].flat();
    const { embeddings, usage } = await provider
      .textEmbeddingModel(model)
      .doEmbed({ values, abortSignal: halt.signal });
    yield [
      { type: 'start', target: name, model },
      { type: 'vectors', vectors: embeddings },
      ...(usage === undefined
        ? []
        : [
            {
              type: 'usage',
              usage: {
                inputTokens: usage.tokens,
                outputTokens: 0,
                cachedTokens: 0,
                reasoningTokens: 0,
              },
            } as const,
          ]),
      { type: 'finish', reason: 'stop' },
    ];
  }

  return {
    name,
    async *ask(request) {
      try {
        yield* request.kind === 'chat' ? chat(request) : embed(request);
      } catch (error) {
        request.halt.throwIfCalled();
        throw failureOf(error, name, (text) => key.scrub(text));
      }
    },
    listModels: async () => config.models?.map(({ as }) => as) ?? [],
    close: () => undefined,
  };
}

async function load(library: string, factory: string, target: string): Promise<Create> {
  try {
    const module = (await import(library)) as Record<string, unknown>;
    return module[factory] as Create;
  } catch (error) {
    throw new MycelError(
      'MYCEL_BAD_OPTION',
      {
        reason: `Target '${target}' needs the package ${library}, which is not installed.`,
        fix: `Run: npm install ${library}@3`,
      },
      { cause: error },
    );
  }
}

/** Parts as they come; a wait for one is limited. */
async function* timed(
  stream: ReadableStream<NativePart>,
  waitMs: () => number,
): AsyncGenerator<NativePart> {
  const reader = stream.getReader();
  try {
    for (;;) {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<never>((_, reject) => {
        const ms = waitMs();
        timer = setTimeout(
          () =>
            reject(
              new LlmFailure('timeout', `The answer stopped for ${ms} ms.`, {
                code: 'stream_stalled',
                wasDispatched: true,
              }),
            ),
          ms,
        );
      });
      const next = await Promise.race([reader.read(), late]).finally(() => clearTimeout(timer));
      if (next.done) return;
      yield next.value;
    }
  } finally {
    void reader.cancel().catch(() => undefined);
  }
}

function createDecoder(name: string): (part: NativePart) => LlmEvent[] {
  const calls = new Map<string, { readonly index: number; hasInput: boolean }>();
  const open = (id: string, toolName: string): LlmEvent => {
    calls.set(id, { index: calls.size, hasInput: false });
    return { type: 'tool', index: calls.size - 1, id, name: toolName };
  };
  return (part) => {
    switch (part.type) {
      case 'text-delta':
        return part.delta ? [{ type: 'text', text: part.delta }] : [];
      case 'reasoning-delta':
        return part.delta ? [{ type: 'think', text: part.delta }] : [];
      case 'tool-input-start':
        return [open(part.id ?? '', part.toolName ?? '')];
      case 'tool-input-delta': {
        const call = calls.get(part.id ?? '');
        if (call === undefined || !part.delta) return [];
        call.hasInput = true;
        return [{ type: 'tool', index: call.index, input: part.delta }];
      }
      case 'tool-call': {
        const id = part.toolCallId ?? '';
        const begun = calls.has(id) ? [] : [open(id, part.toolName ?? '')];
        const call = calls.get(id);
        if (call === undefined || call.hasInput) return begun;
        call.hasInput = true;
        return [...begun, { type: 'tool', index: call.index, input: part.input ?? '{}' }];
      }
      case 'error':
        throw failureOf(part.error, name, (text) => text);
      case 'finish':
        return finishOf(part, calls.size > 0, name);
      default:
        return [];
    }
  };
}

const reasons: Readonly<Record<string, string>> = {
  stop: 'stop',
  length: 'length',
  'tool-calls': 'tool_calls',
  'content-filter': 'content_filter',
};

function finishOf(
  { finishReason, usage }: NativePart,
  hasCalls: boolean,
  name: string,
): LlmEvent[] {
  const reason = reasons[finishReason?.unified ?? ''];
  // The libraries end every stream with a finish; without a word from the provider it was cut.
  if (reason === undefined && finishReason?.raw === undefined) {
    throw new LlmFailure(
      'incomplete',
      `The answer of target '${name}' ended without saying that it is finished.`,
      { wasDispatched: true },
    );
  }
  return [
    ...(usage === undefined ? [] : [{ type: 'usage', usage: usageOf(usage) } as const]),
    { type: 'finish', reason: hasCalls && reason === 'stop' ? 'tool_calls' : (reason ?? 'stop') },
  ];
}

function usageOf({ inputTokens, outputTokens }: NativeUsage): Usage {
  return {
    inputTokens: inputTokens.total ?? 0,
    outputTokens: outputTokens.total ?? 0,
    cachedTokens: inputTokens.cacheRead ?? 0,
    reasoningTokens: outputTokens.reasoning ?? 0,
  };
}

/** What the library threw, in our classes: it knows the status and the body of the provider's answer. */
function failureOf(error: unknown, name: string, scrub: (text: string) => string): LlmFailure {
  if (error instanceof LlmFailure) return error;
  const facts: JsonObject =
    isObject(error) || error instanceof Error ? (error as unknown as JsonObject) : {};
  const { statusCode, responseBody, responseHeaders } = facts;
  if (typeof statusCode === 'number' && statusCode >= 400) {
    const headers = isObject(responseHeaders) ? (responseHeaders as Record<string, string>) : {};
    return failureOfAnswer(
      statusCode,
      headers,
      scrub(typeof responseBody === 'string' ? responseBody : ''),
      name,
    );
  }
  const word = textFrom(facts, 'type') ?? textFrom(facts, 'name') ?? '';
  if (/overloaded/i.test(word))
    return new LlmFailure('overload', `Target '${name}' is overloaded.`, { wasDispatched: true });
  if (/parse|validation|invalid/i.test(word) || error instanceof SyntaxError) {
    return new LlmFailure('malformed', `Target '${name}' sent something that cannot be read.`, {
      wasDispatched: true,
      cause: error,
    });
  }
  if (error instanceof Error) {
    return new LlmFailure('network', `Target '${name}' cannot be reached, or broke off.`, {
      wasDispatched: true,
      cause: error,
    });
  }
  if (isObject(error) || typeof error === 'string') {
    return new LlmFailure(
      'overload',
      `Target '${name}' says: ${scrub(JSON.stringify(error)).slice(0, 300)}`,
      { wasDispatched: true },
    );
  }
  return toLlmFailure(error);
}

function textFrom(facts: JsonObject, field: string): string | undefined {
  return typeof facts[field] === 'string' ? facts[field] : undefined;
}
