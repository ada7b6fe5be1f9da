import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { OverflowPolicy } from '../../../src/protocol/channels/channel.ts';
import { createLaneQueue } from '../../../src/protocol/channels/lane-queue.ts';

const entry = (mark: number, size = 10): Uint8Array => new Uint8Array(size).fill(mark);

function drain(queue: ReturnType<typeof createLaneQueue>): number[] {
  const marks: number[] = [];
  for (let next = queue.peek(); next !== undefined; next = queue.peek()) {
    marks.push(next.bytes[0] ?? 0);
    queue.shift();
  }
  return marks;
}

describe('the queue of a lane', () => {
  test('drops the oldest', () => {
    const queue = createLaneQueue({ overflow: 'drop-oldest', queueBytesMax: 30 });
    const pushed = [1, 2, 3, 4].map((mark) => queue.push(entry(mark), 'a', 0));
    expect(pushed.map(({ isTaken, lost }) => [isTaken, lost])).toEqual([
      [true, 0],
      [true, 0],
      [true, 0],
      [true, 1],
    ]);
    expect(drain(queue)).toEqual([2, 3, 4]);
  });

  test('drops the newest', () => {
    const queue = createLaneQueue({ overflow: 'drop-newest', queueBytesMax: 30 });
    for (const mark of [1, 2, 3]) queue.push(entry(mark), 'a', 0);
    expect(queue.push(entry(4), 'a', 0)).toEqual({ isTaken: true, lost: 1, superseded: 0 });
    expect(drain(queue)).toEqual([1, 2, 3]);
  });

  test('keeps the latest of each topic, in its old place, and the oldest topics go when it is full', () => {
    const queue = createLaneQueue({ overflow: 'latest-per-topic', queueBytesMax: 30 });
    queue.push(entry(1), 'a', 0);
    queue.push(entry(2), 'b', 0);
    expect(queue.push(entry(3), 'a', 0)).toEqual({ isTaken: true, lost: 1, superseded: 1 });
    queue.push(entry(4), 'c', 0);
    expect(queue.push(entry(5), 'd', 0)).toEqual({ isTaken: true, lost: 1, superseded: 0 });
    expect(drain(queue)).toEqual([2, 4, 5]);
    queue.push(entry(6), 'a', 0);
    expect(drain(queue)).toEqual([6]);
  });

  test.each([
    ['drop-oldest', [1]],
    ['drop-newest', [4]],
    // The older value of a, then what waited longest: the newer value of a, in its old place.
    ['latest-per-topic', [1, 3]],
  ] as const)('shows what is lost by %s', (policy, first) => {
    const lost: number[] = [];
    const queue = createLaneQueue({ overflow: policy, queueBytesMax: 30 }, (bytes) =>
      lost.push(bytes[0] ?? 0),
    );
    const keys = policy === 'latest-per-topic' ? ['a', 'b', 'a', 'c', 'd'] : ['a', 'b', 'c', 'd'];
    for (const [at, key] of keys.entries()) queue.push(entry(at + 1), key, 0);
    expect(lost).toEqual(first);
    const left = queue.count();
    queue.clear();
    expect(lost).toHaveLength(keys.length);
    expect(left).toBe(3);
  });

  test.each(['block', 'reject'] as const)('refuses when it is to %s', (policy) => {
    const queue = createLaneQueue({ overflow: policy, queueBytesMax: 30 });
    for (const mark of [1, 2, 3]) expect(queue.push(entry(mark), 'a', 0).isTaken).toBe(true);
    expect(queue.push(entry(4), 'a', 0)).toEqual({ isTaken: false, lost: 0, superseded: 0 });
    expect(drain(queue)).toEqual([1, 2, 3]);
  });

  test('keeps to limits that change while something waits, and never gives out an older value after a newer one', () => {
    const policies = ['drop-oldest', 'drop-newest', 'latest-per-topic'] as const;
    const steps = fc.array(
      fc.oneof(
        fc.constant('shift' as const),
        fc.record({
          overflow: fc.constantFrom<OverflowPolicy>(...policies),
          queueBytesMax: fc.integer({ min: 10, max: 100 }),
        }),
        fc.constantFrom('a', 'b', 'c').map((key) => ({ key })),
      ),
      { maxLength: 200 },
    );
    fc.assert(
      fc.property(steps, (list) => {
        const limits = { overflow: 'drop-oldest' as OverflowPolicy, queueBytesMax: 50 };
        const queue = createLaneQueue(limits);
        const given = new Map<string, number>();
        let mark = 0;
        const take = (): void => {
          const next = queue.peek();
          if (next === undefined) return;
          expect(next.bytes[0]).toBeGreaterThan(given.get(next.key) ?? 0);
          given.set(next.key, next.bytes[0] ?? 0);
          queue.shift();
        };
        for (const step of list) {
          if (step === 'shift') take();
          else if ('overflow' in step) Object.assign(limits, step);
          else {
            mark += 1;
            queue.push(entry(mark), step.key, 0);
            const isLatest = limits.overflow !== 'drop-newest';
            if (isLatest) expect(queue.bytes()).toBeLessThanOrEqual(limits.queueBytesMax);
          }
        }
        while (queue.count() > 0) take();
      }),
    );
  });

  test('takes one entry larger than itself, and never holds more than that or its bound', () => {
    const policies = fc.constantFrom<OverflowPolicy>(
      'drop-oldest',
      'drop-newest',
      'latest-per-topic',
      'block',
    );
    const steps = fc.array(
      fc.oneof(
        fc.constant('shift' as const),
        fc.record({ size: fc.integer({ min: 1, max: 200 }), key: fc.constantFrom('a', 'b', 'c') }),
      ),
      { maxLength: 200 },
    );
    fc.assert(
      fc.property(policies, steps, (policy, list) => {
        const queue = createLaneQueue({ overflow: policy, queueBytesMax: 100 });
        let kept = 0;
        for (const step of list) {
          if (step === 'shift') {
            if (queue.peek() !== undefined) kept -= 1;
            queue.shift();
          } else {
            const { isTaken, lost, superseded } = queue.push(entry(1, step.size), step.key, 0);
            expect(superseded).toBeLessThanOrEqual(lost);
            kept += (isTaken ? 1 : 0) - lost;
          }
          expect(queue.count()).toBe(kept);
          if (queue.count() > 1) expect(queue.bytes()).toBeLessThanOrEqual(100);
        }
        drain(queue);
        expect(queue.bytes()).toBe(0);
      }),
    );
  });
});
