/** Language models for programs on a node: they are asked through the mesh, and the gateway holds the keys. */

import { MycelError } from '../kernel/errors.ts';
import type { NodeId } from '../kernel/ids.ts';
import type { LlmAdvert, LlmEvent, LlmProvider, LlmUsage } from '../ports/language-model.ts';
import { createAnswer } from '../runtime/llm/answer.ts';
import type { LlmAnswer } from '../runtime/llm/answer.ts';
import type { Asker } from '../runtime/llm/asking.ts';
import type { Claimer } from '../runtime/llm/claiming.ts';
import type { AgentModels, ModelsFor } from '../runtime/agents/agent-llm.ts';
import type { LlmStep } from '../runtime/llm/tool-loop.ts';
import type { LlmTool } from '../runtime/llm/tools.ts';
import type { NodePart, PartWorld } from '../runtime/parts.ts';
import { currentContext, joinSignals } from '../runtime/services/context.ts';
import type { Services } from '../runtime/services/services.ts';

/** An OpenAI chat request; a text is one message of a user. Without a model it is the first that a gateway has. */
export type LlmChatRequest = string | Readonly<Record<string, unknown>>;

/** How to ask. */
export interface LlmOptions {
  /** How long the whole answer may take, with its tools, in ms; inside a request never longer than that. @default 120_000 */
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
  /**
   * Actions of the mesh that the model may call: `lamp.read`, or `lamp.*` for all of a service. They are called, and the
   * model is told what came of it, until it calls no more. One that changes something is asked of the node's `toolPolicy`
   * first. A request has these or its own `tools`, not both.
   */
  readonly tools?: readonly (string | LlmTool)[];
  /** How often the model may be asked for one answer, 32 at most. @default 8 */
  readonly toolRounds?: number;
  /** How many calls may be made for one answer, 128 at most. @default 32 */
  readonly toolCalls?: number;
  /** How long one call may take, in ms. @default 30_000 */
  readonly toolMs?: number;
}

/** Without tools. */
export interface NoTools {
  readonly tools?: undefined;
}

/** Language models of a mesh. */
export interface LlmHandle {
  /**
   * Waits for the whole answer.
   * @throws {MycelError} MYCEL_LLM_FAILED, MYCEL_DEADLINE; with tools also MYCEL_TOOL_LIMIT, MYCEL_UNKNOWN_SERVICE,
   * MYCEL_UNKNOWN_ACTION and MYCEL_BAD_OPTION. What a call fails with is told to the model and is among the `steps`.
   */
  chat(request: LlmChatRequest, options?: LlmOptions): Promise<LlmAnswer>;
  /** Gives the steps of an answer as they come; a `reset` voids what came before. Breaking out cancels it. */
  stream(request: LlmChatRequest, options?: LlmOptions & NoTools): AsyncIterable<LlmEvent>;
  stream(request: LlmChatRequest, options: LlmOptions): AsyncIterable<LlmStep>;
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

/** Who asks. `pass`: resolves when it may act, as an agent must not after a freeze; undefined: there is no doubt. */
interface Asking {
  readonly agent: string | undefined;
  pass(): Promise<void> | undefined;
}

/** Builds the handle. The code behind it is loaded when it is used: most nodes never ask. */
export function createLlm(
  world: PartWorld,
  services: Pick<Services, 'call' | 'describe' | 'list'>,
): {
  readonly handle: LlmHandle;
  readonly part: NodePart;
  readonly modelsFor: ModelsFor;
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

  /** A call inside a request ends with it. */
  function bounded(options: LlmOptions): {
    readonly until: number;
    readonly signal: AbortSignal | undefined;
  } {
    const ambient = currentContext();
    const until = world.clock.now() + (options.ttlMs ?? ttlDefaultMs);
    return {
      until: Math.min(until, ambient?.endsAt ?? Infinity),
      signal: joinSignals(options.signal, ambient?.signal),
    };
  }

  async function* ask(
    kind: 'chat' | 'embeddings',
    body: Readonly<Record<string, unknown>>,
    isStream: boolean,
    options: LlmOptions & { readonly id: string },
    { until, signal }: ReturnType<typeof bounded>,
  ): AsyncGenerator<LlmEvent> {
    const ready = await load();
    const model = body['model'] ?? (await defaultModel(ready));
    yield* ready.ask(
      {
        id: options.id,
        kind,
        body: { ...body, model },
        class: classes[options.class ?? 'normal'],
        isStream,
        cacheMs: options.cacheMs,
        agent: options.agent,
        onBehalfOf: undefined,
      },
      until - world.clock.now(),
      signal,
    );
  }

  async function* converse(
    given: Readonly<Record<string, unknown>>,
    isStream: boolean,
    options: LlmOptions,
    asking: Asking,
    within: ReturnType<typeof bounded>,
  ): AsyncGenerator<LlmStep> {
    const body = isStream ? { ...given, stream: true } : given;
    const who = named(options, asking);
    const { id, agent, tools } = who;
    if (tools === undefined) {
      yield* ask('chat', body, isStream, who, within);
      return;
    }
    const [{ gatherTools }, { boundsOf, runToolLoop }] = await Promise.all([
      import('../runtime/llm/tools.ts'),
      import('../runtime/llm/tool-loop.ts'),
    ]);
    const bounds = boundsOf(who, body);
    const policy = world.options.toolPolicy;
    yield* runToolLoop({
      id,
      body,
      bounds,
      tools: await gatherTools(tools, { services, policy, agent, pass: asking.pass }),
      signal: within.signal,
      leftMs: () => within.until - world.clock.now(),
      ask: (round, words) => ask('chat', words, isStream, { ...who, id: round }, within),
    });
  }

  /** An agent asks in its own name, whatever it says. */
  function named(options: LlmOptions, { agent }: Asking): LlmOptions & { readonly id: string } {
    return {
      ...options,
      id: options.id ?? drawId(),
      ...(agent === undefined ? {} : { agent }),
    };
  }

  function modelsOf(asking: Asking): Pick<LlmHandle, 'chat' | 'stream' | 'embed'> {
    return {
      async chat(request, options = {}) {
        const answer = createAnswer();
        const steps = converse(bodyOf(request), false, options, asking, bounded(options));
        for await (const step of steps) answer.add(step);
        return answer.whole();
      },
      stream: ((request: LlmChatRequest, options: LlmOptions = {}) =>
        converse(bodyOf(request), true, options, asking, bounded(options))) as LlmHandle['stream'],
      async embed(texts, options) {
        let vectors: readonly (readonly number[])[] | undefined;
        let usage: LlmUsage | undefined;
        const body = { model: options.model, input: texts };
        const who = named(options, asking);
        for await (const event of ask('embeddings', body, false, who, bounded(options))) {
          if (event.type === 'vectors') ({ vectors } = event);
          if (event.type === 'usage') ({ usage } = event);
        }
        if (vectors === undefined)
          throw new MycelError('MYCEL_LLM_FAILED', { reason: 'No vectors came.' });
        return { vectors, usage };
      },
    };
  }

  const handle: LlmHandle = {
    ...modelsOf({ agent: undefined, pass: () => undefined }),
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
    modelsFor: (agent, pass): AgentModels => modelsOf({ agent, pass }),
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
