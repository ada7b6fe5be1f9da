/** Buying work in the open, and batches of it: what wins, what it costs, and against the optimum. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createRandom } from '../../../src/kernel/random.ts';
import { createBatch } from '../../../src/protocol/agreement/batch.ts';
import type {
  BatchEffect,
  BatchItem,
  BatchOffer,
  BatchRule,
} from '../../../src/protocol/agreement/batch.ts';
import { answerAsk, createOpenBidding } from '../../../src/protocol/agreement/open-bidding.ts';
import type {
  OpenBiddingConfig,
  OpenBiddingEffect,
  OpenRule,
} from '../../../src/protocol/agreement/open-bidding.ts';
import { describeLaws } from '../../laws/laws.ts';

type Close = OpenBiddingEffect & { type: 'close' };

/** Bidders with these costs, who hear every price after `delayMs`. */
function openAuction(
  rule: OpenRule,
  costs: readonly number[],
  config: Partial<OpenBiddingConfig> = {},
  delayMs = 0,
): Close {
  const costMax = 100;
  const core = createOpenBidding({ rule, costMax, step: 1, quietMs: 90, ...config });
  const due: { at: number; effect: OpenBiddingEffect & { type: 'ask' } }[] = [];
  let closed: Close | undefined;
  const take = (now: number, effects: readonly OpenBiddingEffect[]): void => {
    for (const effect of effects) {
      if (effect.type === 'close') closed = effect;
      else due.push({ at: now + delayMs, effect });
    }
  };
  costs.forEach((_, at) => take(0, core.step(0, { type: 'joined', bidder: String(at) })));
  for (let now = 0; closed === undefined;) {
    const next = due.shift();
    const at = core.deadline();
    if (next === undefined || at < next.at) {
      if (next !== undefined) due.unshift(next);
      now = at;
      take(now, core.step(now, { type: 'tick' }));
      continue;
    }
    now = Math.max(now, next.at);
    const { to: bidder, ask, leader } = next.effect;
    if (leader === bidder) continue;
    const does = answerAsk(rule, costs[Number(bidder)] ?? Infinity, ask, costMax);
    if (does === 'bid') take(now, core.step(now, { type: 'bidden', bidder, cost: ask }));
    if (does === 'drop') take(now, core.step(now, { type: 'dropped', bidder }));
  }
  return closed;
}

describe('work is bought in the open', () => {
  const costs = fc.array(fc.integer({ min: 1, max: 99 }), { minLength: 2, maxLength: 6 });

  test('English: the cheapest wins, within a step of what the second would have asked', () => {
    fc.assert(
      fc.property(costs, fc.constantFrom(0, 3), (given, delay) => {
        const { winner, price } = openAuction('english', given, {}, delay);
        const order = given.toSorted((a, b) => a - b);
        const cost = given[Number(winner)] ?? Infinity;
        // Of two within a step of each other either may be the one that goes lower last.
        expect(cost).toBeLessThanOrEqual((order[0] ?? 0) + 1);
        expect(price).toBeGreaterThanOrEqual(cost);
        expect(Math.abs(price - (order[1] ?? 0))).toBeLessThanOrEqual(1);
      }),
    );
  });

  test('Dutch: the cheapest wins, at the first price it is content with', () => {
    fc.assert(
      fc.property(costs, (given) => {
        const { winner, price } = openAuction('dutch', given);
        expect(given[Number(winner)]).toBe(Math.min(...given));
        expect(price).toBe(Math.min(...given));
      }),
    );
  });

  test('a bidder farther away than a Dutch price stands gets the price that stands when its word comes', () => {
    expect(openAuction('dutch', [10], { stepMs: 50 }, 120)).toMatchObject({
      winner: '0',
      price: 12,
    });
  });

  test('alone one gets the most that is paid; above it nothing is bought', () => {
    expect(openAuction('english', [10])).toMatchObject({ winner: '0', price: 100 });
    for (const rule of ['english', 'dutch'] as const) {
      expect(openAuction(rule, [101, 300])).toMatchObject({ winner: undefined, price: 0 });
    }
  });

  test('a lost word is said again, and the leader keeps its word', () => {
    const core = createOpenBidding({ rule: 'english', costMax: 10, step: 1, quietMs: 90 });
    core.step(0, { type: 'joined', bidder: 'ann' });
    core.step(0, { type: 'joined', bidder: 'bob' });
    core.step(1, { type: 'bidden', bidder: 'ann', cost: 10 });
    expect(core.step(31, { type: 'tick' })).toEqual(
      ['ann', 'bob'].map((to) => ({ type: 'ask', to, ask: 9, leader: 'ann' })),
    );
    expect(core.step(32, { type: 'dropped', bidder: 'ann' })).toEqual([]);
    expect(core.step(33, { type: 'dropped', bidder: 'bob' })).toEqual([
      { type: 'close', winner: 'ann', price: 10, stepCount: 1 },
    ]);
  });
});

