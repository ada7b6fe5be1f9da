/** One-round and open auctions: who wins, what is paid, and the revenue that theory promises (V-A1, V-A2). */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createRandom } from '../../../src/kernel/random.ts';
import { createDutch } from '../../../src/protocol/agreement/dutch.ts';
import { createEnglish, englishBid } from '../../../src/protocol/agreement/english.ts';
import { settleSealed } from '../../../src/protocol/agreement/sealed.ts';
import type { Bid, SealedRule } from '../../../src/protocol/agreement/sealed.ts';
import {
  createAdaptiveShade,
  createCostBidder,
  equilibriumShade,
  fixedShade,
  truthfulStrategy,
} from '../../../src/protocol/agreement/shading.ts';
import type { BidStrategy } from '../../../src/protocol/agreement/shading.ts';
import { describeLaws } from '../../laws/laws.ts';

const rule: SealedRule = { item: 'lamp', sense: 'highest', price: 'first' };
const bids = (...amounts: number[]): Bid[] =>
  amounts.map((amount, at) => ({ bidder: `b${at}`, amount }));

/** Mean price over many auctions of n bidders with values from U[0,1]; unsold counts as 0. */
function meanPrice(n: number, runs: number, sell: (values: readonly number[]) => number): number {
  const random = createRandom(n * 7919);
  let sum = 0;
  for (let run = 0; run < runs; run += 1) {
    sum += sell(Array.from({ length: n }, () => random.unit()));
  }
  return sum / runs;
}

describe('sealed bids', () => {
  test('the best bid wins, under the second price it pays the best losing one', () => {
    expect(settleSealed(bids(3, 9, 7), rule)).toMatchObject({ winner: 'b1', price: 9 });
    expect(settleSealed(bids(3, 9, 7), { ...rule, price: 'second' })).toMatchObject({
      winner: 'b1',
      price: 7,
    });
    const bought = { ...rule, sense: 'lowest', price: 'second' } as const;
    expect(settleSealed(bids(3, 9, 7), bought)).toMatchObject({ winner: 'b0', price: 7 });
  });

  test('the first bid of a bidder counts, and no bid that is not a number', () => {
    const twice = [...bids(3, Number.NaN, Infinity), { bidder: 'b0', amount: 100 }];
    expect(settleSealed(twice, rule)).toMatchObject({ winner: 'b0', price: 3 });
    expect(settleSealed([], rule)).toMatchObject({ kind: 'unsold', reason: 'no-bids' });
  });

  test('nothing is sold below the reserve, and a lone winner pays it', () => {
    const vickrey = { ...rule, price: 'second', reserve: 5 } as const;
    expect(settleSealed(bids(3, 4), vickrey)).toMatchObject({ kind: 'unsold', reason: 'reserve' });
    expect(settleSealed(bids(3, 9), vickrey)).toMatchObject({ winner: 'b1', price: 5 });
    expect(settleSealed(bids(9), vickrey)).toMatchObject({ price: 5 });
    const bought = { ...vickrey, sense: 'lowest' } as const;
    expect(settleSealed(bids(3), bought)).toMatchObject({ price: 5 });
  });

  test('the order in which bids arrive never decides', () => {
    const amounts = fc.array(fc.record({ bidder: fc.string(), amount: fc.integer({ max: 5 }) }));
    fc.assert(
      fc.property(amounts, (given) => {
        const once = [...new Map(given.map((bid) => [bid.bidder, bid])).values()];
        expect(settleSealed(once.toReversed(), rule)).toEqual(settleSealed(once, rule));
      }),
    );
  });

  test('under the second price nobody gains by a lie', () => {
    const money = fc.integer({ min: 0, max: 100 });
    const vickrey = { ...rule, price: 'second' } as const;
    fc.assert(
      fc.property(money, money, fc.array(money, { maxLength: 5 }), (value, lie, others) => {
        const gain = (own: number): number => {
          const sale = settleSealed([{ bidder: 'me', amount: own }, ...bids(...others)], vickrey);
          return sale.kind === 'sold' && sale.winner === 'me' ? value - sale.price : 0;
        };
        expect(gain(value)).toBeGreaterThanOrEqual(gain(lie));
      }),
    );
  });
});

