/**
 * Bidding strategies: the truth, a fixed shade, the equilibrium shade, and one that learns its shade from what the
 * announced bids would have brought (multiplicative weights: Freund, Schapire 1997; regret O(sqrt(T log k))).
 */

import { BoundedMap } from '../../kernel/bounded-map.ts';

/** How somebody bids for an item it values. */
export interface BidStrategy {
  /** The bid for this value. */
  bid(value: number): number;
  /** Hears how it ended: its value, and the best bid of the others. */
  learn?(value: number, bestOther: number): void;
}

/** Bids the value itself: dominant under the second price, worthless under the first. */
export const truthfulStrategy: BidStrategy = { bid: (value) => value };

/** Bids a fixed part of the value. */
export function fixedShade(share: number): BidStrategy {
  return { bid: (value) => value * share };
}

/** The equilibrium against n-1 others whose values are uniform: (n-1)/n of the value. */
export function equilibriumShade(bidderCount: number): BidStrategy {
  return fixedShade((bidderCount - 1) / bidderCount);
}

/** Knobs of the learner. */
export interface AdaptiveShadeConfig {
  /** Shares it chooses among, evenly from `from` to 1. @default 25 */
  readonly shareCount?: number;
  /** @default 0.02 */
  readonly from?: number;
  /** How fast old auctions fade: 1 never. @default 0.999 */
  readonly memory?: number;
  /** How sharply it prefers what paid. @default 1 */
  readonly rate?: number;
}

/** A learner's strategy and what it has come to. */
export interface AdaptiveShade extends BidStrategy {
  learn(value: number, bestOther: number): void;
  /** The share it bids now. */
  share(): number;
}

/** Builds a learner that bids the mean of the shares, weighted by how they would have paid in a first-price auction. */
export function createAdaptiveShade(config: AdaptiveShadeConfig = {}): AdaptiveShade {
  const count = Math.max(2, Math.min(1_000, config.shareCount ?? 25));
  const from = Math.min(1, Math.max(0, config.from ?? 0.02));
  const memory = Math.min(1, Math.max(0, config.memory ?? 0.999));
  const rate = config.rate ?? 1;
  const shares = Array.from({ length: count }, (_, at) => from + ((1 - from) * at) / (count - 1));
  const gains = new Float64Array(count);
  let scale = 0;

  function share(): number {
    const best = gains.reduce((high, gain) => Math.max(high, gain), -Infinity);
    let total = 0;
    let sum = 0;
    for (const [at, one] of shares.entries()) {
      const weight = Math.exp((rate * ((gains[at] as number) - best)) / Math.max(scale, 1e-12));
      total += weight;
      sum += weight * one;
    }
    return sum / total;
  }

  return {
    share,
    bid: (value) => value * share(),
    learn(value, bestOther) {
      if (!(value > 0) || !Number.isFinite(value) || Number.isNaN(bestOther)) return;
      // Gains are measured against the usual value, so that the scale of money does not matter.
      scale = scale === 0 ? value : scale * 0.99 + value * 0.01;
      for (const [at, one] of shares.entries()) {
        const wins = value * one > bestOther;
        gains[at] = (gains[at] as number) * memory + (wins ? value * (1 - one) : 0);
      }
    },
  };
}

/** Auctions whose costs a bidder remembers until it hears how they ended; the oldest is forgotten. */
export const openBidsMax = 256;

/** Whoever bids costs for tasks by a strategy. */
export interface CostBidder {
  /** What it asks for work that costs it so much; undefined: it costs more than anybody pays. */
  bid(task: string, cost: number): number | undefined;
  /** Hears how auctions it bid in ended. */
  hear(endings: readonly CostBidEnding[]): void;
}

/** How one ended. `bestOther` undefined: nobody else bid. */
export interface CostBidEnding {
  readonly task: string;
  readonly bestOther: number | undefined;
}

/**
 * Turns a strategy for buying into one for work: what the work is worth to the bidder is how much less than `limit` it
 * costs, and to ask less is to bid more.
 * @param limit the most that is paid, `costMax` of the task, or what the dearest bidder would ask
 */
export function createCostBidder(strategy: BidStrategy, limit: number): CostBidder {
  const open = new BoundedMap<string, number>(openBidsMax);
  return {
    bid(task, cost) {
      if (!(cost <= limit)) return undefined;
      open.set(task, cost);
      return limit - strategy.bid(limit - cost);
    },
    hear(endings) {
      for (const { task, bestOther } of endings) {
        const cost = open.get(task);
        open.delete(task);
        // Alone it would have got whatever it asked.
        if (cost !== undefined) strategy.learn?.(limit - cost, limit - (bestOther ?? limit));
      }
    },
  };
}
