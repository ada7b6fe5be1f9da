/** Language models for programs on a node: they are asked through the mesh, and the gateway holds the keys. */

import { MycelError } from '../kernel/errors.ts';
import type { NodeId } from '../kernel/ids.ts';
import type { LlmAdvert, LlmEvent, LlmProvider, LlmUsage } from '../ports/language-model.ts';
import { createAnswer } from '../runtime/llm/answer.ts';
import type { LlmAnswer } from '../runtime/llm/answer.ts';
import type { Asker } from '../runtime/llm/asking.ts';
import type { Claimer } from '../runtime/llm/claiming.ts';
import type { NodePart, PartWorld } from '../runtime/parts.ts';

/** An OpenAI chat request; a text is one message of a user. Without a model it is the first that a gateway has. */
export type LlmChatRequest = string | Readonly<Record<string, unknown>>;

/** How to ask. */
export interface LlmOptions {
  /** How long the whole answer may take, in ms. @default 120_000 */
  readonly ttlMs?: number;
  readonly signal?: AbortSignal;
  /** A repeat with the same id is the same request: it is not paid for twice. @default drawn */
  readonly id?: string;
  /** @default 'normal' */
  readonly class?: 'interactive' | 'normal' | 'batch';
  /** Keep the answer for so long, in ms; 0: neither look nor keep. @default only when nothing is left to chance */
  readonly cacheMs?: number;
  /** The agent that asks, for the usage report. */
  readonly agent?: string;
}

/** Language models of a mesh. */
export interface LlmHandle {
  /** Waits for the whole answer. @throws {MycelError} MYCEL_LLM_FAILED, MYCEL_DEADLINE */
  chat(request: LlmChatRequest, options?: LlmOptions): Promise<LlmAnswer>;
  /** Gives the steps of an answer as they come; a `reset` voids what came before. Breaking out cancels it. */
  stream(request: LlmChatRequest, options?: LlmOptions): AsyncIterable<LlmEvent>;
  /** One vector for each text. */
  embed(
    texts: readonly string[],
    options: LlmOptions & { readonly model: string },
  ): Promise<{
    readonly vectors: readonly (readonly number[])[];
    readonly usage: LlmUsage | undefined;
  }>;
  /** What the gateways have. */
  targets(): Promise<
    readonly { readonly gateway: NodeId; readonly name: string; readonly advert: LlmAdvert }[]
  >;
  /** Who used what, by gateway. */
  usage(): Promise<
    readonly { readonly gateway: NodeId; readonly name: string; readonly usage: unknown }[]
  >;
  /** Answers for this node: what a gateway calls. Returns the function that stops it. */
  serve(provider: LlmProvider): Promise<() => void>;
  /** How the gateway of this node speaks with the others; undefined: it serves nobody. */
  readonly claimer: Claimer | undefined;
}

/** How long an answer may take when nothing is said, in ms. */
const ttlDefaultMs = 120_000;

const classes = { interactive: 0, normal: 1, batch: 2 } as const;

/** Builds the handle. The code behind it is loaded when it is used: most nodes never ask. */
export function createLlm(world: PartWorld): {
  readonly handle: LlmHandle;
  readonly part: NodePart;
} {
  const random = world.random();
  let asker: Promise<Asker> | undefined;
  let claimer: Claimer | undefined;
  let stopServing: (() => void) | undefined;

  function load(): Promise<Asker> {
    asker ??= import('../runtime/llm/asking.ts').then(({ createAsker }) => createAsker(world));
    return asker;
  }

  function drawId(): string {
    let id = '';
    for (let part = 0; part < 4; part += 1)
      id += random
        .below(2 ** 32)
        .toString(16)
        .padStart(8, '0');
    return id;
  }

  async function* ask(
    kind: 'chat' | 'embeddings',
    body: Readonly<Record<string, unknown>>,
    isStream: boolean,
    options: LlmOptions,
  ): AsyncGenerator<LlmEvent> {
    const ready = await load();
    const model = body['model'] ?? (await defaultModel(ready));
    const ttlMs = options.ttlMs ?? ttlDefaultMs;
    yield* ready.ask(
      {
        id: options.id ?? drawId(),
        kind,
        body: { ...body, model },
        class: classes[options.class ?? 'normal'],
        isStream,
        cacheMs: options.cacheMs,
        agent: options.agent,
        onBehalfOf: undefined,
      },
      ttlMs,
      options.signal,
    );
  }

  const handle: LlmHandle = {
    async chat(request, options = {}) {
      const answer = createAnswer();
      for await (const event of ask('chat', bodyOf(request), false, options)) answer.add(event);
      return answer.whole();
    },
    stream: (request, options = {}) =>
      ask('chat', { ...bodyOf(request), stream: true }, true, options),
    async embed(texts, options) {
      let vectors: readonly (readonly number[])[] | undefined;
      let usage: LlmUsage | undefined;
      for await (const event of ask(
        'embeddings',
        { model: options.model, input: texts },
        false,
        options,
      )) {
        if (event.type === 'vectors') ({ vectors } = event);
        if (event.type === 'usage') ({ usage } = event);
      }
      if (vectors === undefined)
        throw new MycelError('MYCEL_LLM_FAILED', { reason: 'No vectors came.' });
      return { vectors, usage };
    },
    targets: async () => (await load()).adverts(),
    usage: async () => (await load()).usage(),
    async serve(provider) {
      const { serveLlm } = await import('../runtime/llm/serving.ts');
      const { createClaimer } = await import('../runtime/llm/claiming.ts');
      claimer = createClaimer(world);
      const stop = serveLlm(world.calls, provider);
      stopServing = stop;
      return () => {
        stopServing = undefined;
        stop();
      };
    },
    get claimer() {
      return claimer;
    },
  };
  return {
    handle,
    part: {
      start: async () => undefined,
      async stop() {
        stopServing?.();
      },
    },
  };
}

/** The first model for chats that any gateway has. */
async function defaultModel(asker: Asker): Promise<string> {
  for (const { advert } of await asker.adverts()) {
    const found = advert.models.find(({ isEmbeddings }) => !isEmbeddings);
    if (found !== undefined) return found.name;
  }
  throw new MycelError('MYCEL_LLM_FAILED', {
    reason: 'No gateway with a model is in the mesh.',
    fix: 'Run "mycel gateway up" on a node of this mesh; "mycel members" shows who is there.',
  });
}

function bodyOf(request: LlmChatRequest): Readonly<Record<string, unknown>> {
  return typeof request === 'string' ? { messages: [{ role: 'user', content: request }] } : request;
}
