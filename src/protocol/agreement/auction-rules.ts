/** How an auctioneer picks a winner among bids that are costs: predicted time, energy and queue, the lowest wins. */

import { settleSealed } from './sealed.ts';

/** What a node says a task would cost it. */
export interface TaskBid {
  readonly bidder: string;
  readonly cost: number;
}

/** Picks the winner; undefined: nobody. */
export type Choice = (task: string, bids: readonly TaskBid[]) => string | undefined;

/** The lowest cost; equal ones by the hash of task and bidder, the same on every node. */
export const defaultChoice: Choice = (task, bids) => {
  const amounts = bids.map(({ bidder, cost }) => ({ bidder, amount: cost }));
  const sale = settleSealed(amounts, { item: task, sense: 'lowest', price: 'first' });
  return sale.kind === 'sold' ? sale.winner : undefined;
};
