/**
 * Many tasks auctioned at once: one item a round given what each bidder holds (sequential single-item auctions), one each
 * at least total cost in waves (exact assignment), or bundles of which no two share a task (combinatorial). Whoever does
 * not answer in time is left out; what nobody can do is left over.
 */

import type { Core, Millis } from '../../kernel/core.ts';
import { unreachable } from '../../kernel/invariant.ts';
import { assignExactly } from './assignment.ts';
import { allotBundles } from './combinatorial.ts';
import { compareBids } from './sealed.ts';
import type { Bid } from './sealed.ts';

/** The auctions of batches. */
export type BatchRule = 'single-item' | 'assignment' | 'combinatorial';

/** Offers of one answer that are looked at; the rest is ignored. */
export const batchOffersMax = 256;

/** One of the tasks. */
export interface BatchItem {
  readonly id: string;
  /** Who could do it. */
  readonly bidders: readonly string[];
  /** Offers above this, or above the sum of these for a bundle, are none. @default none */
  readonly costMax?: number | undefined;
}

/** All these or none of them, for this much in all. */
export interface BatchOffer {
  readonly items: readonly string[];
  readonly cost: number;
}

/** How the batch is auctioned. */
export interface BatchConfig {
  readonly rule: BatchRule;
  readonly items: readonly BatchItem[];
  /** How long one round waits for answers, in ms. @default 400 */
  readonly waitMs?: Millis;
}

/** Facts. */
export type BatchInput =
  | { readonly type: 'tick' }
  | { readonly type: 'opened' }
  | {
      readonly type: 'offered';
      readonly from: string;
      readonly round: number;
      readonly offers: readonly BatchOffer[];
    }
  | { readonly type: 'gone'; readonly bidder: string };

/** Who does one of the tasks, and what it was chosen among. */
export interface BatchLot {
  readonly item: string;
  readonly winner: string;
  /** Its offer: of the whole bundle when there is more than one task in it. */
  readonly cost: number;
  readonly bundle: readonly string[];
  /** The round it was allotted in, from 1. */
  readonly round: number;
  /** What the bidders said that this task costs them, when it was allotted: the best first. */
  readonly bids: readonly Bid[];
}

/** Orders. */
export type BatchEffect =
  /** Asks what each of the open tasks (under `combinatorial` any bundle of them) costs who holds these already. */
  | {
      readonly type: 'ask';
      readonly to: string;
      readonly round: number;
      readonly open: readonly string[];
      readonly held: readonly string[];
    }
  | {
      readonly type: 'close';
      readonly lots: readonly BatchLot[];
      readonly total: number;
      /** The sum of the lowest first offer for each task that was allotted: no allotment costs less, if holding makes nothing cheaper. */
      readonly bound: number;
      /** No other choice among the offers costs less. */
      readonly isExact: boolean;
    };

/** Where it stands. */
export interface BatchView {
  readonly phase: 'new' | 'open' | 'closed';
  readonly round: number;
  readonly open: readonly string[];
}

