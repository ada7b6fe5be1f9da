/**
 * Sealed bids, one round: first price and second price (Vickrey 1961), for selling to the highest or buying from the
 * lowest. Revenue with n bidders drawn from U[0,1] is (n-1)/(n+1) under both.
 */

import { hashText } from '../../kernel/hash.ts';

/** Bids of one auction that are looked at; the rest counts as ignored. */
export const sealedBidsMax = 1024;

/** What somebody would pay (or wants to be paid). */
export interface Bid {
  readonly bidder: string;
  readonly amount: number;
}

/** How sealed bids become a winner and a price. */
export interface SealedRule {
  /** Breaks ties: equal bids are ordered by the hash of this and the bidder, so that all nodes agree. */
  readonly item: string;
  /** `highest`: the item is sold. `lowest`: work is bought, bids are costs. */
  readonly sense: 'highest' | 'lowest';
  /** What the winner pays (gets): its own bid, or the best losing one. Under `second` the truth is the best bid. */
  readonly price: 'first' | 'second';
  /** No deal below (above) this. @default none */
  readonly reserve?: number;
}

/** What came of an auction. `ranking` holds all valid bids, best first. */
export type Settlement =
  | {
      readonly kind: 'sold';
      readonly winner: string;
      readonly price: number;
      readonly ranking: readonly Bid[];
    }
  | {
      readonly kind: 'unsold';
      readonly reason: 'no-bids' | 'reserve';
      readonly ranking: readonly Bid[];
    };

/** Orders bids: the better amount first, then the lower hash of item and bidder, then the bidder. */
export function compareBids(item: string, sense: SealedRule['sense']): (a: Bid, b: Bid) => number {
  const sign = sense === 'highest' ? -1 : 1;
  return (left, right) => {
    if (left.amount !== right.amount) return sign * (left.amount - right.amount);
    const tie = tieOf(item, left.bidder) - tieOf(item, right.bidder);
    if (tie !== 0) return tie;
    return left.bidder < right.bidder ? -1 : left.bidder > right.bidder ? 1 : 0;
  };
}

function tieOf(item: string, bidder: string): number {
  return hashText(`${item}\u0000${bidder}`);
}

/** Settles the auction. A bidder's first bid counts, further ones and amounts that are no finite numbers do not. */
export function settleSealed(bids: readonly Bid[], rule: SealedRule): Settlement {
  const first = new Map<string, Bid>();
  for (const bid of bids.slice(0, sealedBidsMax)) {
    if (Number.isFinite(bid.amount) && !first.has(bid.bidder)) first.set(bid.bidder, bid);
  }
  const ranking = [...first.values()].sort(compareBids(rule.item, rule.sense));
  const best = ranking[0];
  if (best === undefined) return { kind: 'unsold', reason: 'no-bids', ranking };
  const reserve = rule.reserve;
  const isHigh = rule.sense === 'highest';
  const meets = (amount: number): boolean =>
    reserve === undefined || (isHigh ? amount >= reserve : amount <= reserve);
  if (!meets(best.amount)) return { kind: 'unsold', reason: 'reserve', ranking };
  if (rule.price === 'first') {
    return { kind: 'sold', winner: best.bidder, price: best.amount, ranking };
  }
  const second = ranking[1]?.amount;
  // Alone, a buyer pays the reserve (or nothing), a seller gets the reserve (or what it asked).
  const alone = reserve ?? (isHigh ? Math.min(0, best.amount) : best.amount);
  const price = second === undefined ? alone : meets(second) ? second : (reserve ?? second);
  return { kind: 'sold', winner: best.bidder, price, ranking };
}
