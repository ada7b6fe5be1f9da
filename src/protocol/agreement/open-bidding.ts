/**
 * Buying work in the open, by the English and the Dutch auction turned round: in the first the price falls from the most
 * that is paid as long as somebody goes below it, in the second it rises until somebody takes it. Bidders answer prices
 * and never tell what the work costs them.
 */

import type { Core, Millis } from '../../kernel/core.ts';
import { unreachable } from '../../kernel/invariant.ts';
import { createDutch } from './dutch.ts';
import { createEnglish } from './english.ts';

/** The open auctions. */
export type OpenRule = 'english' | 'dutch';

/** Steps between nothing and the most that is paid, at most. */
export const openStepsMax = 1_000;

/** Bidders of one open auction; the rest is not asked. */
export const openBiddersMax = 64;

/** How the price moves. */
export interface OpenBiddingConfig {
  readonly rule: OpenRule;
  /** The most that is paid: where the English price begins and the Dutch one ends. Above 0. */
  readonly costMax: number;
  /** How far the price moves at once. @default a twentieth of `costMax` */
  readonly step?: number;
  /** How long a Dutch price stands, in ms: longer than the way to a bidder and back. @default 50 */
  readonly stepMs?: Millis;
  /** An English price that nobody has gone below for so long is the last, in ms. @default 400 */
  readonly quietMs?: Millis;
  /** The English auction ends after this long whatever happens, in ms. @default 60_000 */
  readonly lastsMs?: Millis;
}

/** Facts. */
export type OpenBiddingInput =
  | { readonly type: 'tick' }
  /** Somebody is to be asked; the first one opens the auction. */
  | { readonly type: 'joined'; readonly bidder: string }
  | { readonly type: 'bidden'; readonly bidder: string; readonly cost: number }
  /** It goes no lower, or will not do it for any price. */
  | { readonly type: 'dropped'; readonly bidder: string };

/** Orders. */
export type OpenBiddingEffect =
  /** Says the price. A price said again is a reminder: words may be lost. */
  | {
      readonly type: 'ask';
      readonly to: string;
      readonly ask: number;
      readonly leader: string | undefined;
    }
  | {
      readonly type: 'close';
      readonly winner: string | undefined;
      readonly price: number;
      /** Raises of the English auction, prices of the Dutch one. */
      readonly stepCount: number;
    };

/** Where it stands. */
export interface OpenBiddingView {
  readonly phase: 'new' | 'open' | 'closed';
  readonly ask: number;
  readonly leader: string | undefined;
  /** Who has not dropped out. */
  readonly bidders: readonly string[];
}

