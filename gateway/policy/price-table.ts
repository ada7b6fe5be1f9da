/**
 * List prices in US dollars per million tokens, as the providers published them. A dated table: prices change, and
 * `prices:` in the configuration overrides every line of it.
 *
 * What was compared, from stored copies of public pages (the providers' own price lists could not be read whole):
 * - Anthropic's pages of single models (platform.claude.com/docs, models/opus-5, opus-5-5, sonnet-5, sonnet-5-5): the
 *   5 and 5.5 lines and Haiku 4.5's input and output. Opus 4.5 to 4.7 and Opus 4.0/4.1: a third party's dated table
 *   (docs.rs/crate/tokr, pricing.toml). Opus 5.5's cached price: a third party's note (github.com/kurofune/claudit, v1.8.2).
 * - OpenAI: GPT-4.1 and GPT-5 mini whole from GitHub's table (github/docs, data/tables/copilot/models-and-pricing.yml);
 *   GPT-4o and 4o mini from docs.rs/crate/openai-models; input and output of the other chat models from
 *   deploybase.ai/articles/openai-pricing (2026-03).
 * - Gemini 2.5 Pro: input and output from a copy of Google's list of 2026-06. The cached price is the dearer of two that
 *   were found (0.31 and 0.125).
 * Not confirmed by any page: the cached prices of GPT-4.1 mini and nano, GPT-5, GPT-5 nano, o3, o4-mini and Haiku 4.5, the
 * lines of Claude Sonnet 4 and 3.5 Haiku, and those of Gemini 2.5 Flash and Flash-Lite.
 * Models whose price rises with the length of the prompt are left out or, for Gemini 2.5 Pro, priced as up to 200 000 tokens.
 */

import type { Price } from '../config/schema.ts';

/** When the table was last compared with what was published, as told above. */
export const pricesAsOf = '2026-11-30';

/** By the beginning of a model's name: dated editions cost what their family costs. The longest match counts. */
export const listPrices: Readonly<Record<string, Price>> = {
  'gpt-4o': { input: 2.5, output: 10, cachedInput: 1.25 },
  'gpt-4o-mini': { input: 0.15, output: 0.6, cachedInput: 0.075 },
  'gpt-4.1': { input: 2, output: 8, cachedInput: 0.5 },
  'gpt-4.1-mini': { input: 0.4, output: 1.6, cachedInput: 0.1 },
  'gpt-4.1-nano': { input: 0.1, output: 0.4, cachedInput: 0.025 },
  'gpt-5': { input: 1.25, output: 10, cachedInput: 0.125 },
  'gpt-5-mini': { input: 0.25, output: 2, cachedInput: 0.025 },
  'gpt-5-nano': { input: 0.05, output: 0.4, cachedInput: 0.005 },
  o3: { input: 2, output: 8, cachedInput: 0.5 },
  'o4-mini': { input: 1.1, output: 4.4, cachedInput: 0.275 },
  'text-embedding-3-small': { input: 0.02, output: 0 },
  'text-embedding-3-large': { input: 0.13, output: 0 },
  'claude-opus-4': { input: 15, output: 75, cachedInput: 1.5 },
  'claude-opus-4-5': { input: 5, output: 25, cachedInput: 0.5 },
  'claude-opus-4-6': { input: 5, output: 25, cachedInput: 0.5 },
  'claude-opus-4-7': { input: 5, output: 25, cachedInput: 0.5 },
  'claude-opus-5': { input: 5, output: 25, cachedInput: 0.5 },
  'claude-opus-5-5': { input: 4, output: 20, cachedInput: 0.2 },
  'claude-sonnet-4': { input: 3, output: 15, cachedInput: 0.3 },
  'claude-sonnet-5': { input: 2, output: 10, cachedInput: 0.2 },
  'claude-haiku-4-5': { input: 1, output: 5, cachedInput: 0.1 },
  'claude-3-5-haiku': { input: 0.8, output: 4, cachedInput: 0.08 },
  'gemini-2.5-pro': { input: 1.25, output: 10, cachedInput: 0.31 },
  'gemini-2.5-flash': { input: 0.3, output: 2.5, cachedInput: 0.075 },
  'gemini-2.5-flash-lite': { input: 0.1, output: 0.4, cachedInput: 0.025 },
};
