/** A model with tools: it answers, its calls are made, it is told what came of them, until it calls no more. */

import type { Millis } from '../../kernel/core.ts';
import { MycelError } from '../../kernel/errors.ts';
import type { LlmEvent } from '../../ports/language-model.ts';
import { createAnswer } from './answer.ts';
import type { LlmAnswer } from './answer.ts';
import type { LlmToolStep, ToolCall, Tools } from './tools.ts';

/** Times that a model is asked for one answer: stated, and at most. */
export const llmRoundsDefault = 8;
export const llmRoundsMax = 32;

/** Calls of tools for one answer: stated, and at most. */
export const llmCallsDefault = 32;
export const llmCallsMax = 128;

/** What all calls for one answer may tell the model, in characters of JSON. */
export const llmToldMax = 262_144;

/** Calls that change nothing and are made at once. */
export const llmCallsAtOnce = 8;

/** How long one call of a tool may take when nothing is said, in ms. */
export const llmToolMsDefault: Millis = 30_000;

/** The model has been told what came of its calls and is asked again; a `reset` voids what came since. */
export interface LlmRound {
  readonly type: 'round';
  /** 2 for the second time that it is asked. */
  readonly round: number;
}

/** A step of an answer with tools: what the model says, what its calls came to, and its next round. */
export type LlmStep = LlmEvent | LlmToolStep | LlmRound;

/** The bounds of one answer. */
export interface ToolBounds {
  readonly rounds: number;
  readonly calls: number;
  readonly toolMs: Millis;
}

/** The bounds as they are asked for. */
export interface ToolLimits {
  readonly id: string;
  readonly toolRounds?: number;
  readonly toolCalls?: number;
  readonly toolMs?: number;
}

/** Longest name of an answer with tools, in characters: the names of its rounds are longer. */
const idLengthMax = 100;

/** Longest time that may be stated for one call, in ms. */
const toolMsMax: Millis = 3_600_000;

/** What a loop is given. */
export interface ToolLoop {
  /** Names the answer; its rounds and calls are named after it, so that a repeat of a round is not paid for twice. */
  readonly id: string;
  readonly body: Readonly<Record<string, unknown>>;
  readonly tools: Tools;
  readonly bounds: ToolBounds;
  readonly signal: AbortSignal | undefined;
  /** What is left of the time for the whole answer, in ms. */
  leftMs(): Millis;
  /** Asks the model once. */
  ask(id: string, body: Readonly<Record<string, unknown>>, leftMs: Millis): AsyncIterable<LlmEvent>;
}

/** The bounds of an answer with tools. @throws {MycelError} MYCEL_BAD_OPTION */
export function boundsOf(
  { toolRounds, toolCalls, toolMs, id }: ToolLimits,
  body: Readonly<Record<string, unknown>>,
): ToolBounds {
  const bad = (reason: string): MycelError => new MycelError('MYCEL_BAD_OPTION', { reason });
  const within = (name: string, value: number, max: number): number => {
    if (Number.isInteger(value) && value >= 1 && value <= max) return value;
    throw bad(`'${name}' must be a whole number from 1 to ${max}.`);
  };
  if (body['tools'] !== undefined)
    throw bad("A request has tools of its own or 'tools' of the mesh, not both.");
  if (id.length > idLengthMax)
    throw bad(`The 'id' of a request with tools has ${idLengthMax} characters at most.`);
  return {
    rounds: within('toolRounds', toolRounds ?? llmRoundsDefault, llmRoundsMax),
    calls: within('toolCalls', toolCalls ?? llmCallsDefault, llmCallsMax),
    toolMs: within('toolMs', toolMs ?? llmToolMsDefault, toolMsMax),
  };
}

/**
 * Gives the steps. Only the last round's `finish` is among them; a round's `usage` comes for each.
 * @throws {MycelError} MYCEL_TOOL_LIMIT, MYCEL_DEADLINE, and what asking throws
 */
export async function* runToolLoop(loop: ToolLoop): AsyncGenerator<LlmStep> {
  const { id, tools, bounds, signal } = loop;
  const messages = [...((loop.body['messages'] ?? []) as readonly unknown[])];
  let body: Readonly<Record<string, unknown>> = { ...loop.body, tools: tools.offered };
  let callCount = 0;
  let told = 0;
  for (let round = 1; ; round += 1) {
    signal?.throwIfAborted();
    const answer = createAnswer();
    let finish: LlmEvent | undefined;
    for await (const event of loop.ask(`${id}.${round}`, { ...body, messages }, left(loop))) {
      answer.add(event);
      if (event.type === 'finish') finish = event;
      else yield event;
    }
    const whole = answer.whole();
    const calls = callsOf(whole);
    if (calls.length === 0) {
      if (finish !== undefined) yield finish;
      return;
    }
    callCount += calls.length;
    if (round >= bounds.rounds)
      throw tooMuch(`It was asked ${round} times and calls still more`, round, callCount);
    if (callCount > bounds.calls)
      throw tooMuch(`It wants ${callCount} calls, ${bounds.calls} at most`, round, callCount);
    messages.push(wordsOf(whole, calls));
    for await (const step of make(loop, calls, round)) {
      told += step.told.length;
      messages.push({ role: 'tool', tool_call_id: step.id, content: step.told });
      yield step;
    }
    if (told > llmToldMax)
      throw tooMuch(
        `Its tools have told it ${told} characters, ${llmToldMax} at most`,
        round,
        callCount,
      );
    yield { type: 'round', round: round + 1 };
    // What was demanded of the first round is done: demanded again it would never end.
    const { tool_choice: choice, ...rest } = body;
    body = choice === 'none' ? body : rest;
  }
}

/** What is left of the time. @throws {MycelError} MYCEL_DEADLINE */
function left({ leftMs }: ToolLoop): Millis {
  const ms = leftMs();
  if (ms > 0) return ms;
  throw new MycelError('MYCEL_DEADLINE', {
    reason: 'The time for the answer and the tools it wants is over.',
  });
}

/** The calls of a round that is over. What was cut off may have lost arguments, and is not carried out. */
function callsOf({ calls, finish }: LlmAnswer): readonly ToolCall[] {
  if (finish === 'length' || finish === 'content_filter') return [];
  return calls.map((call, at) => (call.id === '' ? { ...call, id: `call-${at}` } : call));
}

/** What the model said, as it is told back to it. */
function wordsOf({ text }: LlmAnswer, calls: readonly ToolCall[]): unknown {
  return {
    role: 'assistant',
    content: text === '' ? null : text,
    tool_calls: calls.map(({ id, name, input }) => ({
      id,
      type: 'function',
      function: { name, arguments: input },
    })),
  };
}

/** Makes the calls of a round: together when none changes anything, else one after the other. Their steps keep their order. */
async function* make(
  loop: ToolLoop,
  calls: readonly ToolCall[],
  round: number,
): AsyncGenerator<LlmToolStep> {
  const { id, tools, bounds, signal } = loop;
  const width = tools.haveEffect(calls) ? 1 : llmCallsAtOnce;
  for (let at = 0; at < calls.length; at += width) {
    const steps = calls.slice(at, at + width).map((call, of) =>
      tools.call(call, {
        timeoutMs: Math.min(bounds.toolMs, left(loop)),
        signal,
        key: `${id}.${round}.${at + of}`,
        correlation: id,
      }),
    );
    yield* await Promise.all(steps);
  }
}

function tooMuch(what: string, rounds: number, calls: number): MycelError {
  return new MycelError('MYCEL_TOOL_LIMIT', { reason: `${what}.`, rounds, calls });
}
