/** The transmit-limited queue and the probe list. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createRandom } from '../../../src/kernel/random.ts';
import type { NodeId } from '../../../src/kernel/ids.ts';
import { BroadcastQueue, transmitLimit } from '../../../src/protocol/membership/dissemination.ts';
import type { VerdictUpdate } from '../../../src/protocol/membership/messages.ts';
import { ProbeList } from '../../../src/protocol/membership/probe-list.ts';
import { simNodeId } from '../../sim/membership.ts';

const from = simNodeId(1000);

function about(subject: number, n = 0): VerdictUpdate {
  const node = simNodeId(subject);
  return { kind: 'suspect', node, incarnation: { boot: 1, n }, from, proof: new Uint8Array(0) };
}

describe('the broadcast queue', () => {
  test.each([
    [1, 4],
    [9, 4],
    [10, 8],
    [99, 8],
    [100, 12],
    [1000, 16],
  ])('in a mesh of %i news is sent %i times when M is 4', (members, sends) => {
    expect(transmitLimit(4, members)).toBe(sends);
  });

  test('news about a subject replaces what was queued about it', () => {
    const queue = new BroadcastQueue(10, () => 100);
    queue.push(about(1, 0));
    queue.push(about(1, 1));
    expect(queue.length).toBe(1);
    expect(queue.take(1_000, 4)).toEqual([about(1, 1)]);
  });

  test('what was sent least goes first, then what is largest', () => {
    const sizes = new Map([
      [simNodeId(1), 50],
      [simNodeId(2), 90],
      [simNodeId(3), 70],
    ]);
    const queue = new BroadcastQueue(10, ({ node }) => sizes.get(node) ?? 0);
    for (const subject of [1, 2, 3]) queue.push(about(subject));
    expect(queue.take(100, 4)).toEqual([about(2)]);
    expect(queue.take(130, 4)).toEqual([about(3), about(1)]);
  });

  test('no packet overflows, no news is sent too often, none is lost while there is room', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 20, max: 400 }), { minLength: 1, maxLength: 40 }),
        fc.integer({ min: 400, max: 1_400 }),
        fc.integer({ min: 1, max: 12 }),
        (sizes, room, limit) => {
          const sizeOf = ({ incarnation }: { incarnation: { n: number } }): number =>
            sizes[incarnation.n] ?? 0;
          const queue = new BroadcastQueue(100, sizeOf);
          sizes.forEach((_, at) => queue.push(about(at, at)));
          const sent = new Map<NodeId, number>();
          for (let packets = 0; queue.length > 0; packets += 1) {
            const taken = queue.take(room, limit);
            const bytes = taken.reduce((sum, update) => sum + sizeOf(update), 0);
            expect(bytes).toBeLessThanOrEqual(room);
            expect(taken.length).toBeGreaterThan(0);
            for (const { node } of taken) sent.set(node, (sent.get(node) ?? 0) + 1);
          }
          expect([...sent.values()].every((count) => count === limit)).toBe(true);
          expect(sent.size).toBe(sizes.length);
        },
      ),
      { numRuns: 100 },
    );
  });

  test('it never holds more than its limit', () => {
    const queue = new BroadcastQueue(5, () => 10);
    for (let subject = 0; subject < 50; subject += 1) queue.push(about(subject));
    expect(queue.length).toBe(5);
  });
});

describe('the probe list (V-S7)', () => {
  test('two probes of one member are at most 2n - 1 periods apart', () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 1, max: 30 }), (seed, count) => {
        const list = new ProbeList(createRandom(seed));
        for (let number = 0; number < count; number += 1) list.add(simNodeId(number));
        const last = new Map<NodeId, number>();
        let longest = 0;
        for (let period = 0; period < 20 * count; period += 1) {
          const node = list.next(() => true);
          if (node === undefined) throw new Error('somebody can be probed');
          longest = Math.max(longest, period - (last.get(node) ?? period));
          last.set(node, period);
        }
        expect(last.size).toBe(count);
        expect(longest).toBeLessThanOrEqual(2 * count - 1);
      }),
      { numRuns: 100 },
    );
  });

  test('a newcomer does not cost anybody else a turn in the pass', () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 0, max: 7 }), (seed, before) => {
        const old = [1, 2, 3, 4, 5, 6, 7].map((number) => simNodeId(number));
        const fresh = new ProbeList(createRandom(seed));
        for (const node of old) fresh.add(node);
        const seen: (NodeId | undefined)[] = [];
        for (let turn = 0; turn < before; turn += 1) seen.push(fresh.next(() => true));
        fresh.add(simNodeId(99));
        fresh.remove(simNodeId(99));
        for (let turn = before; turn < 7; turn += 1) seen.push(fresh.next(() => true));
        // Position and removal are undone exactly, so the seven turns are the seven members.
        expect(new Set(seen)).toEqual(new Set(old));
      }),
      { numRuns: 200 },
    );
  });

  test('when nobody may be probed it gives up after two passes', () => {
    const list = new ProbeList(createRandom(1));
    for (let number = 0; number < 5; number += 1) list.add(simNodeId(number));
    let asked = 0;
    expect(list.next(() => (asked += 1) < 0)).toBeUndefined();
    expect(asked).toBe(10);
  });
});