describe('revenue', () => {
  const theory = (n: number): number => (n - 1) / (n + 1);

  test.each([2, 3, 5, 10, 20])('V-A1: first and second price bring (n-1)/(n+1), n = %i', (n) => {
    const runs = 20_000;
    const shade = equilibriumShade(n);
    const sell = (price: 'first' | 'second', by: BidStrategy) => (values: readonly number[]) => {
      const sale = settleSealed(bids(...values.map((value) => by.bid(value))), { ...rule, price });
      return sale.kind === 'sold' ? sale.price : 0;
    };
    expect(Math.abs(meanPrice(n, runs, sell('first', shade)) - theory(n))).toBeLessThan(0.006);
    const second = meanPrice(n, runs, sell('second', truthfulStrategy));
    expect(Math.abs(second - theory(n))).toBeLessThan(0.008);
  });

  test('V-A1: the English price is within one increment above the second value', () => {
    const increment = 0.01;
    let over = 0;
    const runs = 1_000;
    meanPrice(5, runs, (values) => {
      const price = runEnglish(values, increment);
      const second = values.toSorted((a, b) => b - a)[1] ?? 0;
      expect(price).toBeGreaterThan(second - increment - 1e-9);
      expect(price).toBeLessThanOrEqual(second + increment + 1e-9);
      over += price - second;
      return price;
    });
    expect(Math.abs(over / runs)).toBeLessThan(0.006);
  });

  test('V-A1: the Dutch price is the first price of the same bidders, within one tick', () => {
    const shade = equilibriumShade(5);
    const decrement = 0.01;
    meanPrice(5, 1_000, (values) => {
      const price = runDutch(
        values.map((value) => shade.bid(value)),
        decrement,
      );
      const best = Math.max(...values.map((value) => shade.bid(value)));
      expect(price).toBeLessThanOrEqual(best + 1e-9);
      expect(price).toBeGreaterThan(best - decrement - 1e-9);
      return price;
    });
  });

  test('V-A2: a reserve of 1/2 brings 5/12 with two bidders', () => {
    const mean = meanPrice(2, 40_000, (values) => {
      const sale = settleSealed(bids(...values), { ...rule, price: 'second', reserve: 0.5 });
      return sale.kind === 'sold' ? sale.price : 0;
    });
    expect(Math.abs(mean - 5 / 12)).toBeLessThan(0.006);
  });
});

/** Bidders raise in turn until nobody will; returns the price. */
function runEnglish(values: readonly number[], increment: number): number {
  const auction = createEnglish({ reserve: 0, increment, quietMs: 100, lastsMs: 1e9 });
  let now = 0;
  auction.step(now, { type: 'opened' });
  for (let passed = 0, at = 0; passed < values.length; at = (at + 1) % values.length) {
    const standing = auction.view().standing;
    const ask = standing === undefined ? 0 : standing.amount + increment;
    const amount =
      standing?.bidder === `b${at}` ? undefined : englishBid(values[at] as number, ask);
    passed = amount === undefined ? passed + 1 : 0;
    now += 1;
    if (amount !== undefined) auction.step(now, { type: 'bidden', bidder: `b${at}`, amount });
  }
  now = auction.deadline();
  const closed = auction.step(now, { type: 'tick' })[0];
  return closed?.type === 'close' ? closed.price : Number.NaN;
}

