/** The ledger, the lease and the fence: who starts, who must stop, and what a sink lets through. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Core } from '../../../src/kernel/core.ts';
import { createAuctioneer } from '../../../src/protocol/agreement/auctioneer.ts';
import type {
  AuctioneerEffect,
  AuctioneerInput,
  AuctioneerView,
} from '../../../src/protocol/agreement/auctioneer-words.ts';
import { createContractor } from '../../../src/protocol/agreement/contractor.ts';
import type { ContractorInput } from '../../../src/protocol/agreement/contractor.ts';
import { createFence, fencesMax } from '../../../src/protocol/agreement/fence.ts';
import { laterRecord } from '../../../src/protocol/agreement/ledger.ts';
import type { LedgerRecord, TaskSpec } from '../../../src/protocol/agreement/ledger.ts';
import { describeLaws } from '../../laws/laws.ts';

const spec: TaskSpec<string> = { id: 't', effect: 'fenced', body: 'x' };
type Auctioneer = Core<AuctioneerInput<string>, AuctioneerEffect<string>, AuctioneerView<string>>;

function open(config = {}, bidders = ['ann', 'bob', 'cyd']): Auctioneer {
  const core = createAuctioneer<string>({ biddingMs: 50, acceptMs: 100, leaseMs: 300, ...config });
  core.step(0, { type: 'bidders', ids: bidders });
  core.step(0, { type: 'submitted', spec });
  return core;
}
const said = (from: string, epoch = 1) => ({ task: 't', epoch, from });
const record = (core: Auctioneer): LedgerRecord<string> | undefined => core.view().tasks[0]?.record;

/** One line an effect: the transcript a person would write down. */
function lines(effects: readonly AuctioneerEffect<string>[]): string[] {
  return effects.map((effect) => {
    if (effect.type === 'record') return `record ${effect.record.state} ${effect.record.epoch}`;
    if (effect.type === 'settle') return `settle ${effect.record.state}`;
    if (effect.type === 'refuse') return `refuse ${effect.reason}`;
    const held = effect.type === 'renewal' ? ` ${effect.isHeld ? 'held' : 'lost'}` : '';
    return `${effect.type} ${effect.to} ${effect.epoch}${held}`;
  });
}