/** Runs a batch whose bidders answer from a function; gives what it came to. */
function batch(
  rule: BatchRule,
  items: readonly BatchItem[],
  answer: (ask: BatchEffect & { type: 'ask' }) => readonly BatchOffer[] | undefined,
): BatchEffect & { type: 'close' } {
  const core = createBatch({ rule, items, waitMs: 100 });
  const queue = [...core.step(0, { type: 'opened' })];
  for (let now = 0; ;) {
    const effect = queue.shift();
    if (effect?.type === 'close') return effect;
    if (effect === undefined) {
      now = core.deadline();
      queue.push(...core.step(now, { type: 'tick' }));
      continue;
    }
    const offers = answer(effect);
    if (offers === undefined) continue;
    const { to: from, round } = effect;
    queue.push(...core.step(now, { type: 'offered', from, round, offers }));
  }
}

const bidders = ['a', 'b', 'c'];
const all = (count: number): BatchItem[] =>
  Array.from({ length: count }, (_, at) => ({ id: `t${at}`, bidders }));

/** A table of costs, and who answers from it. */
function table(seed: number, tasks: number) {
  const random = createRandom(seed);
  const costs = new Map(
    bidders.map((bidder) => [bidder, Array.from({ length: tasks }, () => random.below(90) + 10)]),
  );
  const cost = (bidder: string, task: string): number =>
    costs.get(bidder)?.[Number(task.slice(1))] ?? Infinity;
  return {
    cost,
    answer: ({ to, open }: BatchEffect & { type: 'ask' }): BatchOffer[] =>
      open.map((id) => ({ items: [id], cost: cost(to, id) })),
  };
}

/** Every way of giving tasks to bidders; the least that one costs. */
function least(
  tasks: number,
  costOf: (bundle: readonly string[], bidder: string) => number,
): number {
  let best = Infinity;
  for (let way = 0; way < bidders.length ** tasks; way += 1) {
    const bundles = new Map<string, string[]>();
    for (let task = 0, rest = way; task < tasks; task += 1, rest = Math.floor(rest / 3)) {
      const bidder = bidders[rest % 3] as string;
      bundles.set(bidder, [...(bundles.get(bidder) ?? []), `t${task}`]);
    }
    best = Math.min(
      best,
      [...bundles].reduce((sum, [bidder, bundle]) => sum + costOf(bundle, bidder), 0),
    );
  }
  return best;
}