/** Builds a batch that is not open yet. */
export function createBatch(config: BatchConfig): Core<BatchInput, BatchEffect, BatchView> {
  const { rule } = config;
  const waitMs = Math.max(1, config.waitMs ?? 400);
  const items = new Map(config.items.map((item) => [item.id, item]));
  const open = new Set(items.keys());
  const held = new Map<string, string[]>();
  /** What each bidder has offered last: it stands until what the bidder holds changes. */
  const offers = new Map<string, readonly BatchOffer[]>();
  const waiting = new Set<string>();
  const lots: BatchLot[] = [];
  const firstBest = new Map<string, number>();
  let phase: BatchView['phase'] = 'new';
  let round = 0;
  let dueAt: Millis = Infinity;
  let isExact = rule !== 'single-item';

  type Effects = BatchEffect[];

  function ask(now: Millis, bidders: readonly string[]): Effects {
    round += 1;
    waiting.clear();
    dueAt = now + waitMs;
    const effects: Effects = [];
    for (const to of bidders) {
      const able = [...open].filter((id) => items.get(id)?.bidders.includes(to) === true);
      offers.delete(to);
      if (able.length === 0) continue;
      waiting.add(to);
      effects.push({ type: 'ask', to, round, open: able, held: held.get(to) ?? [] });
    }
    return effects;
  }

  /** Keeps what can be an offer: of open tasks that the bidder can do, below what is paid. */
  function readOffers(from: string, given: readonly BatchOffer[]): BatchOffer[] {
    return given.slice(0, batchOffersMax).filter(({ items: wanted, cost }) => {
      const known = [...new Set(wanted)].map((id) => (open.has(id) ? items.get(id) : undefined));
      const mayBe = known.every((one) => one?.bidders.includes(from) === true);
      if (!mayBe || known.length === 0 || !Number.isFinite(cost) || cost < 0) return false;
      const limit = known.reduce((sum, one) => sum + (one?.costMax ?? Infinity), 0);
      return cost <= limit && (rule === 'combinatorial' || known.length === 1);
    });
  }

  function single(bidder: string, item: string): number {
    const own = (offers.get(bidder) ?? []).filter(
      (offer) => offer.items.length === 1 && offer.items[0] === item,
    );
    return own.reduce((least, { cost }) => Math.min(least, cost), Infinity);
  }

  /** The standing single offers for a task, the best first. */
  function bidsFor(item: string): Bid[] {
    return [...offers.keys()]
      .map((bidder) => ({ bidder, amount: single(bidder, item) }))
      .filter(({ amount }) => amount < Infinity)
      .sort(compareBids(item, 'lowest'));
  }

  function allot(winner: string, bundle: readonly string[], cost: number): void {
    for (const item of bundle) {
      lots.push({ item, winner, cost, bundle, round, bids: bidsFor(item) });
      held.set(winner, [...(held.get(winner) ?? []), item]);
    }
    for (const item of bundle) open.delete(item);
  }

  function close(): Effects {
    phase = 'closed';
    dueAt = Infinity;
    const total = lots.reduce((sum, { cost, bundle }) => sum + cost / bundle.length, 0);
    const bound = lots.reduce((sum, { item }) => sum + (firstBest.get(item) ?? 0), 0);
    return [{ type: 'close', lots, total, bound, isExact }];
  }

  function next(now: Millis, winners: readonly string[]): Effects {
    if (open.size === 0 || winners.length === 0) return close();
    if (rule === 'assignment') isExact = false;
    const effects = ask(now, winners);
    return waiting.size > 0 ? effects : [...effects, ...decide(now)];
  }

  function decideSingly(now: Millis): Effects {
    let best: (Bid & { item: string }) | undefined;
    for (const item of open) {
      const [lowest] = bidsFor(item);
      if (lowest === undefined || (best !== undefined && lowest.amount >= best.amount)) continue;
      best = { ...lowest, item };
    }
    if (best === undefined) return close();
    allot(best.bidder, [best.item], best.amount);
    return next(now, [best.bidder]);
  }

  function decideByAssignment(now: Millis): Effects {
    const bidders = [...offers.keys()];
    const tasks = [...open];
    const costs = tasks.map((task) => bidders.map((bidder) => single(bidder, task)));
    const said = costs.flat().filter((cost) => cost < Infinity);
    // Dearer than everything that is offered, so that a task is left over only when it must be.
    const never = said.reduce((sum, cost) => sum + cost, 1);
    const table = costs.map((row) => row.map((cost) => Math.min(cost, never)));
    const isWide = tasks.length <= bidders.length;
    const turned = isWide ? table : bidders.map((_, at) => table.map((row) => row[at] ?? never));
    const { columnOf } = assignExactly(turned);
    const pairs = columnOf.flatMap((column, row) => {
      const [task, bidder] = isWide ? [tasks[row], bidders[column]] : [tasks[column], bidders[row]];
      if (column < 0 || task === undefined || bidder === undefined) return [];
      const cost = single(bidder, task);
      return cost < Infinity ? [{ task, bidder, cost }] : [];
    });
    for (const { task, bidder, cost } of pairs) allot(bidder, [task], cost);
    return next(
      now,
      pairs.map(({ bidder }) => bidder),
    );
  }

  function decideBundles(): Effects {
    const all = [...offers].flatMap(([bidder, own]) => own.map((offer) => ({ ...offer, bidder })));
    // To cover one task more is worth more than any saving, and a bidder's offers exclude each other: each of them
    // contains an item that only this bidder has.
    const worth = all.reduce((sum, { cost }) => sum + cost, 1);
    const found = allotBundles(
      all.map(({ items: wanted, cost, bidder }) => ({
        bidder,
        items: [...wanted, `\u0000${bidder}`],
        amount: worth * wanted.length - cost,
      })),
    );
    isExact = found.isExact;
    for (const at of found.taken) {
      const offer = all[at];
      if (offer !== undefined) allot(offer.bidder, offer.items, offer.cost);
    }
    return close();
  }

  function decide(now: Millis): Effects {
    waiting.clear();
    if (round === 1) {
      for (const item of open) firstBest.set(item, bidsFor(item)[0]?.amount ?? 0);
    }
    if (rule === 'combinatorial') return decideBundles();
    return rule === 'assignment' ? decideByAssignment(now) : decideSingly(now);
  }

  function settle(now: Millis, bidder: string): Effects {
    if (phase !== 'open' || !waiting.delete(bidder)) return [];
    return waiting.size === 0 ? decide(now) : [];
  }

  return {
    step(now, input) {
      const due = phase === 'open' && now >= dueAt ? decide(now) : [];
      switch (input.type) {
        case 'tick':
          return due;
        case 'opened': {
          if (phase !== 'new') return due;
          phase = 'open';
          const bidders = [...new Set([...items.values()].flatMap((item) => item.bidders))];
          const effects = ask(now, bidders);
          return waiting.size > 0 ? effects : close();
        }
        case 'offered': {
          const { from, offers: given } = input;
          if (phase !== 'open' || input.round !== round || !waiting.has(from)) return due;
          offers.set(from, readOffers(from, given));
          return [...due, ...settle(now, from)];
        }
        case 'gone':
          offers.delete(input.bidder);
          return [...due, ...settle(now, input.bidder)];
        default:
          return unreachable(input);
      }
    },
    deadline: () => dueAt,
    view: () => ({ phase, round, open: [...open] }),
  };
}