describe('the auctioneer', () => {
  test('the conversation of one task, from the call to the end', () => {
    const core = createAuctioneer<string>({ biddingMs: 50 });
    core.step(0, { type: 'bidders', ids: ['ann', 'bob', 'cyd'] });
    const transcript = [
      core.step(0, { type: 'submitted', spec }),
      core.step(1, { type: 'bidden', ...said('ann'), cost: 7 }),
      core.step(2, { type: 'declined', ...said('cyd') }),
      core.step(3, { type: 'bidden', ...said('bob'), cost: 5 }),
      core.step(4, { type: 'accepted', ...said('bob') }),
      core.step(5, { type: 'renewed', ...said('bob'), turn: 1 }),
      core.step(6, { type: 'finished', ...said('bob'), outcome: 'done', result: 42 }),
      core.step(7, { type: 'finished', ...said('bob'), outcome: 'done', result: 42 }),
    ].map(lines);
    expect(transcript).toEqual([
      ['record open 0', 'call ann 1', 'call bob 1', 'call cyd 1'],
      [],
      [],
      ['record awarded 1', 'award bob 1', 'reject ann 1'],
      ['record running 1', 'start bob 1'],
      ['renewal bob 1 held'],
      ['record done 1', 'settle done', 'acknowledge bob 1'],
      ['acknowledge bob 1'],
    ]);
    expect(record(core)).toMatchObject({ winner: 'bob', result: 42, attempts: 1 });
  });

  test('bids are sealed until the deadline, and a late one is told so and counted', () => {
    const core = open();
    core.step(10, { type: 'bidden', ...said('ann'), cost: 9 });
    expect(lines(core.step(50, { type: 'tick' }))).toEqual(['record awarded 1', 'award ann 1']);
    const late = core.step(51, { type: 'bidden', ...said('bob'), cost: 1 });
    expect(lines(late)).toEqual(['reject bob 1']);
    expect(core.view().counts.lateBids).toBe(1);
    expect(record(core)?.winner).toBe('ann');
  });

  test('a bid counts once, from somebody who was called, for this auction', () => {
    const core = open();
    core.step(1, { type: 'bidden', ...said('ann'), cost: 9 });
    core.step(2, { type: 'bidden', ...said('ann'), cost: 1 });
    core.step(3, { type: 'bidden', ...said('eve'), cost: 0 });
    core.step(4, { type: 'bidden', ...said('bob', 7), cost: 0 });
    core.step(5, { type: 'bidden', ...said('cyd'), cost: Number.NaN });
    expect(core.view().tasks[0]?.bids).toEqual([{ bidder: 'ann', cost: 9 }]);
  });

  test('who does not accept loses the task and is left out for a while', () => {
    const core = open();
    for (const [at, from] of ['ann', 'bob', 'cyd'].entries()) {
      core.step(1, { type: 'bidden', ...said(from), cost: at });
    }
    const again = lines(core.step(101, { type: 'tick' }));
    expect(again).toEqual(['record open 1', 'call bob 2', 'call cyd 2']);
    expect(lines(core.step(102, { type: 'accepted', ...said('ann') }))).toEqual(['revoke ann 1']);
    expect(core.view().counts.reauctions).toBe(1);
  });

  test('a lease that is not renewed opens the task, and its holder is told that it lost it', () => {
    const core = open({}, ['ann']);
    core.step(1, { type: 'bidden', ...said('ann'), cost: 1 });
    core.step(2, { type: 'accepted', ...said('ann') });
    core.step(100, { type: 'renewed', ...said('ann'), turn: 1 });
    expect(core.deadline()).toBe(400);
    expect(lines(core.step(400, { type: 'tick' }))).toEqual(['record open 1', 'call ann 2']);
    const lost = core.step(401, { type: 'renewed', ...said('ann'), turn: 2 });
    expect(lines(lost)).toEqual(['renewal ann 1 lost']);
  });

  test('work that passed the sink under an old epoch is done, and the new holder is stopped', () => {
    const core = open({}, ['ann', 'bob']);
    core.step(1, { type: 'bidden', ...said('ann'), cost: 1 });
    core.step(1, { type: 'declined', ...said('bob') });
    core.step(2, { type: 'accepted', ...said('ann') });
    core.step(302, { type: 'tick' });
    core.step(303, { type: 'bidden', ...said('bob', 2), cost: 1 });
    core.step(304, { type: 'accepted', ...said('bob', 2) });
    const old = core.step(305, { type: 'finished', ...said('ann'), outcome: 'done', result: 1 });
    expect(lines(old)).toEqual([
      'record done 2',
      'settle done',
      'acknowledge ann 1',
      'revoke bob 2',
    ]);
  });

  test('cancelling stops the winner; done wins the race', () => {
    const core = open({}, ['ann']);
    core.step(1, { type: 'bidden', ...said('ann'), cost: 1 });
    core.step(2, { type: 'accepted', ...said('ann') });
    const done = open({}, ['ann']);
    done.step(1, { type: 'bidden', ...said('ann'), cost: 1 });
    done.step(2, { type: 'accepted', ...said('ann') });
    const cancelled = core.step(3, { type: 'cancelled', task: 't' });
    expect(lines(cancelled)).toEqual(['record cancelled 1', 'settle cancelled', 'revoke ann 1']);
    done.step(3, { type: 'finished', ...said('ann'), outcome: 'done', result: 1 });
    expect(done.step(4, { type: 'cancelled', task: 't' })).toEqual([]);
    expect(record(done)?.state).toBe('done');
  });

  test('a task that keeps failing has failed after its attempts, one that nobody bids for too', () => {
    const core = open({ attemptsMax: 2, backoffMs: 10 }, ['ann']);
    for (const epoch of [1, 2]) {
      core.step(epoch, { type: 'bidden', ...said('ann', epoch), cost: 1 });
      core.step(epoch, { type: 'accepted', ...said('ann', epoch) });
      const no = { outcome: 'failed', result: 'no' } as const;
      core.step(epoch, { type: 'finished', ...said('ann', epoch), ...no });
    }
    expect(record(core)).toMatchObject({ state: 'failed', attempts: 2, result: 'no' });
    const alone = open({ emptyAuctionsMax: 2, backoffMs: 10 }, ['ann']);
    for (let now = 0; now < 1_000; now += 10) alone.step(now, { type: 'tick' });
    expect(record(alone)).toMatchObject({ state: 'failed', result: 'nobody can do it' });
  });

  test('an effect that nothing can check runs only with a quorum', () => {
    const core = createAuctioneer<string>({});
    core.step(0, { type: 'bidders', ids: ['ann'] });
    core.step(0, { type: 'quorum', isThere: false });
    const bare = { ...spec, effect: 'none' } as const;
    expect(lines(core.step(1, { type: 'submitted', spec: bare }))).toEqual(['refuse no-quorum']);
    expect(lines(core.step(2, { type: 'submitted', spec }))[0]).toBe('record open 0');
    expect(lines(core.step(3, { type: 'submitted', spec }))).toEqual(['refuse known']);
  });

  test('whoever takes over a running task lets its holder go on, under the same epoch', () => {
    const core = createAuctioneer<string>({ leaseMs: 300 });
    const running = { spec, state: 'running', epoch: 4, winner: 'ann', attempts: 1 } as const;
    core.step(0, { type: 'bidders', ids: ['ann', 'bob'] });
    core.step(0, { type: 'adopted', record: { ...running, result: undefined } });
    const held = core.step(100, { type: 'renewed', ...said('ann', 4), turn: 3 });
    expect(lines(held)).toEqual(['renewal ann 4 held']);
    expect(lines(core.step(400, { type: 'tick' }))[0]).toBe('record open 4');
    core.step(401, { type: 'bidden', ...said('bob', 5), cost: 1 });
    core.step(450, { type: 'tick' });
    core.step(600, { type: 'tick' });
    expect(record(core)).toMatchObject({ epoch: 5, winner: 'bob' });
  });
});