/** The price falls until the first bidder's limit; returns what it pays. */
function runDutch(limits: readonly number[], decrement: number): number {
  const auction = createDutch({ start: 1, decrement, floor: 0 });
  let effects = auction.step(0, { type: 'opened' });
  for (;;) {
    const told = effects[0];
    if (told?.type !== 'announce') return Number.NaN;
    const taker = limits.findIndex((limit) => limit >= told.price);
    const now = auction.deadline();
    if (taker >= 0) {
      const sold = auction.step(now - 1, { type: 'taken', bidder: `b${taker}`, price: told.price });
      return sold[0]?.type === 'close' ? sold[0].price : Number.NaN;
    }
    effects = auction.step(now, { type: 'tick' });
  }
}

describe('open auctions', () => {
  test('a raise below the ask, by the leader, or after the close is refused', () => {
    const auction = createEnglish({ reserve: 10, increment: 1, quietMs: 100 });
    const bid = (at: number, bidder: string, amount: number): unknown =>
      auction.step(at, { type: 'bidden', bidder, amount }).at(-1);
    expect(bid(0, 'ann', 10)).toMatchObject({ type: 'refuse' });
    auction.step(0, { type: 'opened' });
    expect(bid(1, 'ann', 9)).toMatchObject({ type: 'refuse', ask: 10 });
    expect(bid(2, 'ann', 10)).toEqual({ type: 'announce', ask: 11, leader: 'ann' });
    expect(bid(3, 'ann', 20)).toMatchObject({ type: 'refuse' });
    expect(bid(4, 'bob', 11)).toMatchObject({ leader: 'bob' });
    expect(auction.step(104, { type: 'bidden', bidder: 'ann', amount: 99 })).toEqual([
      { type: 'close', winner: 'bob', price: 11 },
      { type: 'refuse', bidder: 'ann', ask: 12 },
    ]);
  });

  test('a Dutch taker that is a tick late pays nothing dearer and gets nothing', () => {
    const auction = createDutch({ start: 10, decrement: 1, floor: 8, tickMs: 50 });
    auction.step(0, { type: 'opened' });
    expect(auction.step(60, { type: 'taken', bidder: 'ann', price: 10 })).toEqual([
      { type: 'announce', price: 9 },
      { type: 'refuse', bidder: 'ann' },
    ]);
    auction.step(110, { type: 'tick' });
    expect(auction.step(160, { type: 'tick' })).toEqual([
      { type: 'close', winner: undefined, price: 0 },
    ]);
  });
});

describe('learning how to bid', () => {
  /** Mean profit of one bidder among n-1 equilibrium bidders in a first-price auction, over the last half of the runs. */
  function profit(n: number, me: BidStrategy, runs = 6_000): number {
    const random = createRandom(n);
    const others = equilibriumShade(n);
    let sum = 0;
    for (let run = 0; run < runs; run += 1) {
      const value = random.unit();
      const own = me.bid(value);
      let best = 0;
      for (let other = 1; other < n; other += 1) best = Math.max(best, others.bid(random.unit()));
      if (run >= runs / 2 && own > best) sum += value - own;
      me.learn?.(value, best);
    }
    return sum / (runs / 2);
  }

  test.each([2, 3, 5, 10])('the learner comes near the equilibrium profit, n = %i', (n) => {
    const learned = profit(n, createAdaptiveShade());
    const best = profit(n, equilibriumShade(n));
    expect(learned).toBeGreaterThan(best * 0.9);
    expect(profit(n, truthfulStrategy)).toBe(0);
  });

  test('knowing nothing of the others it beats every fixed shade over all sizes of auction', () => {
    const sizes = [2, 3, 5, 10];
    const best = new Map(sizes.map((n) => [n, profit(n, equilibriumShade(n))]));
    const score = (make: () => BidStrategy): number =>
      sizes.reduce((sum, n) => sum + profit(n, make()) / (best.get(n) ?? 1), 0);
    const learned = score(() => createAdaptiveShade());
    for (const share of [0.5, 0.67, 0.8, 0.9, 1]) {
      expect(learned, `share ${share}`).toBeGreaterThan(score(() => fixedShade(share)));
    }
  });
});

