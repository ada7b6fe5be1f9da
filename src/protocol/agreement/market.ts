/**
 * Double auctions: many sell, many buy, one price a tick (uniform price, Wilson 1985; Chatterjee, Samuelson 1983), or
 * McAfee's rule (1992), under which the truth is everybody's best word and at most the least valuable trade is lost.
 */

import type { Bid } from './sealed.ts';

/** Orders of one side that are looked at in one clearing. */
export const clearingOrdersMax = 4096;

/** One unit changes hands. */
export interface Trade {
  readonly buyer: string;
  readonly seller: string;
  readonly pays: number;
  readonly gets: number;
}

/** What came of a clearing. `surplus`: what is left with the market: the sum of `pays - gets`, never below 0. */
export interface Clearing {
  readonly trades: readonly Trade[];
  readonly surplus: number;
}

interface Books {
  readonly buys: readonly Bid[];
  readonly sells: readonly Bid[];
  /** How many of the best pairs gain from trading. */
  readonly efficientCount: number;
}

function sortBooks(bids: readonly Bid[], asks: readonly Bid[]): Books {
  const clean = (orders: readonly Bid[]): Bid[] =>
    orders.slice(0, clearingOrdersMax).filter(({ amount }) => Number.isFinite(amount));
  const buys = clean(bids).sort((a, b) => b.amount - a.amount || byName(a, b));
  const sells = clean(asks).sort((a, b) => a.amount - b.amount || byName(a, b));
  let efficientCount = 0;
  while (efficientCount < Math.min(buys.length, sells.length)) {
    const [buy, sell] = [buys[efficientCount] as Bid, sells[efficientCount] as Bid];
    if (buy.amount < sell.amount) break;
    efficientCount += 1;
  }
  return { buys, sells, efficientCount };
}

function byName(left: Bid, right: Bid): number {
  return left.bidder < right.bidder ? -1 : left.bidder > right.bidder ? 1 : 0;
}

/** All gainful pairs trade at one price: `share` of the way from the last ask to the last bid. @default share 1/2 */
export function clearUniform(
  bids: readonly Bid[],
  asks: readonly Bid[],
  share: number = 0.5,
): Clearing {
  const books = sortBooks(bids, asks);
  const last = books.efficientCount - 1;
  const low = books.sells[last]?.amount ?? 0;
  const high = books.buys[last]?.amount ?? 0;
  const price = low + (high - low) * Math.min(1, Math.max(0, share));
  return traded(books, books.efficientCount, price, price);
}

/** McAfee's rule. */
export function clearMcAfee(bids: readonly Bid[], asks: readonly Bid[]): Clearing {
  const books = sortBooks(bids, asks);
  const count = books.efficientCount;
  if (count === 0) return { trades: [], surplus: 0 };
  const [lastBuy, lastSell] = [books.buys[count - 1] as Bid, books.sells[count - 1] as Bid];
  const nextBuy = books.buys[count];
  const nextSell = books.sells[count];
  if (nextBuy !== undefined && nextSell !== undefined) {
    const price = (nextBuy.amount + nextSell.amount) / 2;
    if (price >= lastSell.amount && price <= lastBuy.amount) {
      return traded(books, count, price, price);
    }
  }
  return traded(books, count - 1, lastBuy.amount, lastSell.amount);
}

function traded(books: Books, count: number, pays: number, gets: number): Clearing {
  const trades: Trade[] = [];
  for (let at = 0; at < count; at += 1) {
    const [buy, sell] = [books.buys[at] as Bid, books.sells[at] as Bid];
    trades.push({ buyer: buy.bidder, seller: sell.bidder, pays, gets });
  }
  return { trades, surplus: count * (pays - gets) };
}

/** A continuous double auction: an order trades at once with the best standing one, at the standing price. */
export interface OrderBook {
  /** A new order replaces the trader's standing one. Returns the trade it made. */
  place(side: 'buy' | 'sell', trader: string, amount: number): Trade | undefined;
  best(side: 'buy' | 'sell'): Bid | undefined;
  /** Takes a trader's standing order back. */
  remove(side: 'buy' | 'sell', trader: string): void;
  /** Every standing order is void, as after a trade in Gode and Sunder's market (1993). */
  clear(): void;
}

/** Builds an empty book. */
export function createOrderBook(): OrderBook {
  const books = { buy: new Map<string, number>(), sell: new Map<string, number>() };

  function best(side: 'buy' | 'sell'): Bid | undefined {
    let found: Bid | undefined;
    for (const [bidder, amount] of books[side]) {
      const isBetter =
        found === undefined || (side === 'buy' ? amount > found.amount : amount < found.amount);
      if (isBetter) found = { bidder, amount };
    }
    return found;
  }

  return {
    best,
    remove: (side, trader) => void books[side].delete(trader),
    clear() {
      books.buy.clear();
      books.sell.clear();
    },
    place(side, trader, amount) {
      if (!Number.isFinite(amount)) return undefined;
      const other = side === 'buy' ? 'sell' : 'buy';
      const standing = best(other);
      const crosses =
        standing !== undefined &&
        standing.bidder !== trader &&
        (side === 'buy' ? amount >= standing.amount : amount <= standing.amount);
      if (!crosses || standing === undefined) {
        if (books[side].has(trader) || books[side].size < clearingOrdersMax) {
          books[side].set(trader, amount);
        }
        return undefined;
      }
      books[other].delete(standing.bidder);
      books[side].delete(trader);
      const [buyer, seller] =
        side === 'buy' ? [trader, standing.bidder] : [standing.bidder, trader];
      return { buyer, seller, pays: standing.amount, gets: standing.amount };
    },
  };
}
