import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parcelBytesMax } from '../../../src/kernel/parcel.ts';
import { createRandom } from '../../../src/kernel/random.ts';
import { addressOf } from '../../../src/protocol/replication/cell.ts';
import {
  answerLeaves,
  answerRoot,
  contextOf,
} from '../../../src/protocol/replication/comparison.ts';
import { messageBytesMax } from '../../../src/protocol/replication/messages.ts';
import { ReplicaState } from '../../../src/protocol/replication/replica-state.ts';
import { FactBasket } from '../../../src/protocol/replication/weight.ts';
import { encodeStateMessage } from '../../../src/wire/state-codec.ts';

const at = { wallMs: Date.UTC(2090, 1, 1), count: 65_535 };
const count = 2 ** 40;
const nameOf = (of: number): string => `${String(of).padStart(56, 'node')}:zzz.zzzzzzz`;

test('whatever is put into a basket fits a parcel, however many replicas it names', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          path: fc.string({ minLength: 1, maxLength: 40 }),
          names: fc.array(fc.nat(3_000), { maxLength: 400 }),
          value: fc.constantFrom(1, [2 ** 50, 1.5], 'text', { key: ['a', null] }),
        }),
        { maxLength: 12 },
      ),
      (facts) => {
        const basket = new FactBasket(messageBytesMax);
        for (const { path, names, value } of facts) {
          const half = names.length >> 1;
          const live = names.slice(half).map((of) => ({ replica: nameOf(of), count, at, value }));
          const dead = names.slice(0, half).map((of) => ({ replica: nameOf(of), count }));
          basket.put({ address: addressOf('counter', [path]), live, dead });
        }
        const push = encodeStateMessage({ kind: 'push', seq: 2 ** 40, facts: basket.facts });
        expect(push.length).toBeLessThanOrEqual(messageBytesMax + 256);
      },
    ),
    { numRuns: 60 },
  );
});

test('lists, wishes and contexts of thousands of replicas fit parcels, and go on elsewhere the next time', () => {
  const random = createRandom(1);
  const address = addressOf('counter', ['hits']);
  const [ann, bob] = [new ReplicaState(), new ReplicaState()];
  for (let of = 0; of < 4_000; of += 1) {
    const live = [{ replica: nameOf(of), count, at, value: [1, 1] }];
    (of % 2 === 0 ? ann : bob).join({ address, live, dead: [] });
  }
  const root = { kind: 'root', root: [1, 1], context: [1, 1], size: 1 } as const;
  const told = new Set<string>();
  for (let round = 0; round < 60; round += 1) {
    const leaves = answerRoot(ann, root, random);
    if (leaves.kind !== 'leaves') throw new Error(leaves.kind);
    const repair = answerLeaves(bob, leaves, random);
    const context = contextOf(bob, random, false);
    for (const message of [leaves, repair, context]) {
      expect(encodeStateMessage(message).length).toBeLessThan(parcelBytesMax - 256);
    }
    expect(repair.isPart).toBe(true);
    for (const { live } of repair.facts) for (const { replica } of live) told.add(replica);
  }
  expect(told.size).toBeGreaterThan(1_950);
});
