/** The table of list prices: which line a model falls under, and which models have none. */

import { expect, test } from 'vitest';

import { resolveConfig } from '../../gateway/config/load.ts';
import type { TargetConfig } from '../../gateway/config/load.ts';
import { createPriceList } from '../../gateway/policy/prices.ts';

const { targets } = resolveConfig(
  { targets: [{ name: 'far', kind: 'openai', url: 'https://api.example.com/v1' }] },
  {},
);
const priceOf = (model: string) =>
  createPriceList({})(targets[0] as TargetConfig, {
    name: model,
    as: model,
    context: undefined,
    price: undefined,
    isEmbeddings: false,
    offline: undefined,
  });

test.each([
  ['claude-opus-4-1-20250805', 15],
  ['claude-opus-4-5-20251101', 5],
  ['claude-opus-4-7', 5],
  ['claude-opus-5', 5],
  ['claude-opus-5-5', 4],
  ['claude-sonnet-5-5', 2],
  ['gpt-5-mini-2025-08-07', 0.25],
  ['openai/gpt-4.1', 2],
])('%s costs %f a million tokens of input', (model, input) => {
  expect(priceOf(model)?.input).toBe(input);
});

test.each(['gpt-5.4', 'gpt-5-pro', 'claude-haiku-5-5', 'nobody-knows'])(
  '%s is not in it, and so has no price',
  (model) => {
    expect(priceOf(model)).toBeUndefined();
  },
);
