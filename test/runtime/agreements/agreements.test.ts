/** Votes, bargains, markets and allotments between nodes of a mesh inside this process. */

import { expect, test } from 'vitest';
import {
  concedingBargainer,
  equilibriumBargainer,
  rubinsteinShare,
} from '../../../src/protocol/agreement/alternating-offers.ts';
import type { Trade } from '../../../src/protocol/agreement/market.ts';
import { MycelError } from '../../../src/kernel/errors.ts';
import type { NodeId } from '../../../src/kernel/ids.ts';
import { createAgreements } from '../../../src/runtime/agreements/agreements.ts';
import type { Agreements } from '../../../src/runtime/agreements/agreements.ts';
import type { Deal } from '../../../src/runtime/agreements/bargains.ts';
import { until } from '../loopback.ts';
import { createStage } from '../services/stage.ts';
import type { Seat, Stage } from '../services/stage.ts';

interface Member extends Agreements {
  readonly id: NodeId;
  readonly seat: Seat;
}

async function assemble(count: number): Promise<{ stage: Stage; members: Member[] }> {
  const stage = await createStage(count);
  const members = stage.seats.map((seat) => ({
    ...createAgreements(seat.world, seat.all, seat.pages),
    id: seat.id,
    seat,
  }));
  return { stage, members };
}

/** Until the first node knows so many services. */
const known = (members: readonly Member[], count: number): Promise<void> =>
  until(() => members.every(({ seat }) => seat.services().length === count));

const codeOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'no error',
    (error: unknown) => (MycelError.is(error) ? error.code : error),
  );

const at = <T>(list: readonly T[], index: number): T => list[index] as T;

test('a ballot asks every voter, counts by its rule, and says who kept silent and why', async () => {
  const { members } = await assemble(5);
  const [teller] = members as [Member];
  const votes: (string | string[] | undefined)[] = ['fan', 'fan', 'heat', undefined];
  for (const [index, vote] of votes.entries()) {
    at(members, index).voter('climate', ({ question, choices, from }) => {
      expect([question, choices, from]).toEqual([{ celsius: 31 }, ['fan', 'heat'], teller.id]);
      return vote;
    });
  }
  at(members, 4).voter('climate', () => {
    throw new Error('broken');
  });
  await known(members, 5);
  const asked = { subject: 'climate', choices: ['fan', 'heat'], question: { celsius: 31 } };
  const startedAt = performance.now();
  const outcome = await teller.vote({ ...asked, lastsMs: 30_000 });
  // It does not wait for those who have said that they do not vote.
  expect(performance.now() - startedAt).toBeLessThan(15_000);
  expect(outcome).toEqual({
    winner: 'fan',
    reason: 'decided',
    scores: { fan: 2, heat: 1 },
    votes: {
      [at(members, 0).id]: ['fan'],
      [at(members, 1).id]: ['fan'],
      [at(members, 2).id]: ['heat'],
    },
    silent: {
      [at(members, 3).id]: 'abstained',
      [at(members, 4).id]: 'MYCEL_HANDLER_FAILED',
    },
  });
  const weights = { [at(members, 2).id]: 5 };
  expect(await teller.vote({ ...asked, weights })).toMatchObject({ winner: 'heat' });
  const quorum = { kind: 'quorum', needed: 3 } as const;
  expect(await teller.vote({ ...asked, rule: quorum })).toMatchObject({ reason: 'no-quorum' });
  expect(await teller.vote({ ...asked, turnoutMin: 4 })).toMatchObject({
    winner: undefined,
    reason: 'turnout',
  });
});

test('approval and Borda take several choices; what is no vote is not counted; ties can be broken', async () => {
  const { members } = await assemble(3);
  const [teller] = members as [Member];
  const orders = [
    ['a', 'b', 'c'],
    ['b', 'a', 'c'],
    ['c', 'nonsense'],
  ];
  const ends = orders.map((order, index) => at(members, index).voter('lunch/today', () => order));
  await known(members, 3);
  const asked = { subject: 'lunch/today', choices: ['a', 'b', 'c'] };
  const borda = await teller.vote({ ...asked, rule: { kind: 'borda' } });
  expect(borda).toMatchObject({ winner: undefined, reason: 'tie', scores: { a: 3, b: 3, c: 0 } });
  expect(borda.silent).toEqual({ [at(members, 2).id]: 'bad vote' });
  const [one, other] = await Promise.all(
    [0, 1].map((index) =>
      at(members, index).vote({ ...asked, rule: { kind: 'borda' }, breaksTies: true }),
    ),
  );
  expect(one?.winner).toMatch(/^[ab]$/);
  expect(other?.winner).toBe(one?.winner);
  expect(await teller.vote({ ...asked, rule: { kind: 'approval' } })).toMatchObject({
    scores: { a: 2, b: 2, c: 2 },
  });
  for (const end of ends) end();
  await known(members, 0);
  expect(await codeOf(teller.vote(asked))).toBe('MYCEL_UNKNOWN_SERVICE');
  expect(await codeOf(teller.vote({ subject: 'x', choices: ['a', 'a'] }))).toBe('MYCEL_BAD_OPTION');
  const empty = { kind: 'quorum', needed: 0 } as const;
  expect(await codeOf(teller.vote({ ...asked, rule: empty }))).toBe('MYCEL_BAD_OPTION');
});

