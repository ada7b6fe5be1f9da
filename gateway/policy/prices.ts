/** What an answer costs, in whole nano-dollars. An unknown price is unknown, never 0. */

import { nanoPerUsd } from 'mycel/flow';

import type { ModelConfig, TargetConfig } from '../config/load.ts';
import type { Price } from '../config/schema.ts';
import type { Usage } from '../events.ts';
import { listPrices } from './price-table.ts';

/** Costs nothing: the electricity is the owner's. */
const free: Price = { input: 0, output: 0 };

/** Finds prices: the model's own in the configuration, `prices:`, the table; a server on the own network is free. */
export function createPriceList(
  overrides: Readonly<Record<string, Price>>,
): (target: TargetConfig, model: ModelConfig) => Price | undefined {
  return (target, model) =>
    model.price ??
    overrides[model.name] ??
    overrides[model.as] ??
    (target.isLocal ? free : (listed(model.as) ?? listed(model.as.replace(/^.*\//, ''))));
}

function listed(model: string): Price | undefined {
  let best = '';
  for (const name of Object.keys(listPrices)) {
    const fits =
      model === name ||
      (model.startsWith(name) && /^[-:@]?(latest|\d)/.test(model.slice(name.length)));
    if (fits && name.length > best.length) best = name;
  }
  return listPrices[best];
}

/** The cost of a known use. Rounded up. */
export function costOf(price: Price, usage: Usage): number {
  const cached = Math.min(usage.cachedTokens, usage.inputTokens);
  const perMillion =
    (usage.inputTokens - cached) * price.input +
    cached * (price.cachedInput ?? price.input) +
    usage.outputTokens * price.output;
  // A hair below a whole number is that number: 0.15 has no exact binary form.
  return Math.ceil((perMillion * nanoPerUsd) / 1e6 - 1e-6);
}
