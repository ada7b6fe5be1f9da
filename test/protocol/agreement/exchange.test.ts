/** Markets, negotiation and votes: closed forms (V-A7 to V-A10) and what must never happen. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createRandom } from '../../../src/kernel/random.ts';
import {
  concedingBargainer,
  createAlternatingOffers,
  equilibriumBargainer,
  rubinsteinShare,
} from '../../../src/protocol/agreement/alternating-offers.ts';
import type {
  Bargainer,
  OffersEffect,
} from '../../../src/protocol/agreement/alternating-offers.ts';
import { breakTie, createBallot, tally } from '../../../src/protocol/agreement/ballot.ts';
import {
  clearMcAfee,
  clearUniform,
  createOrderBook,
} from '../../../src/protocol/agreement/market.ts';
import type { Clearing } from '../../../src/protocol/agreement/market.ts';
import type { Bid } from '../../../src/protocol/agreement/sealed.ts';
import { describeLaws } from '../../laws/laws.ts';

const side = (prefix: string, amounts: readonly number[]): Bid[] =>
  amounts.map((amount, at) => ({ bidder: `${prefix}${at}`, amount }));

function gains(clearing: Clearing, values: ReadonlyMap<string, number>): number {
  return clearing.trades.reduce(
    (sum, { buyer, seller }) => sum + (values.get(buyer) ?? 0) - (values.get(seller) ?? 0),
    0,
  );
}

const valuesOf = (...orders: readonly Bid[][]): Map<string, number> =>
  new Map(orders.flat().map(({ bidder, amount }) => [bidder, amount]));

describe('clearing', () => {
  const money = fc.array(fc.integer({ min: 0, max: 100 }), { maxLength: 12 });

  test('nobody trades at a loss, nobody trades twice, and the market never pays in', () => {
    fc.assert(
      fc.property(money, money, (high, low) => {
        const [bids, asks] = [side('b', high), side('s', low)];
        const values = valuesOf(bids, asks);
        for (const clearing of [clearUniform(bids, asks), clearMcAfee(bids, asks)]) {
          const names = clearing.trades.flatMap(({ buyer, seller }) => [buyer, seller]);
          expect(new Set(names).size).toBe(names.length);
          expect(clearing.surplus).toBeGreaterThanOrEqual(0);
          for (const { buyer, seller, pays, gets } of clearing.trades) {
            expect(pays).toBeLessThanOrEqual(values.get(buyer) ?? -1);
            expect(gets).toBeGreaterThanOrEqual(values.get(seller) ?? Infinity);
          }
          const moved = clearing.trades.reduce((sum, { pays, gets }) => sum + pays - gets, 0);
          expect(clearing.surplus).toBeCloseTo(moved, 9);
        }
      }),
    );
  });

  test('under McAfee no buyer gains by a lie', () => {
    const price = fc.integer({ min: 0, max: 100 });
    fc.assert(
      fc.property(price, price, money, money, (value, lie, high, low) => {
        const gain = (own: number): number => {
          const trade = clearMcAfee(
            [{ bidder: 'me', amount: own }, ...side('b', high)],
            side('s', low),
          ).trades.find(({ buyer }) => buyer === 'me');
          return trade === undefined ? 0 : value - trade.pays;
        };
        expect(gain(value)).toBeGreaterThanOrEqual(gain(lie));
      }),
    );
  });

  test('V-A7: one buyer and one seller in equilibrium realise 9/64, 84.4 % of what is there', () => {
    const random = createRandom(7);
    let realised = 0;
    let possible = 0;
    const runs = 60_000;
    for (let run = 0; run < runs; run += 1) {
      const [value, cost] = [random.unit(), random.unit()];
      possible += Math.max(0, value - cost);
      // The linear equilibrium of Chatterjee and Samuelson.
      const bid = Math.min(value, (2 / 3) * value + 1 / 12);
      const ask = Math.max(cost, (2 / 3) * cost + 1 / 4);
      const clearing = clearUniform(side('b', [bid]), side('s', [ask]));
      if (clearing.trades.length > 0) realised += value - cost;
    }
    expect(Math.abs(realised / runs - 9 / 64)).toBeLessThan(0.004);
    expect(Math.abs(realised / possible - 0.844)).toBeLessThan(0.01);
  });

  test.each([
    [5, 400, 0.931, 0.02],
    [20, 200, 0.9954, 0.004],
    [100, 60, 0.9998, 0.0005],
  ])('V-A8: McAfee keeps almost all gains, n = %i', (n, runs, expected, slack) => {
    const random = createRandom(n);
    let [kept, possible] = [0, 0];
    for (let run = 0; run < runs; run += 1) {
      const draw = (): number[] => Array.from({ length: n }, () => random.unit());
      const [bids, asks] = [side('b', draw()), side('s', draw())];
      const values = valuesOf(bids, asks);
      const best = clearUniform(bids, asks);
      const cleared = clearMcAfee(bids, asks);
      expect(cleared.trades.length).toBeGreaterThanOrEqual(best.trades.length - 1);
      kept += gains(cleared, values);
      possible += gains(best, values);
    }
    expect(Math.abs(kept / possible - expected)).toBeLessThan(slack);
  });

  test('V-A9: traders without intelligence but with a budget realise above 90 %', () => {
    const random = createRandom(9);
    let [realised, possible] = [0, 0];
    for (let run = 0; run < 100; run += 1) {
      const draw = (): number[] => Array.from({ length: 12 }, () => random.unit());
      const [bids, asks] = [side('b', draw()), side('s', draw())];
      const values = valuesOf(bids, asks);
      possible += gains(clearUniform(bids, asks), values);
      const book = createOrderBook();
      const open = [...values.keys()];
      for (let turn = 0; turn < 2_000 && open.length > 0; turn += 1) {
        const trader = open[random.below(open.length)] as string;
        const value = values.get(trader) ?? 0;
        const isBuyer = trader.startsWith('b');
        const order = isBuyer ? random.unit() * value : value + random.unit() * (1 - value);
        const trade = book.place(isBuyer ? 'buy' : 'sell', trader, order);
        if (trade === undefined) continue;
        realised += (values.get(trade.buyer) ?? 0) - (values.get(trade.seller) ?? 0);
        open.splice(open.indexOf(trade.buyer), 1);
        open.splice(open.indexOf(trade.seller), 1);
        book.clear();
      }
    }
    expect(realised / possible).toBeGreaterThan(0.9);
    expect(realised / possible).toBeLessThanOrEqual(1);
  });
});

describe('alternating offers', () => {
  /** Two sides talk until it is over; returns what each got and how many offers were made. */
  function talk(first: Bargainer, second: Bargainer, roundsMax = 64) {
    const sides = [
      createAlternatingOffers({ bargainer: first, isFirst: true, roundsMax }),
      createAlternatingOffers({ bargainer: second, isFirst: false, roundsMax }),
    ] as const;
    sides[1].step(0, { type: 'begun' });
    let effects: readonly OffersEffect[] = sides[0].step(0, { type: 'begun' });
    let [turn, offers] = [0, 0];
    for (let now = 1; effects.length > 0 && now < 500; now += 1) {
      turn = 1 - turn;
      const other = sides[turn === 0 ? 0 : 1];
      const replies: OffersEffect[] = [];
      for (const effect of effects) {
        if (effect.type === 'offer') {
          offers += 1;
          replies.push(
            ...other.step(now, { type: 'offered', round: effect.round, share: effect.share }),
          );
        } else if (effect.type === 'accept') {
          replies.push(...other.step(now, { type: 'accepted', round: effect.round }));
        } else if (effect.type === 'end') replies.push(...other.step(now, { type: 'ended' }));
      }
      effects = replies;
    }
    return { views: [sides[0].view(), sides[1].view()] as const, offers };
  }

  test('V-A10: in equilibrium the first mover gets (1-d2)/(1-d1 d2), at once', () => {
    expect(rubinsteinShare(0.9, 0.9)).toBeCloseTo(0.5263, 4);
    const { views, offers } = talk(equilibriumBargainer(0.9, 0.8), equilibriumBargainer(0.8, 0.9));
    expect(offers).toBe(1);
    expect(views[0].share).toBeCloseTo((1 - 0.8) / (1 - 0.72), 12);
    expect((views[0].share ?? 0) + (views[1].share ?? 0)).toBeCloseTo(1, 12);
  });

  test('two that concede meet, and what they got adds up to one', () => {
    const { views } = talk(concedingBargainer(0.9, 0.3, 20), concedingBargainer(0.9, 0.3, 20));
    expect(views.map(({ phase }) => phase)).toEqual(['agreed', 'agreed']);
    expect((views[0].share ?? 0) + (views[1].share ?? 0)).toBeCloseTo(1, 12);
  });

  test('two that never give in end without a deal after the last round', () => {
    const stubborn: Bargainer = { demand: () => 0.9, takes: () => false };
    const { views, offers } = talk(stubborn, stubborn, 10);
    expect(offers).toBe(10);
    expect(views.map(({ phase, share }) => [phase, share])).toEqual([
      ['failed', undefined],
      ['failed', undefined],
    ]);
  });

  test('a lost answer is given again, silence ends it', () => {
    const second = createAlternatingOffers({
      bargainer: equilibriumBargainer(0.9, 0.9),
      isFirst: false,
    });
    second.step(0, { type: 'begun' });
    const offer = { type: 'offered', round: 0, share: 0.5 } as const;
    expect(second.step(1, offer)).toContainEqual({ type: 'accept', round: 0 });
    const first = createAlternatingOffers({
      bargainer: equilibriumBargainer(0.9, 0.9),
      isFirst: true,
      patienceMs: 100,
    });
    first.step(0, { type: 'begun' });
    expect(first.step(100, { type: 'tick' })).toMatchObject([
      { type: 'end' },
      { share: undefined },
    ]);
  });
});