describe('the contractor', () => {
  const contractor = () =>
    createContractor<string>({
      repeatMs: 50,
      quote: (task) => (task.body === 'x' ? 3 : undefined),
    });
  const award = { type: 'awarded', from: 'ana', task: 't', epoch: 1 } as const;
  const start = { type: 'started', from: 'ana', task: 't', epoch: 1, leaseMs: 300 } as const;

  function running() {
    const core = contractor();
    core.step(0, { type: 'called', from: 'ana', epoch: 1, spec });
    core.step(10, award);
    expect(core.step(20, start)).toEqual([{ type: 'run', spec, epoch: 1 }]);
    return core;
  }

  test('an award is only accepted; work starts when the ledger says so, once', () => {
    const core = contractor();
    expect(core.step(0, { type: 'called', from: 'ana', epoch: 1, spec })).toMatchObject([
      { type: 'bid', cost: 3 },
    ]);
    expect(core.step(10, award)).toMatchObject([{ type: 'accept' }]);
    expect(core.step(60, { type: 'tick' })).toMatchObject([{ type: 'accept' }]);
    expect(core.step(70, start)).toMatchObject([{ type: 'run' }]);
    expect(core.step(71, start)).toEqual([]);
    expect(core.step(72, award)).toEqual([]);
  });

  test('an award that was not called for, or of another epoch, is declined', () => {
    expect(contractor().step(0, award)).toMatchObject([{ type: 'decline' }]);
    const core = contractor();
    core.step(0, { type: 'called', from: 'ana', epoch: 2, spec });
    expect(core.step(1, award)).toMatchObject([{ type: 'decline', epoch: 1 }]);
    const other = { ...spec, body: 'cannot' };
    expect(core.step(2, { type: 'called', from: 'ana', epoch: 3, spec: other })).toMatchObject([
      { type: 'decline' },
    ]);
  });

  test('its lease ends by its own clock, counted from the asking, before it ends in the ledger', () => {
    const core = running();
    expect(core.step(110, { type: 'tick' })).toMatchObject([{ type: 'renew', turn: 1 }]);
    core.step(140, { type: 'renewal', task: 't', epoch: 1, turn: 1, isHeld: true });
    // Asked for at 110: it lasts to 410, whenever the answer came.
    expect(core.step(409, { type: 'tick' }).map(({ type }) => type)).not.toContain('stop');
    expect(core.step(410, { type: 'tick' })).toContainEqual({
      type: 'stop',
      task: 't',
      epoch: 1,
      reason: 'lease',
    });
    expect(core.view().jobs).toEqual([]);
  });

  test('an answer to an earlier renewal does not prolong the lease from a later one', () => {
    const core = running();
    core.step(110, { type: 'tick' });
    core.step(160, { type: 'tick' });
    core.step(161, { type: 'renewal', task: 't', epoch: 1, turn: 1, isHeld: true });
    expect(core.step(410, { type: 'tick' })).toContainEqual(
      expect.objectContaining({ type: 'stop' }),
    );
  });

  test('it stops when the lease is lost or the award revoked, and reports until it is heard', () => {
    const lost = running();
    const answer = { type: 'renewal', task: 't', epoch: 1, turn: 0, isHeld: false } as const;
    expect(lost.step(50, answer)).toMatchObject([{ type: 'stop', reason: 'revoked' }]);
    const core = running();
    const ended = { type: 'completed', task: 't', epoch: 1, outcome: 'done', result: 1 } as const;
    expect(core.step(50, ended)).toMatchObject([{ type: 'report', to: 'ana', outcome: 'done' }]);
    core.step(60, { type: 'moved', task: 't', to: 'bea' });
    expect(core.step(100, { type: 'tick' })).toMatchObject([{ type: 'report', to: 'bea' }]);
    core.step(110, { type: 'acknowledged', from: 'bea', task: 't', epoch: 1 });
    expect(core.deadline()).toBe(Infinity);
  });
});