/** Builds an auction that nobody takes part in yet. */
export function createOpenBidding(
  config: OpenBiddingConfig,
): Core<OpenBiddingInput, OpenBiddingEffect, OpenBiddingView> {
  const costMax = config.costMax > 0 && config.costMax < Infinity ? config.costMax : 1;
  const least = costMax / openStepsMax;
  const step = Math.max(
    least,
    config.step !== undefined && config.step > 0 ? config.step : costMax / 20,
  );
  const quietMs = Math.max(3, config.quietMs ?? 400);
  const stepMs = Math.max(1, config.stepMs ?? 50);
  const isEnglish = config.rule === 'english';
  // Both sell upward and downward; work is bought, so that costs are prices with the other sign.
  const english = createEnglish({
    reserve: -costMax,
    increment: step,
    quietMs,
    lastsMs: config.lastsMs ?? 60_000,
  });
  const dutch = createDutch({ start: -step, decrement: step, floor: -costMax, tickMs: stepMs });
  const taking = new Set<string>();
  const asked = new Set<string>();
  let phase: OpenBiddingView['phase'] = 'new';
  let ask = isEnglish ? costMax : Math.min(step, costMax);
  let leader: string | undefined;
  let stepCount = 0;
  let remindAt: Millis = Infinity;

  type Effects = OpenBiddingEffect[];

  const tell = (to: string): OpenBiddingEffect => ({ type: 'ask', to, ask, leader });

  function announce(now: Millis, price: number, by: string | undefined): Effects {
    // Rounded, so that people see 35 and not 34.99999999.
    ask = Math.round(price * 1e6) / 1e6 + 0;
    leader = by;
    remindAt = isEnglish ? now + quietMs / 3 : Infinity;
    return [...taking].map(tell);
  }

  function close(winner: string | undefined, price: number): Effects {
    phase = 'closed';
    remindAt = Infinity;
    const paid = winner === undefined ? 0 : Math.round(price * 1e6) / 1e6 + 0;
    return [{ type: 'close', winner, price: paid, stepCount }];
  }

  function hear(now: Millis, inner: ReturnType<typeof english.step | typeof dutch.step>): Effects {
    const effects: Effects = [];
    for (const one of inner) {
      if (phase !== 'open') break;
      if (one.type === 'close') effects.push(...close(one.winner, -one.price));
      else if (one.type === 'announce') {
        stepCount += 1;
        const isRaise = 'ask' in one;
        effects.push(
          ...announce(now, isRaise ? -one.ask : -one.price, isRaise ? one.leader : undefined),
        );
      }
    }
    return effects;
  }

  function join(now: Millis, bidder: string): Effects {
    if (phase === 'closed' || asked.has(bidder) || asked.size >= openBiddersMax) return [];
    asked.add(bidder);
    taking.add(bidder);
    if (phase === 'open') return [tell(bidder)];
    phase = 'open';
    const opened = (isEnglish ? english : dutch).step(now, { type: 'opened' });
    const effects = hear(now, opened);
    stepCount = isEnglish ? 0 : 1;
    return effects;
  }

  function bid(now: Millis, bidder: string, cost: number): Effects {
    if (phase !== 'open' || !taking.has(bidder) || !Number.isFinite(cost)) return [];
    if (isEnglish) {
      const effects = hear(now, english.step(now, { type: 'bidden', bidder, amount: -cost }));
      return [...effects, ...alone()];
    }
    // A price that has passed was lower: who took it is content with the one that stands.
    const price = dutch.view().price;
    if (-cost < price - step / 2) return [];
    return hear(now, dutch.step(now, { type: 'taken', bidder, price }));
  }

  /** Nobody is left to go below the leader, or nobody at all. */
  function alone(): Effects {
    if (phase !== 'open') return [];
    const others = [...taking].filter((one) => one !== leader);
    if (others.length > 0) return [];
    return close(leader, -(english.view().standing?.amount ?? 0));
  }

  return {
    step(now, input) {
      const inner = isEnglish ? english : dutch;
      const due =
        phase === 'open' && now >= inner.deadline()
          ? hear(now, inner.step(now, { type: 'tick' }))
          : [];
      if (phase === 'open' && now >= remindAt) {
        remindAt = now + quietMs / 3;
        due.push(...[...taking].map(tell));
      }
      switch (input.type) {
        case 'tick':
          return due;
        case 'joined':
          return [...due, ...join(now, input.bidder)];
        case 'bidden':
          return [...due, ...bid(now, input.bidder, input.cost)];
        case 'dropped':
          // The leader has given its word.
          if (phase !== 'open' || input.bidder === leader) return due;
          taking.delete(input.bidder);
          return [...due, ...alone()];
        default:
          return unreachable(input);
      }
    },
    deadline: () =>
      phase === 'open' ? Math.min(remindAt, (isEnglish ? english : dutch).deadline()) : Infinity,
    view: () => ({ phase, ask, leader, bidders: [...taking] }),
  };
}

/** What a bidder does at a price, when the work costs it so much: takes it, waits for a higher one, or drops out. */
export function answerAsk(
  rule: OpenRule,
  cost: number,
  ask: number,
  costMax: number,
): 'bid' | 'wait' | 'drop' {
  if (cost <= ask) return 'bid';
  return rule === 'dutch' && cost <= costMax ? 'wait' : 'drop';
}