describe('votes', () => {
  const weights = new Map([
    ['ann', 1],
    ['bob', 1],
    ['cyd', 1],
  ]);
  const votes = (...choices: string[][]): Map<string, string[]> =>
    new Map(choices.map((vote, at) => [[...weights.keys()][at] ?? '', vote]));

  test.each([
    [{ kind: 'majority' } as const, [['a'], ['a'], ['b']], 'a', 'decided'],
    [{ kind: 'majority' } as const, [['a'], ['b'], ['c']], undefined, 'no-majority'],
    [
      { kind: 'approval' } as const,
      [
        ['a', 'b'],
        ['b', 'c'],
        ['c', 'b'],
      ],
      'b',
      'decided',
    ],
    [
      { kind: 'borda' } as const,
      [
        ['a', 'b', 'c'],
        ['b', 'c', 'a'],
        ['b', 'a', 'c'],
      ],
      'b',
      'decided',
    ],
    [{ kind: 'quorum', needed: 3 } as const, [['a'], ['a'], ['b']], undefined, 'no-quorum'],
    [{ kind: 'quorum', needed: 2 } as const, [['a'], ['a'], ['b']], 'a', 'decided'],
    [{ kind: 'approval' } as const, [['a'], ['b']], undefined, 'tie'],
  ])('%o counts %j as %s', (rule, cast, winner, reason) => {
    const outcome = tally(['a', 'b', 'c'], rule, votes(...cast), weights);
    expect(outcome).toMatchObject({ winner, reason });
    if (reason === 'tie') expect(['a', 'b']).toContain(breakTie('q', outcome));
  });

  test('a ballot closes when all have voted or in time, and hears no stranger and no second choice set', () => {
    const config = { id: 'q', choices: ['a', 'b'], rule: { kind: 'majority' } as const, weights };
    const ballot = createBallot({ ...config, lastsMs: 100, turnoutMin: 3 });
    const cast = (voter: string, ...choices: string[]): unknown =>
      ballot.step(1, { type: 'cast', voter, choices })[0];
    expect(cast('ann', 'a')).toMatchObject({ reason: 'closed' });
    ballot.step(0, { type: 'opened' });
    expect(cast('eve', 'a')).toMatchObject({ reason: 'no-voter' });
    expect(cast('ann', 'x')).toMatchObject({ reason: 'bad-vote' });
    cast('ann', 'b');
    cast('ann', 'a');
    cast('bob', 'a');
    expect(ballot.step(100, { type: 'tick' })).toMatchObject([
      { type: 'close', outcome: { reason: 'turnout', turnout: 2, winner: undefined } },
    ]);
    const full = createBallot(config);
    full.step(0, { type: 'opened' });
    for (const voter of ['ann', 'bob']) full.step(1, { type: 'cast', voter, choices: ['b'] });
    expect(full.step(2, { type: 'cast', voter: 'cyd', choices: ['a'] })).toMatchObject([
      { outcome: { winner: 'b' } },
    ]);
  });
});