test('two nodes bargain: the equilibrium is agreed on at once, and both hear the same deal', async () => {
  const { members } = await assemble(2);
  const [anna, ben] = members as [Member, Member];
  const heard: Deal[] = [];
  ben.partner('water', ({ from, terms }) => {
    expect([from, terms]).toEqual([anna.id, { litres: 40 }]);
    return { ...equilibriumBargainer(0.8, 0.9), settled: (deal) => heard.push(deal) };
  });
  await known(members, 1);
  const bargainer = equilibriumBargainer(0.9, 0.8);
  const deal = await anna.negotiate(ben.id, 'water', { bargainer, terms: { litres: 40 } });
  expect(deal.share).toBeCloseTo(rubinsteinShare(0.9, 0.8), 9);
  expect(deal).toMatchObject({ round: 0, isConfirmed: true });
  expect(heard).toHaveLength(1);
  expect(at(heard, 0).share).toBeCloseTo(1 - (deal.share ?? 0), 9);
});

test('a bargain takes as many offers as the strategies need, and ends without a deal where they never meet', async () => {
  const { members } = await assemble(2);
  const [anna, ben] = members as [Member, Member];
  const heard: Deal[] = [];
  const partners = {
    yielding: concedingBargainer(1, 0.2, 10),
    stubborn: { demand: () => 0.9, takes: () => false },
  };
  for (const [subject, bargainer] of Object.entries(partners)) {
    ben.partner(subject, () => ({ ...bargainer, settled: (deal) => heard.push(deal) }));
  }
  ben.partner('closed', () => undefined);
  await known(members, 3);
  const bargainer = concedingBargainer(1, 0.3, 10);
  const deal = await anna.negotiate(ben.id, 'yielding', { bargainer });
  expect(deal.round).toBeGreaterThan(2);
  expect(deal.share).toBeGreaterThan(0.29);
  await until(() => heard.length === 1);
  expect(at(heard, 0).share).toBeCloseTo(1 - (deal.share ?? 0), 9);
  const none = await anna.negotiate(ben.id, 'stubborn', { bargainer, roundsMax: 6 });
  expect(none).toMatchObject({ share: undefined });
  await until(() => heard.length === 2);
  expect(at(heard, 1).share).toBeUndefined();
  expect(await anna.negotiate(ben.id, 'closed', { bargainer })).toMatchObject({ share: undefined });
  expect(await codeOf(anna.negotiate(ben.id, 'nothing', { bargainer }))).toBe(
    'MYCEL_UNKNOWN_SERVICE',
  );
  expect(await codeOf(anna.negotiate(ben.id, 'closed', { bargainer, roundsMax: 0 }))).toBe(
    'MYCEL_BAD_OPTION',
  );
});

test('a market clears at one price for all, and each order hears of its own trade', async () => {
  const { members } = await assemble(3);
  const [host, anna, ben] = members as [Member, Member, Member];
  const told: Trade[] = [];
  const market = host.open('power', { periodMs: 200, traded: (trade) => told.push(trade) });
  await known(members, 1);
  const waitMs = 400;
  const orders = await Promise.all([
    anna.order('power', { side: 'buy', amount: 10, trader: 'pump', waitMs: 20_000 }),
    anna.order('power', { side: 'buy', amount: 4, trader: 'lamp', waitMs }),
    ben.order('power', { side: 'sell', amount: 6, waitMs: 20_000 }),
    host.order('power', { side: 'sell', amount: 12, waitMs }),
  ]);
  const trade = { buyer: `${anna.id}/pump`, seller: ben.id, pays: 8, gets: 8 };
  expect(orders).toEqual([trade, undefined, trade, undefined]);
  expect(told).toEqual([trade]);
  expect(market.figures()).toEqual({ trades: 1, surplus: 0, waiting: 0 });
  market.close();
  await known(members, 0);
  expect(await codeOf(anna.order('power', { side: 'buy', amount: 1 }))).toBe(
    'MYCEL_UNKNOWN_SERVICE',
  );
  expect(await codeOf(anna.order('power', { side: 'buy', amount: NaN }))).toBe('MYCEL_BAD_OPTION');
});

