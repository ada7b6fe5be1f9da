/** The laws of the membership core, under honest and hostile histories. */

import fc from 'fast-check';
import type { Address } from '../../../src/kernel/address.ts';
import { createRandom } from '../../../src/kernel/random.ts';
import type { SwimMessage, Update } from '../../../src/protocol/membership/messages.ts';
import { swimProfiles } from '../../../src/protocol/membership/profiles.ts';
import { answerPacketsMax } from '../../../src/protocol/membership/push-pull.ts';
import { createSwim } from '../../../src/protocol/membership/swim.ts';
import type { SwimInput } from '../../../src/protocol/membership/swim-types.ts';
import { describeLaws } from '../../laws/laws.ts';
import { simConfig, simMeta, simNodeId } from '../../sim/membership.ts';

/** Id 0 is the core itself: messages about it and in its name are part of the history. */
const ids = [0, 1, 2, 3, 4, 5, 6].map((number) => simNodeId(number));
const self = simNodeId(0);

const node = fc.constantFrom(...ids);
const address: fc.Arbitrary<Address> = node.map((host) => ({ host, port: 1 }));
const small = fc.integer({ min: 0, max: 3 });
const absurd = fc.constantFrom(0, -1, 1.5, Number.NaN, Infinity, -Infinity, 2 ** 53, 1e300);
const bytes = fc.uint8Array({ maxLength: 8 });

function updates(number: fc.Arbitrary<number>): fc.Arbitrary<Update> {
  const incarnation = fc.record({ boot: number, n: number });
  const common = { node, incarnation, from: node, proof: fc.constant(new Uint8Array(1)) };
  const word = {
    ...common,
    instance: number,
    addresses: fc.array(address, { maxLength: 2 }),
    meta: fc.constant(simMeta),
    edPublic: fc.constant(new Uint8Array(32)),
  };
  return fc.oneof(
    fc.record({ kind: fc.constant('alive' as const), ...word }),
    fc.record({
      kind: fc.constant('dormant' as const),
      ...word,
      sleepMs: number,
      elapsedMs: number,
    }),
    fc.record({ kind: fc.constantFrom('suspect', 'dead', 'left'), ...common }),
  );
}

function messages(number: fc.Arbitrary<number>): fc.Arbitrary<SwimMessage> {
  const list = fc.array(updates(number), { maxLength: 6 });
  const life = fc.record({ boot: number, instance: number });
  const head = { from: node, seq: number };
  const probe = { ...head, life, rider: bytes, updates: list };
  return fc.oneof(
    fc.record({ kind: fc.constant('ping' as const), ...probe, target: node }),
    fc.record({ kind: fc.constant('ack' as const), ...probe, subject: node }),
    fc.record({ kind: fc.constant('ping-req' as const), ...head, target: node, updates: list }),
    fc.record({ kind: fc.constant('nack' as const), ...head }),
    fc.record({ kind: fc.constant('stalled' as const), ...head, stalledMs: number }),
    fc.record({ kind: fc.constant('gossip' as const), from: node, updates: list }),
    fc.record({
      kind: fc.constant('digest' as const),
      from: node,
      count: number,
      digest: bytes,
      updates: list,
    }),
    fc.record({
      kind: fc.constant('buckets' as const),
      from: node,
      digests: fc.uint8Array({ maxLength: 256 }),
    }),
    fc.record({
      kind: fc.constant('listing' as const),
      from: node,
      first: number,
      last: number,
      entries: fc.array(
        fc.record({
          node,
          incarnation: fc.record({ boot: number, n: number }),
          state: fc.constantFrom('alive', 'suspect', 'dormant'),
        }),
        { maxLength: 8 },
      ),
    }),
    fc.record({
      kind: fc.constant('state' as const),
      from: node,
      updates: list,
      wants: fc.array(node, { maxLength: 8 }),
      hasMore: fc.boolean(),
    }),
  );
}

function facts(number: fc.Arbitrary<number>): fc.Arbitrary<SwimInput> {
  const received = fc.record({
    type: fc.constant('received' as const),
    from: address,
    message: messages(number),
  });
  return fc.oneof(
    { weight: 4, arbitrary: fc.constant({ type: 'tick' as const }) },
    { weight: 8, arbitrary: received },
    fc.record({ type: fc.constant('linkOpened' as const), node, address }),
    fc.record({
      type: fc.constant('introduced' as const),
      addresses: fc.array(address, { maxLength: 20 }),
    }),
    fc.record({ type: fc.constant('linkClosed' as const), node }),
    fc.record({ type: fc.constant('linkPong' as const), node, seq: number }),
    fc.record({ type: fc.constant('metaChanged' as const), meta: fc.constant(simMeta) }),
    fc.record({
      type: fc.constant('addressesChanged' as const),
      addresses: fc.array(address, { maxLength: 20 }),
    }),
    fc.record({ type: fc.constant('riderChanged' as const), rider: bytes }),
    fc.record({ type: fc.constant('sleep' as const), ms: number }),
    fc.record({ type: fc.constant('woke' as const), gapMs: number }),
    fc.record({ type: fc.constant('loopLagged' as const), ms: number }),
    fc.record({ type: fc.constant('evicted' as const), node }),
    fc.constant({ type: 'leave' as const }),
  );
}

describeLaws('membership', {
  create: (seed) => createSwim(simConfig(self, swimProfiles.wired), createRandom(seed)),
  inputs: facts(small),
  hostile: facts(fc.oneof(small, absurd)),
  // One whole answer, and what a tick after days has come due for six members.
  effectsPerStepMax: answerPacketsMax + 64,
});