const wild = fc.oneof(fc.double(), fc.constantFrom(NaN, Infinity, -1, 0.5));

describeLaws('alternating offers', {
  create: (seed) =>
    createAlternatingOffers({
      bargainer: concedingBargainer(0.9, 0.2, 10),
      isFirst: seed % 2 === 0,
      roundsMax: 12,
    }),
  inputs: fc.oneof(
    fc.constantFrom(
      { type: 'tick' as const },
      { type: 'begun' as const },
      { type: 'ended' as const },
    ),
    fc.record({
      type: fc.constant('offered' as const),
      round: fc.integer({ min: 0, max: 12 }),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
    fc.record({ type: fc.constant('accepted' as const), round: fc.integer({ min: 0, max: 12 }) }),
  ),
  hostile: fc.record({ type: fc.constant('offered' as const), round: wild, share: wild }),
  effectsPerStepMax: 2,
});

describeLaws('the ballot', {
  create: () =>
    createBallot({
      id: 'q',
      choices: ['a', 'b', 'c'],
      rule: { kind: 'borda' },
      weights: new Map([
        ['ann', 1],
        ['bob', 2],
      ]),
    }),
  inputs: fc.oneof(
    fc.constantFrom({ type: 'tick' as const }, { type: 'opened' as const }),
    fc.record({
      type: fc.constant('cast' as const),
      voter: fc.constantFrom('ann', 'bob'),
      choices: fc.shuffledSubarray(['a', 'b', 'c']),
    }),
  ),
  hostile: fc.record({
    type: fc.constant('cast' as const),
    voter: fc.string(),
    choices: fc.array(fc.string()),
  }),
  effectsPerStepMax: 2,
});
