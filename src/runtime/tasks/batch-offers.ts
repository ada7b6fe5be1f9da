/** What a bidder answers about a batch: what each of its tasks costs it, and what bundles of them do. */

import type { BatchOffer } from '../../protocol/agreement/batch.ts';
import { batchOffersMax } from '../../protocol/agreement/batch.ts';
import type { TaskSpec } from '../../protocol/agreement/ledger.ts';
import type { OffersQuestion } from './batches.ts';
import type { TaskBody } from './task-types.ts';

/** Tasks up to which every bundle is offered; of more, single ones and the chain of the cheapest. */
export const allBundlesTasksMax = 4;

type Spec = TaskSpec<TaskBody>;

/** How a bidder prices. */
export interface OfferPricing {
  /** What a task costs with these in hand; undefined: it cannot or will not do it. */
  price(spec: Spec, held: readonly Spec[]): Promise<number | undefined>;
  /** Bundles that whoever takes these tasks has named itself; undefined: it has not. */
  own(specs: readonly Spec[]): Promise<readonly BatchOffer[] | undefined>;
}

/** Makes the offers. */
export async function makeOffers(
  { rule, open, held }: OffersQuestion,
  pricing: OfferPricing,
): Promise<BatchOffer[]> {
  const priced = await Promise.all(
    open.map(async (spec) => ({ spec, cost: await pricing.price(spec, held) })),
  );
  const singles = priced.flatMap(({ spec, cost }) => (cost === undefined ? [] : [{ spec, cost }]));
  const offers: BatchOffer[] = singles.map(({ spec, cost }) => ({ items: [spec.id], cost }));
  if (rule !== 'combinatorial') return offers;
  const named = await pricing.own(singles.map(({ spec }) => spec));
  if (named !== undefined) return [...offers, ...named].slice(0, batchOffersMax);
  const bySize = singles.sort((one, other) => one.cost - other.cost).map(({ spec }) => spec);
  const bundles =
    bySize.length <= allBundlesTasksMax
      ? subsets(bySize).filter(({ length }) => length > 1)
      : bySize.slice(1).map((_, at) => bySize.slice(0, at + 2));
  for (const bundle of bundles) {
    const cost = await chainCost(bundle, pricing);
    if (cost !== undefined) offers.push({ items: bundle.map(({ id }) => id), cost });
  }
  return offers.slice(0, batchOffersMax);
}

/** One after the other, each with the ones before it in hand. */
async function chainCost(
  bundle: readonly Spec[],
  { price }: OfferPricing,
): Promise<number | undefined> {
  let sum = 0;
  for (const [at, spec] of bundle.entries()) {
    const cost = await price(spec, bundle.slice(0, at));
    if (cost === undefined) return undefined;
    sum += cost;
  }
  return sum;
}

function subsets<Item>(all: readonly Item[]): Item[][] {
  return all.reduce<Item[][]>(
    (found, item) => [...found, ...found.map((one) => [...one, item])],
    [[]],
  );
}
