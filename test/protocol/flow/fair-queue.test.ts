/** The fair queue serves within its bound, gives each principal its turn, lets nobody wait for ever, and loses nobody. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { createFairQueue } from '../../../src/protocol/flow/fair-queue.ts';
import type {
  FairQueue,
  FairQueueEffect,
  FairQueueInput,
  QueueClass,
} from '../../../src/protocol/flow/fair-queue.ts';
import { describeLaws } from '../../laws/laws.ts';

const came = (
  id: number,
  principal = 'a',
  entryClass: QueueClass = 1,
  expiresAt = 1e9,
): FairQueueInput => ({
  type: 'came',
  id,
  principal,
  class: entryClass,
  expiresAt,
});

const arbitrary = (
  id: fc.Arbitrary<number>,
  at: fc.Arbitrary<number>,
): fc.Arbitrary<FairQueueInput> =>
  fc.oneof(
    fc.record({
      type: fc.constant('came' as const),
      id,
      principal: fc.constantFrom('a', 'b', 'c', ''),
      class: fc.constantFrom<QueueClass>(0, 1, 2),
      expiresAt: at,
    }),
    fc.record({ type: fc.constant('left' as const), id }),
    fc.constant({ type: 'tick' } as const),
  );

describeLaws('the fair queue', {
  create: () => createFairQueue({ servedMax: 2, waitingMax: 8 }),
  inputs: arbitrary(fc.nat(20), fc.nat(100_000)),
  hostile: arbitrary(
    fc.oneof(fc.double(), fc.integer()),
    fc.oneof(fc.double(), fc.constant(Number.NaN)),
  ),
  effectsPerStepMax: 12,
});

function served(effects: readonly FairQueueEffect[]): number[] {
  return effects.filter(({ type }) => type === 'serve').map(({ id }) => id);
}

/** Serves one at a time until nobody waits. */
function drain(queue: FairQueue, first: number, now = 10): number[] {
  const order = [first];
  for (let id: number | undefined = first; id !== undefined;) {
    [id] = served(queue.step(now, { type: 'left', id }));
    if (id !== undefined) order.push(id);
  }
  return order;
}

describe('the fair queue', () => {
  test('a chatty principal does not starve the others', () => {
    const queue = createFairQueue({ servedMax: 1, waitingMax: 100 });
    for (let id = 0; id < 20; id += 1) queue.step(0, came(id, 'chatty'));
    for (let id = 20; id < 23; id += 1) queue.step(0, came(id, 'quiet'));
    const order = drain(queue, 0);
    expect(order.slice(0, 7).filter((id) => id >= 20)).toEqual([20, 21, 22]);
    expect(order).toHaveLength(23);
  });

  test('under steady load from all, turns are equal (Jain above 0.95)', () => {
    const queue = createFairQueue({ servedMax: 1, waitingMax: 1000 });
    // One asks ten times as often as another.
    const weights = { a: 10, b: 5, c: 2, d: 1 };
    let id = 0;
    const owner = new Map<number, string>();
    const turns: Record<string, number> = { a: 0, b: 0, c: 0, d: 0 };
    for (let round = 0; round < 60; round += 1) {
      for (const [principal, weight] of Object.entries(weights)) {
        for (let count = 0; count < weight; count += 1) {
          owner.set(id, principal);
          queue.step(round, came(id, principal));
          id += 1;
        }
      }
    }
    let current: number | undefined = 0;
    for (let turn = 0; turn < 200 && current !== undefined; turn += 1) {
      const name = owner.get(current) ?? '';
      turns[name] = (turns[name] ?? 0) + 1;
      [current] = served(queue.step(100, { type: 'left', id: current }));
    }
    const counts = Object.values(turns);
    const jain =
      counts.reduce((sum, count) => sum + count, 0) ** 2 /
      (counts.length * counts.reduce((sum, count) => sum + count * count, 0));
    expect(jain).toBeGreaterThan(0.95);
  });

  test('urgent ones go first, and waiting lifts a class', () => {
    const queue = createFairQueue({ servedMax: 1, waitingMax: 10 });
    queue.step(0, came(0));
    queue.step(0, came(1, 'x', 2));
    queue.step(1, came(2, 'y', 1));
    queue.step(2, came(3, 'z', 0));
    expect(drain(queue, 0)).toEqual([0, 3, 2, 1]);
    const aged = createFairQueue({ servedMax: 1, waitingMax: 10 });
    aged.step(0, came(0, 'z'));
    aged.step(0, came(1, 'x', 2));
    aged.step(60_000, came(2, 'y', 0));
    expect(served(aged.step(60_001, { type: 'left', id: 0 }))).toEqual([1]);
  });

  test('turns away what is too much, and what can no longer be in time', () => {
    const queue = createFairQueue({ servedMax: 1, waitingMax: 1 });
    queue.step(0, came(0));
    queue.step(0, came(1, 'a', 1, 500));
    expect(queue.step(0, came(2))).toEqual([{ type: 'refuse', id: 2, reason: 'full' }]);
    expect(queue.deadline()).toBe(500);
    expect(queue.step(500, { type: 'tick' })).toEqual([
      { type: 'refuse', id: 1, reason: 'expired' },
    ]);
    expect(queue.deadline()).toBe(Infinity);
  });

  test('never serves more than its bound, and everyone who came is served, refused or left', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(3_000), arbitrary(fc.nat(30), fc.nat(60_000)))),
        (history) => {
          const queue = createFairQueue({ servedMax: 2, waitingMax: 4 });
          const busy = new Set<number>();
          const waiting = new Set<number>();
          let now = 0;
          const run = (input: FairQueueInput): void => {
            if (input.type === 'came' && !busy.has(input.id)) waiting.add(input.id);
            if (input.type === 'left') {
              busy.delete(input.id);
              waiting.delete(input.id);
            }
            for (const effect of queue.step(now, input)) {
              expect(waiting.delete(effect.id)).toBe(true);
              if (effect.type === 'serve') busy.add(effect.id);
            }
            expect(busy.size).toBeLessThanOrEqual(2);
            const view = queue.view();
            expect([view.served, view.waiting.reduce((sum, count) => sum + count, 0)]).toEqual([
              busy.size,
              waiting.size,
            ]);
          };
          for (const [afterMs, input] of history) {
            now += afterMs;
            run(input);
          }
          for (const id of busy) run({ type: 'left', id });
          while (busy.size > 0) for (const id of busy) run({ type: 'left', id });
          expect(waiting.size).toBe(0);
        },
      ),
    );
  });
});
