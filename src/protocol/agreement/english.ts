/** The English auction: open ascending bids until nobody raises; the price ends within one increment of the second value. */

import type { Core, Millis } from '../../kernel/core.ts';
import { unreachable } from '../../kernel/invariant.ts';
import type { Bid } from './sealed.ts';

/** How the auction is called. */
export interface EnglishConfig {
  /** Lowest first bid. */
  readonly reserve: number;
  /** A bid must beat the standing one by this much. Above 0. */
  readonly increment: number;
  /** The item goes when nobody has raised for this long, in ms. @default 200 */
  readonly quietMs?: Millis;
  /** The item goes after this long whatever happens, in ms: bidding ends. @default 60_000 */
  readonly lastsMs?: Millis;
}

/** Facts for the caller. */
export type EnglishInput =
  | { readonly type: 'tick' }
  | { readonly type: 'opened' }
  | { readonly type: 'bidden'; readonly bidder: string; readonly amount: number };

/** Orders of the caller. */
export type EnglishEffect =
  /** Everybody hears what a bid must at least be, and who stands. */
  | { readonly type: 'announce'; readonly ask: number; readonly leader: string | undefined }
  | { readonly type: 'refuse'; readonly bidder: string; readonly ask: number }
  | { readonly type: 'close'; readonly winner: string | undefined; readonly price: number };

/** The state of the auction. */
export interface EnglishView {
  readonly phase: 'new' | 'open' | 'closed';
  readonly standing: Bid | undefined;
  readonly raiseCount: number;
}

/** Builds an auction that is not open yet. */
export function createEnglish(
  config: EnglishConfig,
): Core<EnglishInput, EnglishEffect, EnglishView> {
  const increment = config.increment > 0 ? config.increment : 1;
  const quietMs = Math.max(1, config.quietMs ?? 200);
  const lastsMs = Math.max(quietMs, config.lastsMs ?? 60_000);
  let phase: EnglishView['phase'] = 'new';
  let standing: Bid | undefined;
  let raiseCount = 0;
  let closesAt: Millis = Infinity;
  let endsAt: Millis = Infinity;

  const ask = (): number => (standing === undefined ? config.reserve : standing.amount + increment);

  function close(): EnglishEffect[] {
    phase = 'closed';
    return [{ type: 'close', winner: standing?.bidder, price: standing?.amount ?? 0 }];
  }

  function hear(now: Millis, bidder: string, amount: number): EnglishEffect[] {
    if (phase !== 'open') return [{ type: 'refuse', bidder, ask: ask() }];
    // A slip below the ask by rounding alone is no slip.
    const isEnough = Number.isFinite(amount) && amount >= ask() - increment * 1e-9;
    if (!isEnough || standing?.bidder === bidder) return [{ type: 'refuse', bidder, ask: ask() }];
    standing = { bidder, amount };
    raiseCount += 1;
    closesAt = Math.min(now + quietMs, endsAt);
    return [{ type: 'announce', ask: ask(), leader: bidder }];
  }

  return {
    step(now, input) {
      const due = phase === 'open' && now >= closesAt ? close() : [];
      switch (input.type) {
        case 'tick':
          return due;
        case 'opened':
          if (phase !== 'new') return due;
          phase = 'open';
          endsAt = now + lastsMs;
          closesAt = now + quietMs;
          return [{ type: 'announce', ask: ask(), leader: undefined }];
        case 'bidden':
          return [...due, ...hear(now, input.bidder, input.amount)];
        default:
          return unreachable(input);
      }
    },
    deadline: () => (phase === 'open' ? closesAt : Infinity),
    view: () => ({ phase, standing, raiseCount }),
  };
}

/** The dominant strategy: stay in up to the value. Undefined: drop out. */
export function englishBid(value: number, ask: number): number | undefined {
  return value >= ask ? ask : undefined;
}
