/** How many tokens a request will use, without a tokenizer: counted characters, corrected by what providers report. */

import { isObject } from '../events.ts';
import type { JsonObject, Usage } from '../events.ts';
import type { Ask } from './ask.ts';

/** Characters of a token when nothing is known: a little fewer than in English text. */
const charsPerToken = 3.5;

/** Tokens that a provider adds for each message. */
const tokensPerMessage = 4;

/** Tokens taken for a picture or a file whose size is not known. */
const tokensPerPart = 1000;

/** Output set aside for an answer when nothing was learned and nothing was asked for, in tokens. */
const outputDefault = 256;

/** Largest output that is set aside unasked, in tokens. */
export const outputMax = 8192;

/** Models whose use is remembered. */
const modelsMax = 512;

/** What is learned of one model. */
interface Learned {
  /** Reported input over counted input, smoothed; the largest lately counts for a reservation. */
  factor: number;
  /** A slowly sinking maximum of the output of answers. */
  outputHigh: number;
}

/** Learns from every answer. */
export interface Estimator {
  inputTokens(model: string, body: JsonObject): number;
  /** A likely upper bound for the output of an answer without a stated limit. */
  outputTokens(model: string): number;
  learn(model: string, counted: number, usage: Usage): void;
}

/** Knows nothing yet. */
export function createEstimator(): Estimator {
  const learned = new Map<string, Learned>();
  return {
    inputTokens: (model, body) => Math.ceil(countTokens(body) * (learned.get(model)?.factor ?? 1)),
    outputTokens: (model) => {
      const high = learned.get(model)?.outputHigh;
      return high === undefined
        ? outputDefault
        : Math.min(outputMax, Math.max(64, Math.ceil(high * 2)));
    },
    learn(model, counted, usage) {
      if (usage.inputTokens === 0 || counted === 0) return;
      const ratio = Math.min(8, Math.max(0.25, usage.inputTokens / counted));
      const known = learned.get(model);
      if (known === undefined) {
        if (learned.size < modelsMax) {
          learned.set(model, { factor: Math.max(1, ratio), outputHigh: usage.outputTokens });
        }
        return;
      }
      // Up at once, down slowly, never below what was counted: a reservation must not be too small.
      known.factor = Math.max(1, ratio, known.factor * 0.98);
      known.outputHigh = Math.max(usage.outputTokens, known.outputHigh * 0.98);
    },
  };
}

/** The limit that the caller states, in tokens. */
export function statedOutput(body: JsonObject): number | undefined {
  const stated = body['max_completion_tokens'] ?? body['max_tokens'];
  return typeof stated === 'number' && stated > 0 ? Math.floor(stated) : undefined;
}

/** What a partial answer has used so far, when nobody will report it. */
export function countedUsage(ask: Ask, inputTokens: number, outputTokens: number): Usage {
  return {
    inputTokens,
    outputTokens: ask.kind === 'embeddings' ? 0 : outputTokens,
    cachedTokens: 0,
    reasoningTokens: 0,
  };
}

/** Tokens of a request as its characters and words tell. */
export function countTokens(body: JsonObject): number {
  const { messages, input, tools } = body;
  let tokens = textTokens(input);
  if (Array.isArray(messages)) {
    for (const message of messages as unknown[]) {
      tokens += tokensPerMessage;
      if (!isObject(message)) continue;
      tokens += textTokens(message['content']);
      if (message['tool_calls'] !== undefined)
        tokens += textTokens(JSON.stringify(message['tool_calls']));
    }
  }
  if (tools !== undefined) tokens += textTokens(JSON.stringify(tools));
  if (body['response_format'] !== undefined)
    tokens += textTokens(JSON.stringify(body['response_format']));
  return tokens;
}

/** Tokens of a text, or of what holds texts, as its characters and words tell. */
export function textTokens(value: unknown): number {
  if (typeof value === 'string') {
    let words = 1;
    // A token never spans two words; short words make many tokens of few characters.
    for (let at = value.indexOf(' '); at !== -1; at = value.indexOf(' ', at + 1)) words += 1;
    return Math.max(Math.ceil(value.length / charsPerToken), words);
  }
  if (typeof value === 'number') return 1;
  if (Array.isArray(value))
    return (value as unknown[]).reduce<number>((sum, part) => sum + textTokens(part), 0);
  if (!isObject(value)) return 0;
  return typeof value['text'] === 'string' ? textTokens(value['text']) : tokensPerPart;
}
