/** Pulling work by lease: fast workers take more, nothing is lost or settled twice, and a slow one is overtaken. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createWorkBoard } from '../../../src/protocol/distribution/work-board.ts';
import type {
  WorkBoardEffect,
  WorkBoardInput,
} from '../../../src/protocol/distribution/work-board.ts';
import { describeLaws } from '../../laws/laws.ts';

const lines = (effects: readonly WorkBoardEffect[]): string[] =>
  effects.map((effect) => {
    if (effect.type === 'give') return `give ${effect.to} ${effect.items.join(',')}`;
    if (effect.type === 'pull') return `pull ${effect.count}`;
    return effect.type === 'settle' ? `${effect.outcome} ${effect.item}` : 'finish';
  });

function board(config = {}): (now: number, input: WorkBoardInput) => string[] {
  const core = createWorkBoard({ waitMs: 1_000, ...config });
  return (now, input) => lines(core.step(now, input));
}
const asked = (worker: string, count: number, ...holds: number[]): WorkBoardInput => ({
  type: 'asked',
  worker,
  count,
  holds,
});
const done = (worker: string, item: number): WorkBoardInput => ({
  type: 'finished',
  worker,
  item,
  outcome: 'done',
});

describe('a board', () => {
  test('fetches only what is asked for, gives it, and finishes when all is settled', () => {
    const step = board();
    expect(step(0, { type: 'tick' })).toEqual([]);
    expect(step(0, asked('ann', 2))).toEqual(['pull 2']);
    expect(step(0, { type: 'offered', count: 2 })).toEqual(['give ann 0,1']);
    expect(step(1, done('ann', 0))).toEqual(['done 0']);
    expect(step(1, asked('ann', 2, 1))).toEqual(['pull 2']);
    expect(step(1, { type: 'ended' })).toEqual([]);
    expect(step(2, done('ann', 1))).toEqual(['done 1', 'finish', 'give ann ']);
  });

  test('a reader that does not read stops the fetching', () => {
    const step = board({ windowMax: 2 });
    step(0, asked('ann', 8));
    expect(step(0, { type: 'offered', count: 2 })).toEqual(['give ann 0,1']);
    step(1, done('ann', 0));
    step(1, done('ann', 1));
    expect(step(1, asked('ann', 8))).toEqual([]);
    expect(step(2, { type: 'consumed', count: 1 })).toEqual(['pull 1']);
    expect(step(1_001, { type: 'tick' })).toEqual(['give ann ']);
  });

  test('what a lost worker held goes to the others, first of all', () => {
    const step = board({ leaseMs: 500 });
    step(0, asked('ann', 2));
    step(0, { type: 'offered', count: 2 });
    step(400, asked('bob', 2));
    step(400, { type: 'offered', count: 2 });
    expect(step(500, { type: 'tick' })).toEqual([]);
    expect(step(600, asked('bob', 4, 2, 3))).toEqual(['give bob 0,1']);
    // Ann was only silent: her result counts, and bob's is nothing new.
    expect(step(610, done('ann', 0))).toEqual(['done 0']);
    expect(step(620, done('bob', 0))).toEqual([]);
  });

  test('an idle worker overtakes a slow one at the end, and the first result counts', () => {
    const step = board({ stragglerMs: 100, stragglerFactor: 2 });
    step(0, asked('ann', 1));
    step(0, { type: 'offered', count: 1 });
    step(0, asked('bob', 1));
    step(0, { type: 'offered', count: 1 });
    step(0, { type: 'ended' });
    expect(step(80, done('bob', 1))).toEqual(['done 1']);
    expect(step(80, asked('bob', 1))).toEqual([]);
    expect(step(159, { type: 'tick' })).toEqual([]);
    expect(step(160, { type: 'tick' })).toEqual(['give bob 0']);
    expect(step(200, done('bob', 0))).toEqual(['done 0', 'finish']);
    expect(step(300, done('ann', 0))).toEqual([]);
  });

  test('an item that fails is tried as often as allowed, one that loses its holders is given up', () => {
    const step = board({ attemptsMax: 2, lossesMax: 2 });
    step(0, asked('ann', 2));
    step(0, { type: 'offered', count: 2 });
    const failed = { type: 'finished', worker: 'ann', item: 0, outcome: 'failed' } as const;
    expect(step(1, failed)).toEqual([]);
    expect(step(1, asked('ann', 1, 1))).toEqual(['give ann 0']);
    expect(step(2, failed)).toEqual(['failed 0']);
    expect(step(3, { type: 'gone', worker: 'ann' })).toEqual([]);
    expect(step(3, asked('bob', 1))).toEqual(['give bob 1']);
    expect(step(4, { type: 'gone', worker: 'bob' })).toEqual(['lost 1']);
  });

  test('waiting workers share what there is', () => {
    const step = board();
    step(0, asked('ann', 8));
    step(0, asked('bob', 8));
    expect(step(0, { type: 'offered', count: 6 })).toEqual(['give ann 0,1,2', 'give bob 3,4,5']);
  });
});

test('whatever fails, is late or comes twice: each item is settled once, and all of them in the end', () => {
  const faults = fc.record({
    count: fc.integer({ min: 0, max: 60 }),
    workers: fc.integer({ min: 1, max: 5 }),
    windowMax: fc.integer({ min: 1, max: 20 }),
    dice: fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 50, maxLength: 400 }),
  });
  fc.assert(
    fc.property(faults, ({ count, workers, windowMax, dice }) => {
      const core = createWorkBoard({ windowMax, leaseMs: 300, waitMs: 50, lossesMax: 1_000 });
      const settled: number[] = [];
      const held = new Map<string, number[]>();
      let left = count;
      let isFinished = false;
      let now = 0;
      let rolls = 0;
      const roll = (): number => dice[rolls++] ?? 9;
      const feed = (input: WorkBoardInput): void => {
        for (const effect of core.step(now, input)) {
          if (effect.type === 'settle') settled.push(effect.item);
          if (effect.type === 'finish') isFinished = true;
          if (effect.type === 'give') held.set(effect.to, [...effect.items]);
          if (effect.type === 'pull') {
            const next = Math.min(left, effect.count);
            left -= next;
            if (next > 0) feed({ type: 'offered', count: next });
            if (next < effect.count) feed({ type: 'ended' });
          }
        }
        const { offered } = core.view();
        expect(offered - settled.length).toBeLessThanOrEqual(windowMax);
      };
      for (let round = 0; round < 5_000 && !isFinished; round += 1) {
        const worker = `w${round % workers}`;
        const mine = held.get(worker) ?? [];
        const dieOf = roll();
        // Gone with its items, silent for long, a result lost, a result twice, or all in order.
        if (dieOf === 0) {
          held.delete(worker);
          feed({ type: 'gone', worker });
        } else if (dieOf === 1) now += 400;
        else if (dieOf === 2) mine.shift();
        else {
          for (const item of mine.splice(0)) {
            feed(done(worker, item));
            if (dieOf === 3) feed(done(worker, item));
          }
          feed({ type: 'consumed', count: settled.length });
          feed(asked(worker, 1 + (dieOf % 4)));
        }
        now += 20;
        feed({ type: 'tick' });
      }
      expect(isFinished).toBe(true);
      expect(settled.toSorted((a, b) => a - b)).toEqual(
        Array.from({ length: count }, (_, at) => at),
      );
    }),
    { numRuns: 500 },
  );
});

const worker = fc.constantFrom('ann', 'bob', 'cyd');
const inputs: fc.Arbitrary<WorkBoardInput> = fc.oneof(
  fc.constant({ type: 'tick' } as const),
  fc.record({ type: fc.constant('offered' as const), count: fc.integer({ min: -1, max: 9 }) }),
  fc.constant({ type: 'ended' } as const),
  fc.record({
    type: fc.constant('asked' as const),
    worker,
    count: fc.integer({ min: -1, max: 9 }),
    holds: fc.array(fc.nat(20), { maxLength: 4 }),
  }),
  fc.record({
    type: fc.constant('finished' as const),
    worker,
    item: fc.nat(20),
    outcome: fc.constantFrom('done', 'failed'),
  }),
  fc.record({ type: fc.constant('gone' as const), worker }),
  fc.record({ type: fc.constant('consumed' as const), count: fc.integer({ min: -1, max: 9 }) }),
);
describeLaws('the work board', {
  create: () => createWorkBoard({ windowMax: 16, leaseMs: 100, waitMs: 50 }),
  inputs,
  hostile: fc.oneof(
    fc.constantFrom<WorkBoardInput>(
      asked('', NaN),
      asked('ann', Infinity, NaN, -1, 1e300),
      { type: 'offered', count: Infinity },
      { type: 'consumed', count: NaN },
      done('nobody', -0.5),
    ),
  ),
  effectsPerStepMax: 64,
});
