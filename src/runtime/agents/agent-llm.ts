/** What an agent may do with language models: ask them in its own name, over a port that carries one answer at a time. */

import * as z from 'zod/mini';
import { MycelError } from '../../kernel/errors.ts';

/** Answers that one run of an agent waits for. */
export const agentAnswersMax = 16;

/** Steps of a stream that are read ahead of an agent. */
export const agentStepsAhead = 256;

/** How an agent may ask; the options of `node.llm` without those that are the node's to say. */
const options = z.strictObject({
  ttlMs: z.optional(z.number().check(z.gte(0))),
  id: z.optional(z.string().check(z.minLength(1), z.maxLength(128))),
  class: z.optional(z.enum(['interactive', 'normal', 'batch'])),
  cacheMs: z.optional(z.number().check(z.gte(0))),
  model: z.optional(z.string().check(z.maxLength(256))),
  tools: z.optional(
    z
      .array(
        z.union([
          z.string().check(z.maxLength(256)),
          z.strictObject({
            action: z.string().check(z.maxLength(256)),
            description: z.optional(z.string().check(z.maxLength(1_024))),
            namespace: z.optional(z.string().check(z.maxLength(128))),
            select: z.optional(z.string().check(z.maxLength(1_024))),
            node: z.optional(z.string().check(z.maxLength(128))),
          }),
        ]),
      )
      .check(z.maxLength(64)),
  ),
  toolRounds: z.optional(z.number()),
  toolCalls: z.optional(z.number()),
  toolMs: z.optional(z.number()),
});
const request = z.union([z.string(), z.record(z.string(), z.unknown())]);
const texts = z.array(z.string()).check(z.maxLength(2_048));
const number = z.int();

type Signalled = Readonly<Record<string, unknown>> & { readonly signal: AbortSignal };

/** Language models, asked in the name of one agent. */
export interface AgentModels {
  chat(request: string | Readonly<Record<string, unknown>>, options: Signalled): Promise<unknown>;
  stream(
    request: string | Readonly<Record<string, unknown>>,
    options: Signalled,
  ): AsyncIterable<unknown>;
  embed(
    texts: readonly string[],
    options: Signalled & { readonly model: string },
  ): Promise<unknown>;
}

/** Builds them. `pass`: resolves when the agent may act; undefined: there is no doubt. */
export type ModelsFor = (agent: string, pass: () => Promise<void> | undefined) => AgentModels;

/** What the run of an agent has asked. */
export interface AgentLlm {
  /** @throws {MycelError} MYCEL_BAD_OPTION, and what asking throws */
  perform(action: string, args: readonly unknown[]): Promise<unknown>;
  /** Gives up what is open. */
  end(): void;
}

/** A stream on its way to an agent: read ahead, and taken in lots. */
interface Reading {
  /**
   * What came since it was last asked; waits for the first. Of several who wait, each gets what comes in its turn.
   * @throws what the stream ended with, once all else is taken
   */
  next(): Promise<{ readonly steps: readonly unknown[]; readonly isOver: boolean }>;
}

/** Builds it. */
export function createAgentLlm(models: AgentModels): AgentLlm {
  const open = new Map<number, { readonly control: AbortController; readonly reading?: Reading }>();

  function enter(call: number, make?: (signal: AbortSignal) => Reading): AbortController {
    if (open.has(call)) throw bad('This call is open already.');
    if (open.size >= agentAnswersMax)
      throw bad(`An agent waits for ${agentAnswersMax} answers at most.`);
    const control = new AbortController();
    open.set(call, { control, ...(make === undefined ? {} : { reading: make(control.signal) }) });
    return control;
  }

  async function once(
    call: number,
    ask: (signal: AbortSignal) => Promise<unknown>,
  ): Promise<unknown> {
    const { signal } = enter(call);
    try {
      return await ask(signal);
    } finally {
      open.delete(call);
    }
  }

  async function next(call: number): Promise<unknown> {
    const reading = open.get(call)?.reading;
    if (reading === undefined) throw bad('There is no such stream.');
    try {
      const lot = await reading.next();
      if (lot.isOver) open.delete(call);
      return lot;
    } catch (error) {
      open.delete(call);
      throw error;
    }
  }

  return {
    async perform(action, [first, second, third]) {
      const call = read(number, first);
      switch (action) {
        case 'chat': {
          const how = optionsOf(third);
          return once(call, (signal) => models.chat(read(request, second), { ...how, signal }));
        }
        case 'embed': {
          const { model, ...how } = optionsOf(third);
          if (typeof model !== 'string') throw bad("'embed' needs a 'model'.");
          return once(call, (signal) =>
            models.embed(read(texts, second), { ...how, model, signal }),
          );
        }
        case 'open': {
          const how = optionsOf(third);
          const words = read(request, second);
          enter(call, (signal) => readAhead(models.stream(words, { ...how, signal }), signal));
          return undefined;
        }
        case 'next':
          return next(call);
        case 'cancel': {
          const one = open.get(call);
          if (one?.reading !== undefined) open.delete(call);
          one?.control.abort();
          return undefined;
        }
        default:
          throw bad(`There is no '${action.slice(0, 32)}' of language models.`);
      }
    },
    end() {
      for (const { control } of open.values()) control.abort();
      open.clear();
    },
  };
}

/** Reads a stream until it is so many steps ahead. */
function readAhead(source: AsyncIterable<unknown>, signal: AbortSignal): Reading {
  let waiting: unknown[] = [];
  let isOver = false;
  let failed: { readonly error: unknown } | undefined;
  let askers: (() => void)[] = [];
  let taken = (): void => {};

  /** The first of them takes what there is; the others wait on, in the same order. */
  function arrived(): void {
    const waking = askers;
    askers = [];
    for (const wake of waking) wake();
  }

  async function pump(): Promise<void> {
    for await (const step of source) {
      waiting.push(step);
      arrived();
      if (waiting.length < agentStepsAhead) continue;
      await new Promise<void>((resolve) => (taken = resolve));
      signal.throwIfAborted();
    }
  }
  signal.addEventListener('abort', () => taken(), { once: true });
  pump()
    .catch((error: unknown) => (failed = { error }))
    .finally(() => {
      isOver = true;
      arrived();
    });

  return {
    async next() {
      while (waiting.length === 0 && !isOver)
        await new Promise<void>((resolve) => void askers.push(resolve));
      const steps = waiting;
      waiting = [];
      taken();
      if (steps.length === 0 && failed !== undefined) throw failed.error;
      return { steps, isOver: isOver && failed === undefined };
    },
  };
}

function optionsOf(value: unknown): Readonly<Record<string, unknown>> {
  const result = z.safeParse(options, value ?? {});
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const field = issue?.code === 'unrecognized_keys' ? issue.keys[0] : issue?.path.join('.');
  throw bad(`The option '${field ?? ''}' is not what it should be, or unknown.`);
}

function read<Read>(schema: z.ZodMiniType<Read>, value: unknown): Read {
  const result = z.safeParse(schema, value);
  if (result.success) return result.data;
  throw bad('A request to a language model is not what it should be.');
}

function bad(reason: string): MycelError {
  return new MycelError('MYCEL_BAD_OPTION', { reason });
}