describe('bidding for work', () => {
  /** Mean gain an auction, in the last half, of one bidder with costs from U[0,100] against others in equilibrium. */
  function gain(n: number, me: BidStrategy, runs = 6_000): number {
    const random = createRandom(n * 31);
    const bidder = createCostBidder(me, 100);
    const others = createCostBidder(equilibriumShade(n), 100);
    let sum = 0;
    for (let run = 0; run < runs; run += 1) {
      const task = String(run);
      const cost = random.unit() * 100;
      const asked = bidder.bid(task, cost) ?? Infinity;
      let bestOther = Infinity;
      for (let other = 1; other < n; other += 1) {
        bestOther = Math.min(bestOther, others.bid('', random.unit() * 100) ?? Infinity);
      }
      if (run >= runs / 2 && asked < bestOther) sum += asked - cost;
      bidder.hear([{ task, bestOther }]);
    }
    return sum / (runs / 2);
  }

  test('who learns gains more than any fixed shade over all sizes of auction, the truth nothing', () => {
    const sizes = [2, 3, 5, 10];
    const best = new Map(sizes.map((n) => [n, gain(n, equilibriumShade(n))]));
    const score = (make: () => BidStrategy): number =>
      sizes.reduce((sum, n) => sum + gain(n, make()) / (best.get(n) ?? 1), 0) / sizes.length;
    const learned = score(() => createAdaptiveShade());
    expect(learned).toBeGreaterThan(0.9);
    for (const share of [0.5, 0.67, 0.8, 0.9, 1]) {
      const fixed = score(() => fixedShade(share));
      console.info(
        `share ${share}: ${fixed.toFixed(3)} of the equilibrium's gain, learned ${learned.toFixed(3)}`,
      );
      expect(learned, `share ${share}`).toBeGreaterThan(fixed);
    }
    expect(gain(3, truthfulStrategy)).toBe(0);
  });

  test('what costs more than anybody pays is not bid for; alone one learns to ask for all of it', () => {
    const shade = createAdaptiveShade();
    const bidder = createCostBidder(shade, 100);
    expect(bidder.bid('a', 101)).toBeUndefined();
    for (let run = 0; run < 500; run += 1) {
      bidder.bid(String(run), 40);
      bidder.hear([{ task: String(run), bestOther: undefined }]);
    }
    expect(bidder.bid('b', 40)).toBeGreaterThan(90);
    const before = shade.share();
    bidder.hear([{ task: 'never bid', bestOther: 1 }]);
    expect(shade.share()).toBe(before);
  });
});

const wild = fc.oneof(fc.double(), fc.constantFrom(NaN, Infinity, -Infinity, 0, 1e308));

describeLaws('the English auction', {
  create: () => createEnglish({ reserve: 1, increment: 1 }),
  inputs: fc.oneof(
    fc.constantFrom({ type: 'tick' as const }, { type: 'opened' as const }),
    fc.record({
      type: fc.constant('bidden' as const),
      bidder: fc.constantFrom('ann', 'bob'),
      amount: fc.integer({ min: 0, max: 20 }),
    }),
  ),
  hostile: fc.record({ type: fc.constant('bidden' as const), bidder: fc.string(), amount: wild }),
  effectsPerStepMax: 2,
});

describeLaws('the Dutch auction', {
  create: () => createDutch({ start: 10, decrement: 1, floor: 2 }),
  inputs: fc.oneof(
    fc.constantFrom({ type: 'tick' as const }, { type: 'opened' as const }),
    fc.record({
      type: fc.constant('taken' as const),
      bidder: fc.constantFrom('ann', 'bob'),
      price: fc.integer({ min: 0, max: 12 }),
    }),
  ),
  hostile: fc.record({ type: fc.constant('taken' as const), bidder: fc.string(), price: wild }),
  effectsPerStepMax: 2,
});