describe('a batch', () => {
  test('assignment: one each at the least total of all ways', () => {
    for (let seed = 1; seed <= 60; seed += 1) {
      const { cost, answer } = table(seed, 3);
      const { lots, total, isExact } = batch('assignment', all(3), answer);
      const best = least(3, (bundle, bidder) =>
        bundle.length > 1 ? Infinity : cost(bidder, bundle[0] as string),
      );
      expect(total).toBe(best);
      expect(isExact).toBe(true);
      expect(new Set(lots.map(({ winner }) => winner)).size).toBe(3);
    }
  });

  test('assignment: more tasks than bidders go in waves, each asked again with what it has', () => {
    const asked: string[] = [];
    const { cost } = table(1, 7);
    const { lots, isExact } = batch('assignment', all(7), ({ to, open, held }) => {
      asked.push(`${to}${held.length}`);
      return open.map((id) => ({ items: [id], cost: cost(to, id) * (1 + held.length) }));
    });
    expect(lots).toHaveLength(7);
    expect(isExact).toBe(false);
    expect(asked.slice(0, 6)).toEqual(['a0', 'b0', 'c0', 'a1', 'b1', 'c1']);
    expect(Math.max(...lots.map(({ round }) => round))).toBe(3);
  });

  test('single-item: only the last winner is asked again, and the total is within twice the optimum', () => {
    let sum = 0;
    let best = 0;
    for (let seed = 1; seed <= 40; seed += 1) {
      const random = createRandom(seed);
      const place = new Map(
        [...bidders, 't0', 't1', 't2', 't3', 't4'].map((name) => [name, random.unit() * 100]),
      );
      const at = (name: string): number => place.get(name) ?? 0;
      // On a line the way through all stops is the way to both ends, the nearer first.
      const way = (bundle: readonly string[], bidder: string): number => {
        const reach = bundle.map((stop) => at(stop) - at(bidder));
        const [left, right] = [Math.min(0, ...reach), Math.max(0, ...reach)];
        return right - left + Math.min(-left, right);
      };
      const askedAgain: string[] = [];
      const { lots } = batch('single-item', all(5), ({ to, open, held, round }) => {
        if (round > 1) askedAgain.push(to);
        return open.map((id) => ({ items: [id], cost: way([...held, id], to) - way(held, to) }));
      });
      expect(askedAgain).toEqual(lots.slice(0, -1).map(({ winner }) => winner));
      const found = bidders.reduce((total, bidder) => {
        const won = lots.filter(({ winner }) => winner === bidder).map(({ item }) => item);
        return total + way(won, bidder);
      }, 0);
      const optimum = least(5, way);
      expect(found).toBeLessThanOrEqual(2 * optimum + 1e-9);
      sum += found;
      best += optimum;
    }
    expect(sum / best).toBeLessThan(1.1);
  });

  test('combinatorial: the least total of all choices, one offer a bidder, every task covered if it can be', () => {
    for (let seed = 1; seed <= 40; seed += 1) {
      const { cost } = table(seed, 4);
      // Two together are cheaper, more are dearer.
      const bundleCost = (bundle: readonly string[], bidder: string): number =>
        bundle.reduce((sum, id) => sum + cost(bidder, id), 0) * (bundle.length === 2 ? 0.6 : 1.3);
      const { lots, total, isExact } = batch('combinatorial', all(4), ({ to, open }) => {
        const sets = open.reduce<string[][]>(
          (found, id) => [...found, ...found.map((set) => [...set, id])],
          [[]],
        );
        return sets
          .filter((set) => set.length > 0)
          .map((items) => ({ items, cost: bundleCost(items, to) }));
      });
      expect(isExact).toBe(true);
      expect(total).toBeCloseTo(least(4, bundleCost), 6);
      expect(lots.map(({ item }) => item).sort()).toEqual(['t0', 't1', 't2', 't3']);
      for (const { winner, bundle } of lots) {
        const others = lots.filter((lot) => lot.winner === winner);
        expect(others.map(({ item }) => item).sort()).toEqual([...bundle].sort());
      }
    }
  });

  test('who does not answer, cannot, or asks too much is left out, and what nobody does is left over', () => {
    for (const rule of ['single-item', 'assignment', 'combinatorial'] as const) {
      const items = [
        { id: 'x', bidders: ['a', 'b'], costMax: 20 },
        { id: 'y', bidders: ['b', 'c'] },
        { id: 'z', bidders: ['a'], costMax: 5 },
      ];
      const { lots } = batch(rule, items, ({ to }) => {
        if (to === 'c') return undefined;
        if (to === 'a') return ['x', 'y', 'z'].map((id) => ({ items: [id], cost: 10 }));
        return [
          { items: ['x'], cost: 21 },
          { items: ['y'], cost: 7 },
          { items: ['x', 'nothing'], cost: 1 },
          { items: ['y'], cost: Number.NaN },
        ];
      });
      expect(lots.map(({ item, winner, cost }) => `${item} ${winner} ${cost}`).sort()).toEqual([
        'x a 10',
        'y b 7',
      ]);
    }
  });
});

const wild = fc.oneof(fc.double(), fc.constantFrom(NaN, Infinity, -Infinity, 0, 1e308));
const names = fc.constantFrom('a', 'b', 'c', 'nobody');

for (const rule of ['english', 'dutch'] as const) {
  describeLaws(`the ${rule} auction of work`, {
    create: () => createOpenBidding({ rule, costMax: 10, step: 1 }),
    inputs: fc.oneof(
      fc.constant({ type: 'tick' as const }),
      fc.record({ type: fc.constantFrom('joined' as const, 'dropped' as const), bidder: names }),
      fc.record({
        type: fc.constant('bidden' as const),
        bidder: names,
        cost: fc.integer({ min: 0, max: 12 }),
      }),
    ),
    hostile: fc.record({ type: fc.constant('bidden' as const), bidder: names, cost: wild }),
    // At most: the price to all, a reminder to all, and the end.
    effectsPerStepMax: 14,
  });
}

for (const rule of ['single-item', 'assignment', 'combinatorial'] as const) {
  const ids = fc.array(fc.constantFrom('t0', 't1', 't2', 'no'), { maxLength: 3 });
  describeLaws(`a batch by ${rule}`, {
    create: () => createBatch({ rule, items: all(3) }),
    inputs: fc.oneof(
      fc.constantFrom({ type: 'tick' as const }, { type: 'opened' as const }),
      fc.record({ type: fc.constant('gone' as const), bidder: names }),
      fc.record({
        type: fc.constant('offered' as const),
        from: names,
        round: fc.integer({ min: 0, max: 4 }),
        offers: fc.array(fc.record({ items: ids, cost: fc.integer({ min: 0, max: 50 }) }), {
          maxLength: 5,
        }),
      }),
    ),
    hostile: fc.record({
      type: fc.constant('offered' as const),
      from: names,
      round: fc.integer({ min: 0, max: 4 }),
      offers: fc.array(fc.record({ items: fc.array(fc.string()), cost: wild })),
    }),
    effectsPerStepMax: 6,
  });
}