test('a continuous market trades at once, and who is gone or tired trades no more', async () => {
  const { stage, members } = await assemble(3);
  const [host, anna, ben] = members as [Member, Member, Member];
  const market = host.open('parts', { rule: 'continuous', periodMs: 50 });
  await known(members, 1);
  expect(await anna.order('parts', { side: 'sell', amount: 3, waitMs: 100 })).toBeUndefined();
  const selling = anna.order('parts', { side: 'sell', amount: 5, waitMs: 20_000 });
  await until(() => market.figures().waiting === 1);
  const bought = await ben.order('parts', { side: 'buy', amount: 9, waitMs: 20_000 });
  expect(bought).toEqual({ buyer: ben.id, seller: anna.id, pays: 5, gets: 5 });
  expect(await selling).toEqual(bought);
  const lost = codeOf(anna.order('parts', { side: 'sell', amount: 1, waitMs: 20_000 }));
  await until(() => market.figures().waiting === 1);
  stage.mesh.leave(anna.id, 'dead');
  await until(() => market.figures().waiting === 0);
  expect(await ben.order('parts', { side: 'buy', amount: 9, waitMs: 100 })).toBeUndefined();
  const waiting = ben.order('parts', { side: 'buy', amount: 9, waitMs: 20_000 });
  await until(() => market.figures().waiting === 1);
  market.close();
  expect(await waiting).toBeUndefined();
  await anna.seat.stop();
  expect(await lost).not.toBe('no error');
  expect(market.figures().trades).toBe(1);
  expect(() => host.open('x', { periodMs: 1 })).toThrow(/10 ms/);
});

test('nodes allot tasks without an auctioneer: each has one holder, the nearest, and a node that goes leaves its own', async () => {
  const { stage, members } = await assemble(4);
  const places = [0, 10, 20, 30];
  const tasks = [1, 9, 11, 19, 21, 29].map((place) => `t${place}`);
  const allotments = members.map(({ takePart }, index) =>
    takePart('field', {
      tasks,
      bundleMax: 3,
      worth: (bundle, task) =>
        (100 - Math.abs(Number(task.slice(1)) - at(places, index))) / (bundle.length + 1),
    }),
  );
  const settled = (who: readonly number[]): boolean => {
    const held = who.flatMap((index) => at(allotments, index).held());
    return (
      held.length === tasks.length &&
      new Set(held).size === tasks.length &&
      who.every((index) => at(allotments, index).isQuiet())
    );
  };
  await until(() => settled([0, 1, 2, 3]));
  const all = [0, 1, 2, 3];
  for (const index of all) {
    for (const task of at(allotments, index).held()) {
      for (const other of all) {
        expect(at(allotments, other).winners().get(task)).toBe(at(members, index).id);
      }
    }
  }
  at(allotments, 3).stop();
  await until(() => settled([0, 1, 2]));
  stage.mesh.leave(at(members, 2).id, 'dead');
  await until(() => settled([0, 1]));
  expect(() => at(allotments, 0).retask([''])).toThrow(/1 to 64/);
  for (const index of [0, 1]) at(allotments, index).retask(['t5']);
  await until(() => at(allotments, 0).held().length + at(allotments, 1).held().length === 1);
});

test('what programs throw in the middle of a clearing or an allotment ends neither', async () => {
  const { members } = await assemble(2);
  const [anna, ben] = members as [Member, Member];
  const broken = (): never => {
    throw new Error('broken');
  };
  anna.open('power', { periodMs: 50, traded: broken });
  const tasks = ['north', 'south'];
  const worth = (_: readonly string[], task: string): number => (task === 'south' ? broken() : 1);
  const first = anna.takePart('field', { tasks, bundleMax: 2, worth });
  const other = ben.takePart('field', { tasks, bundleMax: 2, worth: () => 0.5 });
  await known(members, 3);
  const waitMs = 20_000;
  for (let turn = 0; turn < 2; turn += 1) {
    const trades = await Promise.all([
      anna.order('power', { side: 'buy', amount: 3, waitMs }),
      ben.order('power', { side: 'sell', amount: 1, waitMs }),
    ]);
    expect(trades.map((trade) => trade?.pays)).toEqual([2, 2]);
  }
  await until(() => first.held().join() === 'north' && other.held().join() === 'south');
  expect(() => anna.takePart('x', { tasks, bundleMax: NaN, worth })).toThrow(/bundleMax/);
});
