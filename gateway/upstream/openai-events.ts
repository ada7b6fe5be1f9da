/** Decodes OpenAI chat completions, streamed or whole, into events; mends what servers are known to get wrong. */

import { countOf, isObject, strangers, textOf } from '../events.ts';
import type { Batch, ExtraFields, JsonObject, LlmEvent, Usage } from '../events.ts';
import { LlmFailure } from '../failure.ts';
import { failureOfBody } from './openai-failure.ts';

const knownDelta = new Set(['role', 'content', 'tool_calls', 'reasoning_content', 'reasoning']);
const knownChoice = new Set(['index', 'delta', 'message', 'finish_reason']);
const knownAnswer = new Set(['id', 'object', 'created', 'model', 'choices', 'usage', 'error']);

/** Turns the data of server-sent events into batches. One for each answer. */
export interface ChatDecoder {
  /** @throws {LlmFailure} malformed, or what the target reported in the middle of its answer. */
  push(data: string): Batch;
  /** What is still to be said when the stream has ended. @throws {LlmFailure} incomplete without a finish reason. */
  end(): Batch;
  /** Whether the answer is whole: nothing but usage and the end mark may follow. */
  isFinished(): boolean;
}

/** A tool call as the decoder has seen it so far. */
interface OpenCall {
  readonly index: number;
  readonly id: string;
}

/** Builds a decoder. */
export function createChatDecoder(targetName: string): ChatDecoder {
  const calls = createCalls();
  let finish: string | undefined;
  let usage: Usage | undefined;
  let isDone = false;

  function decodeChunk(chunk: JsonObject): LlmEvent[] {
    if (chunk['error'] !== undefined && chunk['error'] !== null) {
      throw failureOfBody(chunk, 502, targetName);
    }
    const counted = decodeUsage(chunk['usage']);
    if (counted !== undefined) usage = counted;
    const choice: unknown = Array.isArray(chunk['choices']) ? chunk['choices'][0] : undefined;
    if (!isObject(choice)) return [];
    const delta = isObject(choice['delta']) ? choice['delta'] : {};
    const events = decodeMessage(delta, calls, extraOf(delta, choice, chunk));
    const reason = textOf(choice['finish_reason']);
    if (reason === 'error')
      throw incomplete(`Target '${targetName}' gave up in the middle of its answer.`);
    if (reason !== undefined && finish === undefined) finish = reason;
    return events;
  }

  return {
    push(data) {
      if (isDone) return [];
      if (data === '[DONE]') {
        isDone = true;
        return [];
      }
      let chunk: unknown;
      try {
        chunk = JSON.parse(data);
      } catch (error) {
        throw new LlmFailure(
          'malformed',
          `Target '${targetName}' sent an event that is not JSON.`,
          {
            wasDispatched: true,
            cause: error,
          },
        );
      }
      if (!isObject(chunk)) {
        throw new LlmFailure(
          'malformed',
          `Target '${targetName}' sent an event that is not an object.`,
          { wasDispatched: true },
        );
      }
      return decodeChunk(chunk);
    },
    end() {
      if (finish === undefined) {
        throw incomplete(
          `The answer of target '${targetName}' ended without saying that it is finished.`,
        );
      }
      const reason = mendedReason(finish, calls.count() > 0);
      return [
        ...(usage === undefined ? [] : [{ type: 'usage', usage } as const]),
        { type: 'finish', reason },
      ];
    },
    isFinished: () => finish !== undefined,
  };
}

/**
 * Decodes a whole answer.
 * @throws {LlmFailure} malformed or incomplete.
 */
export function decodeChatAnswer(body: unknown, targetName: string): Batch {
  if (!isObject(body)) {
    throw new LlmFailure(
      'malformed',
      `Target '${targetName}' answered with something that is not JSON.`,
      { wasDispatched: true },
    );
  }
  if (body['error'] !== undefined && body['error'] !== null) {
    throw failureOfBody(body, 502, targetName);
  }
  const choice: unknown = Array.isArray(body['choices']) ? body['choices'][0] : undefined;
  if (!isObject(choice) || !isObject(choice['message'])) {
    throw new LlmFailure('malformed', `The answer of target '${targetName}' holds no message.`, {
      wasDispatched: true,
    });
  }
  const reason = textOf(choice['finish_reason']);
  if (reason === undefined || reason === 'error') {
    throw incomplete(`The answer of target '${targetName}' does not say that it is finished.`);
  }
  const { message } = choice as { message: JsonObject };
  const calls = createCalls();
  const events = decodeMessage(message, calls, extraOf(message, choice, body));
  const usage = decodeUsage(body['usage']);
  if (usage !== undefined) events.push({ type: 'usage', usage });
  events.push({ type: 'finish', reason: mendedReason(reason, calls.count() > 0) });
  return events;
}