describe('the fence', () => {
  test('a token passes until a higher one has passed, and nothing passes what is done', () => {
    const fence = createFence();
    expect(fence.admit('lamp', 3)).toBe('accepted');
    expect(fence.admit('lamp', 3)).toBe('accepted');
    expect(fence.admit('lamp', 2)).toBe('stale');
    expect(fence.finish('lamp', 4)).toBe('accepted');
    expect(fence.finish('lamp', 5)).toBe('done');
    expect(fence.highest('lamp')).toBe(4);
  });

  test('no order of holders gets two effects through, or an old one after a new one', () => {
    const acts = fc.array(fc.record({ token: fc.integer({ min: 1, max: 6 }), ends: fc.boolean() }));
    fc.assert(
      fc.property(acts, (history) => {
        const fence = createFence();
        let [highest, ended] = [0, 0];
        for (const { token, ends } of history) {
          const verdict = ends ? fence.finish('r', token) : fence.admit('r', token);
          if (verdict !== 'accepted') continue;
          expect(token).toBeGreaterThanOrEqual(highest);
          expect(ended).toBe(0);
          highest = token;
          if (ends) ended += 1;
        }
      }),
    );
  });

  test('a gate that is full lets nobody through unseen, and nonsense never passes', () => {
    const fence = createFence();
    for (let at = 0; at < fencesMax; at += 1) fence.admit(`r${at}`, 1);
    expect(fence.admit('one more', 9)).toBe('full');
    expect(fence.admit('r1', 2)).toBe('accepted');
    for (const token of [Number.NaN, 0, -1, 1.5, Infinity]) {
      expect(createFence().admit('r', token)).toBe('stale');
    }
  });
});

