import fc from 'fast-check';
import { createRandom } from '../../src/kernel/random.ts';
import { ReplicaState } from '../../src/protocol/replication/replica-state.ts';
import { createStateSync } from '../../src/protocol/replication/state-sync.ts';
import type { StateSyncInput } from '../../src/protocol/replication/state-sync.ts';
import type { StateMessage } from '../../src/protocol/replication/messages.ts';
import { simNodeId } from '../sim/routing-mesh.ts';
import { describeLaws } from './laws.ts';

const node = fc.nat(4).map(simNodeId);
const dot = fc.record({
  replica: fc.constantFrom('a', 'b'),
  count: fc.integer({ min: 1, max: 9 }),
});
const entry = fc
  .tuple(dot, fc.nat(1_000), fc.nat(5))
  .map(([one, wallMs, value]) => ({ ...one, at: { wallMs, count: 0 }, value }));
const address = fc.constantFrom('rone', 'rtwo', 'sset', 'chits');
const fact = fc.record({
  address,
  live: fc.array(entry, { maxLength: 3 }),
  dead: fc.array(dot, { maxLength: 3 }),
});
const facts = fc.array(fact, { maxLength: 4 });
const print = fc.tuple(fc.nat(), fc.nat());
const listed = fc.array(fc.tuple(address, fc.array(dot, { maxLength: 4 })), { maxLength: 4 });
const known = fc.array(
  fc.tuple(fc.constantFrom('a', 'b'), fc.constantFrom([1, 4], [1, 2, 4, 9], [7, 7])),
  { maxLength: 3 },
);
const message: fc.Arbitrary<StateMessage> = fc.oneof(
  fc.record({ kind: fc.constant('push' as const), seq: fc.nat(), facts }),
  fc.record({ kind: fc.constant('ack' as const), seq: fc.integer({ min: 1, max: 4 }) }),
  fc.record({
    kind: fc.constant('root' as const),
    root: fc.oneof(print, fc.constant([0, 0] as const)),
    context: print,
    size: fc.nat(),
  }),
  fc.record({
    kind: fc.constant('branches' as const),
    level: fc.integer({ min: -2, max: 9 }),
    nodes: fc.array(
      fc.record({ index: fc.integer(), children: fc.array(print, { maxLength: 20 }) }),
      { maxLength: 4 },
    ),
  }),
  fc.record({
    kind: fc.constant('leaves' as const),
    leaves: fc.oneof(fc.constant('all' as const), fc.array(fc.integer(), { maxLength: 5 })),
    cells: listed,
  }),
  fc.record({ kind: fc.constant('repair' as const), facts, wants: listed, isPart: fc.boolean() }),
  fc.record({ kind: fc.constant('rest' as const), facts, isPart: fc.boolean() }),
  fc.record({
    kind: fc.constant('context' as const),
    root: fc.oneof(print, fc.constant([0, 0] as const)),
    known,
    isReply: fc.boolean(),
  }),
  fc.constant({ kind: 'same' as const }),
  fc.record({ kind: fc.constant('refused' as const), aheadMs: fc.nat() }),
  fc.record({
    kind: fc.constant('ask' as const),
    address,
    amount: fc.nat(),
    replica: fc.constant('b'),
  }),
);
const inputs: fc.Arbitrary<StateSyncInput> = fc.oneof(
  fc.constant({ type: 'tick' as const }),
  fc.record({ type: fc.constant('wrote' as const), facts }),
  fc.record({
    type: fc.constantFrom(
      'peerUp' as const,
      'peerDown' as const,
      'linked' as const,
      'unlinked' as const,
    ),
    node,
  }),
  fc.record({ type: fc.constant('members' as const), nodes: fc.array(node, { maxLength: 5 }) }),
  fc.record({ type: fc.constant('received' as const), from: node, message, wallMs: fc.nat(2_000) }),
);
const absurd = fc.constantFrom(-1, 0, NaN, Infinity, 2 ** 60, 0.5);
const hostile: fc.Arbitrary<StateSyncInput> = fc.record({
  type: fc.constant('received' as const),
  from: node,
  wallMs: fc.nat(2_000),
  message: fc.oneof(
    fc.record({
      kind: fc.constant('push' as const),
      seq: absurd,
      facts: fc.array(
        fc.record({
          address: fc.string(),
          live: fc.array(
            fc.record({
              replica: fc.string(),
              count: absurd,
              at: fc.record({ wallMs: absurd, count: absurd }),
              value: fc.jsonValue() as fc.Arbitrary<never>,
            }),
          ),
          dead: fc.array(fc.record({ replica: fc.string(), count: absurd })),
        }),
      ),
    }),
    fc.record({
      kind: fc.constant('branches' as const),
      level: absurd,
      nodes: fc.array(fc.record({ index: absurd, children: fc.array(print) })),
    }),
    fc.record({
      kind: fc.constant('context' as const),
      root: print,
      known: fc.array(fc.tuple(fc.string(), fc.array(absurd))),
      isReply: fc.boolean(),
    }),
  ),
});

describeLaws('replicated state', {
  create: (seed) =>
    createStateSync(
      {
        state: new ReplicaState(),
        compareMs: 1_000,
        gatherMs: 20,
        answerMs: 300,
        driftMsMax: 60_000,
      },
      createRandom(seed),
    ),
  inputs,
  hostile,
  // A push to each of five peers, a comparison, and what one message can cause.
  effectsPerStepMax: 16,
});