/** More tokens than any answer can have used: a target that says so does not know. */
const usageMax = 1e9;

/** Usage in OpenAI's words; undefined when there is none, or it says what cannot be. */
export function decodeUsage(value: unknown): Usage | undefined {
  if (!isObject(value)) return undefined;
  const input = value['prompt_tokens'] ?? value['input_tokens'];
  // Embeddings have no output to report.
  const output = value['completion_tokens'] ?? value['output_tokens'] ?? 0;
  if (!isCount(input) || !isCount(output)) return undefined;
  const inner = (field: string, name: string): number =>
    isObject(value[field]) ? countOf((value[field] as JsonObject)[name]) : 0;
  return {
    inputTokens: countOf(input),
    outputTokens: countOf(output),
    cachedTokens: inner('prompt_tokens_details', 'cached_tokens'),
    reasoningTokens: inner('completion_tokens_details', 'reasoning_tokens'),
  };
}

function isCount(value: unknown): boolean {
  return typeof value === 'number' && value >= 0 && value <= usageMax;
}

interface Calls {
  /** Finds or opens the call that a piece belongs to. `isNew` when it opened one. */
  of(piece: JsonObject): OpenCall & { readonly isNew: boolean };
  count(): number;
}

/** Servers leave out indexes and ids, and some number every call 0: each call gets an index and an id of its own. */
function createCalls(): Calls {
  const open: OpenCall[] = [];
  const current = new Map<number, OpenCall>();

  function start(slot: number, id: string | undefined): OpenCall & { isNew: boolean } {
    const call = {
      index: open.length,
      id: id ?? `call_${open.length}_${Math.trunc(performance.now() * 1000).toString(36)}`,
    };
    open.push(call);
    current.set(slot, call);
    return { ...call, isNew: true };
  }

  return {
    count: () => open.length,
    of(piece) {
      const id = textOf(piece['id']);
      const hasName = textOf((piece['function'] as JsonObject | undefined)?.['name']) !== undefined;
      const given = piece['index'];
      const last = open.at(-1);
      const slot = typeof given === 'number' ? given : hasName ? open.length : (last?.index ?? 0);
      const known = current.get(slot);
      if (known === undefined) return start(slot, id);
      // The same place with another id, or a whole new name, is another call.
      if (id !== undefined && id !== '' && id !== known.id && hasName) return start(slot, id);
      return { ...known, isNew: false };
    },
  };
}

function decodeMessage(
  message: JsonObject,
  calls: Calls,
  extra: ExtraFields | undefined,
): LlmEvent[] {
  const events: LlmEvent[] = [];
  const thought = textOf(message['reasoning_content']) ?? textOf(message['reasoning']);
  if (thought !== undefined && thought !== '') events.push({ type: 'think', text: thought });
  const text = textOf(message['content']) ?? '';
  if (extra !== undefined) events.push({ type: 'text', text, extra });
  else if (text !== '') events.push({ type: 'text', text });
  if (!Array.isArray(message['tool_calls'])) return events;
  for (const piece of message['tool_calls'] as unknown[]) {
    if (!isObject(piece)) continue;
    const call = calls.of(piece);
    const body = isObject(piece['function']) ? piece['function'] : {};
    const given: unknown = body['arguments'];
    const input = typeof given === 'string' ? given : isObject(given) ? JSON.stringify(given) : '';
    const name = textOf(body['name']);
    events.push({
      type: 'tool',
      index: call.index,
      ...(call.isNew ? { id: call.id, name: name ?? '' } : {}),
      ...(input === '' ? {} : { input }),
    });
  }
  return events;
}

function extraOf(
  message: JsonObject,
  choice: JsonObject,
  answer: JsonObject,
): ExtraFields | undefined {
  const parts = {
    delta: strangers(message, knownDelta),
    choice: strangers(choice, knownChoice),
    answer: strangers(answer, knownAnswer),
  };
  if (parts.delta === undefined && parts.choice === undefined && parts.answer === undefined) {
    return undefined;
  }
  return Object.fromEntries(Object.entries(parts).filter(([, part]) => part !== undefined));
}

/** Some servers say "stop" after a tool call. */
function mendedReason(reason: string, hasCalls: boolean): string {
  return hasCalls && reason === 'stop' ? 'tool_calls' : reason;
}

function incomplete(message: string): LlmFailure {
  return new LlmFailure('incomplete', message, { wasDispatched: true });
}