describe('copies of a record', () => {
  const state = fc.constantFrom('open', 'awarded', 'running', 'done', 'failed', 'cancelled');
  const copies = fc.record({
    spec: fc.constant(spec),
    state,
    epoch: fc.nat(3),
    winner: fc.constantFrom('ann', 'bob', undefined),
    attempts: fc.constant(1),
    result: fc.constant(undefined),
  }) as fc.Arbitrary<LedgerRecord<string>>;

  test('merge to the same one in any order, and done is never undone', () => {
    fc.assert(
      fc.property(copies, copies, copies, (a, b, c) => {
        expect(laterRecord(a, b)).toEqual(laterRecord(b, a));
        expect(laterRecord(a, laterRecord(b, c))).toEqual(laterRecord(laterRecord(a, b), c));
        if (a.state === 'done') expect(laterRecord(a, b).state).toBe('done');
      }),
    );
  });
});

const who = fc.constantFrom('ann', 'bob', 'eve');
const task = fc.constantFrom('t1', 't2', 't3');
const epoch = fc.integer({ min: 0, max: 5 });
const specs = fc.record({
  id: task,
  effect: fc.constantFrom('idempotent', 'fenced', 'none'),
  body: fc.constant('x'),
}) as fc.Arbitrary<TaskSpec<string>>;
const kind = <Kind extends string>(...kinds: Kind[]) => fc.constantFrom(...kinds);
const wild = fc.oneof(fc.double(), fc.constantFrom(NaN, Infinity, -1));

describeLaws<AuctioneerInput<string>, unknown, unknown>('the auctioneer', {
  create: () => createAuctioneer({ tasksMax: 3, biddersMax: 4, overMax: 2 }),
  inputs: fc.oneof(
    fc.constant({ type: 'tick' as const }),
    fc.record({ type: kind('bidders'), ids: fc.subarray(['ann', 'bob']) }),
    fc.record({ type: kind('submitted'), spec: specs }),
    fc.record({ type: kind('quorum'), isThere: fc.boolean() }),
    fc.record({ type: kind('bidden'), task, epoch, from: who, cost: fc.nat(9) }),
    fc.record({ type: kind('declined', 'accepted'), task, epoch, from: who }),
    fc.record({ type: kind('renewed'), task, epoch, from: who, turn: fc.nat(3) }),
    fc.record({
      type: kind('finished'),
      task,
      epoch,
      from: who,
      outcome: kind('done', 'failed'),
      result: fc.constant(1),
    }),
    fc.record({ type: kind('cancelled'), task }),
    fc.record({ type: kind('gone'), id: who }),
  ),
  hostile: fc.oneof(
    fc.record({ type: kind('bidden'), task, epoch: wild, from: fc.string(), cost: wild }),
    fc.record({
      type: kind('adopted'),
      record: fc.record({
        spec: specs,
        state: kind('open', 'awarded', 'running', 'done'),
        epoch: wild,
        winner: fc.option(fc.string(), { nil: undefined }),
        attempts: wild,
        result: fc.anything(),
      }),
    }),
  ),
  effectsPerStepMax: 32,
});

describeLaws<ContractorInput<string>, unknown, unknown>('the contractor', {
  create: () => createContractor({ slots: 2, quote: (one, load) => one.id.length + load }),
  inputs: fc.oneof(
    fc.constant({ type: 'tick' as const }),
    fc.record({ type: kind('called'), from: who, epoch, spec: specs }),
    fc.record({ type: kind('awarded', 'revoked', 'acknowledged'), from: who, task, epoch }),
    fc.record({ type: kind('started'), from: who, task, epoch, leaseMs: fc.nat(2_000) }),
    fc.record({ type: kind('renewal'), task, epoch, turn: fc.nat(4), isHeld: fc.boolean() }),
    fc.record({ type: kind('moved'), task, to: who }),
    fc.record({
      type: kind('completed'),
      task,
      epoch,
      outcome: kind('done', 'failed'),
      result: fc.constant(1),
    }),
  ),
  hostile: fc.record({ type: kind('started'), from: fc.string(), task, epoch, leaseMs: wild }),
  effectsPerStepMax: 12,
});
