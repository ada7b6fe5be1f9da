/**
 * Sequential single-item auctions for batches: each round every bidder bids on every open item given what it holds
 * already, and the best bid wins one item (Lagoudakis et al. 2005, Koenig et al. 2006). With the sum of path costs as
 * the aim the result is within twice the optimum; parallel auctions have no such bound.
 */

import { compareBids } from './sealed.ts';
import type { Bid } from './sealed.ts';

/** Items of one batch; more are not allotted. */
export const batchItemsMax = 1024;

/** What a bidder's bundle costs with one item more. */
export interface BatchRules<Item> {
  /** Breaks ties. */
  nameOf(item: Item): string;
  /** The cost of a whole bundle, in the order the items were won. */
  costOf(bidder: string, bundle: readonly Item[]): number;
  /**
   * `sum`: bids are what the item adds, which keeps the total low (energy). `max`: bids are what the whole bundle then
   * costs, which keeps the longest low (finishing time). @default 'sum'
   */
  readonly aim?: 'sum' | 'max';
}

/** Who got what. */
export interface BatchAllotment<Item> {
  readonly bundles: ReadonlyMap<string, readonly Item[]>;
  readonly rounds: number;
}

/** Allots one item a round. */
export function allotSequentially<Item>(
  items: readonly Item[],
  bidders: readonly string[],
  rules: BatchRules<Item>,
): BatchAllotment<Item> {
  const bundles = new Map<string, Item[]>(bidders.map((bidder) => [bidder, []]));
  const costs = new Map<string, number>(bidders.map((bidder) => [bidder, 0]));
  const open = items.slice(0, batchItemsMax);
  let rounds = 0;
  while (open.length > 0 && bidders.length > 0) {
    let best: (Bid & { at: number }) | undefined;
    for (const [at, item] of open.entries()) {
      const order = compareBids(rules.nameOf(item), 'lowest');
      for (const bidder of bidders) {
        const whole = rules.costOf(bidder, [...(bundles.get(bidder) ?? []), item]);
        const amount = rules.aim === 'max' ? whole : whole - (costs.get(bidder) ?? 0);
        const bid = { bidder, amount, at };
        if (!Number.isFinite(amount)) continue;
        if (best === undefined || order(bid, best) < 0) best = bid;
      }
    }
    if (best === undefined) break;
    const bundle = bundles.get(best.bidder) ?? [];
    bundle.push(...open.splice(best.at, 1));
    costs.set(best.bidder, rules.costOf(best.bidder, bundle));
    rounds += 1;
  }
  return { bundles, rounds };
}

/**
 * The length of an open path from `start` through the stops, each put where it lengthens the path least (cheapest
 * insertion), in the order given.
 */
export function insertionPathLength<Stop>(
  start: Stop,
  stops: readonly Stop[],
  distance: (from: Stop, to: Stop) => number,
): number {
  const path: Stop[] = [start];
  let length = 0;
  for (const stop of stops) {
    const last = path.at(-1) as Stop;
    let bestAt = path.length;
    let bestAdds = distance(last, stop);
    for (let at = 1; at < path.length; at += 1) {
      const before = path[at - 1] as Stop;
      const after = path[at] as Stop;
      const adds = distance(before, stop) + distance(stop, after) - distance(before, after);
      if (adds >= bestAdds) continue;
      bestAdds = adds;
      bestAt = at;
    }
    path.splice(bestAt, 0, stop);
    length += bestAdds;
  }
  return length;
}
