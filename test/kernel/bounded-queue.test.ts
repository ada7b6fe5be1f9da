/** The bounded queue equals a naive array, and every lost entry is told and counted. */

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BoundedQueue } from '../../src/kernel/bounded-queue.ts';

const calls = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: fc.constant('push' as const) },
    { weight: 4, arbitrary: fc.constant('shift' as const) },
    { weight: 1, arbitrary: fc.constant('clear' as const) },
  ),
  { maxLength: 300 },
);

test.each(['drop-oldest', 'drop-newest'] as const)('with %s it behaves as an array', (policy) => {
  fc.assert(
    fc.property(fc.double({ min: -1, max: 40, noNaN: true }), calls, (limit, history) => {
      const queue = new BoundedQueue<number>(limit, policy);
      const bound = Math.max(1, Math.floor(limit));
      let oracle: number[] = [];
      let lostCount = 0;
      for (const [at, call] of history.entries()) {
        if (call === 'clear') {
          queue.clear();
          oracle = [];
        } else if (call === 'shift') expect(queue.shift()).toBe(oracle.shift());
        else {
          let lost: number | undefined;
          if (oracle.length < bound) oracle.push(at);
          else if (policy === 'drop-newest') lost = at;
          else {
            lost = oracle.shift();
            oracle.push(at);
          }
          if (lost !== undefined) lostCount += 1;
          expect(queue.push(at)).toBe(lost);
        }
        expect(queue.length).toBe(oracle.length);
        expect(queue.peek()).toBe(oracle[0]);
        expect(queue.droppedCount).toBe(lostCount);
      }
      while (oracle.length > 0) expect(queue.shift()).toBe(oracle.shift());
      expect(queue.shift()).toBeUndefined();
    }),
  );
});

test('a queue without a limit keeps order through many growths', () => {
  const queue = new BoundedQueue<number>(Infinity, 'drop-oldest');
  let next = 0;
  let expected = 0;
  for (let round = 0; round < 200; round += 1) {
    for (let at = 0; at < 50; at += 1) queue.push((next += 1));
    for (let at = 0; at < 30; at += 1) expect(queue.shift()).toBe((expected += 1));
  }
  expect(queue.length).toBe(200 * 20);
});
