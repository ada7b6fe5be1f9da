/** The Dutch auction: the price falls tick by tick until somebody takes it; as a game it equals the first-price auction. */

import type { Core, Millis } from '../../kernel/core.ts';
import { unreachable } from '../../kernel/invariant.ts';

/** How the price falls. */
export interface DutchConfig {
  readonly start: number;
  /** How much it falls per tick. Above 0. */
  readonly decrement: number;
  /** Nothing is sold below. */
  readonly floor: number;
  /** @default 50 */
  readonly tickMs?: Millis;
}

/** Facts for the caller. */
export type DutchInput =
  | { readonly type: 'tick' }
  | { readonly type: 'opened' }
  /** Somebody takes it at this price: one that has passed is refused, so that a late word buys nothing dearer. */
  | { readonly type: 'taken'; readonly bidder: string; readonly price: number };

/** Orders of the caller. */
export type DutchEffect =
  | { readonly type: 'announce'; readonly price: number }
  | { readonly type: 'refuse'; readonly bidder: string }
  | { readonly type: 'close'; readonly winner: string | undefined; readonly price: number };

/** The state of the auction. */
export interface DutchView {
  readonly phase: 'new' | 'open' | 'closed';
  readonly price: number;
}

/** Builds an auction that is not open yet. */
export function createDutch(config: DutchConfig): Core<DutchInput, DutchEffect, DutchView> {
  const decrement = config.decrement > 0 ? config.decrement : 1;
  const tickMs = Math.max(1, config.tickMs ?? 50);
  let phase: DutchView['phase'] = 'new';
  let step = 0;
  let fallsAt: Millis = Infinity;
  // Multiplied, not added up: a thousand ticks must not drift.
  const price = (): number => config.start - step * decrement;

  function fall(now: Millis): DutchEffect[] {
    if (phase !== 'open' || now < fallsAt) return [];
    if (!(price() - decrement >= config.floor - decrement * 1e-9)) {
      phase = 'closed';
      return [{ type: 'close', winner: undefined, price: 0 }];
    }
    step += 1;
    fallsAt = now + tickMs;
    return [{ type: 'announce', price: price() }];
  }

  return {
    step(now, input) {
      switch (input.type) {
        case 'tick':
          return fall(now);
        case 'opened':
          if (phase !== 'new') return fall(now);
          phase = 'open';
          fallsAt = now + tickMs;
          return [{ type: 'announce', price: price() }];
        case 'taken': {
          const fallen = fall(now);
          if (phase !== 'open' || Math.abs(input.price - price()) > decrement / 2) {
            return [...fallen, { type: 'refuse', bidder: input.bidder }];
          }
          if (!Number.isFinite(input.price)) return [{ type: 'refuse', bidder: input.bidder }];
          phase = 'closed';
          return [...fallen, { type: 'close', winner: input.bidder, price: price() }];
        }
        default:
          return unreachable(input);
      }
    },
    deadline: () => (phase === 'open' ? fallsAt : Infinity),
    view: () => ({ phase, price: price() }),
  };
}
