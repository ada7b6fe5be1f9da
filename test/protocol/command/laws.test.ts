import fc from 'fast-check';
import { createRandom } from '../../../src/kernel/random.ts';
import { createCaller } from '../../../src/protocol/command/caller.ts';
import type { CallerInput } from '../../../src/protocol/command/caller-types.ts';
import type { Piece, ToCaller, ToResponder } from '../../../src/protocol/command/messages.ts';
import { createResponder } from '../../../src/protocol/command/responder.ts';
import type { ResponderInput } from '../../../src/protocol/command/responder-types.ts';
import { describeLaws } from '../../laws/laws.ts';
import { simNodeId } from '../../sim/routing-mesh.ts';

const peers = fc.constantFrom(...[0, 1, 2].map(simNodeId));
const smallId = fc.integer({ min: 0, max: 8 });
const bodies = fc
  .constantFrom(0, 1, 100, 29_999, 30_000, 30_001, 100_000)
  .map((size) => new Uint8Array(size));
const seqs = fc.integer({ min: 0, max: 80 });
const pieces: fc.Arbitrary<Piece> = fc.record({
  seq: seqs,
  bytes: bodies,
  isItemEnd: fc.boolean(),
  isEnd: fc.boolean(),
  isError: fc.boolean(),
});
const credit = fc.record({ next: seqs, upTo: seqs });
const boots = fc.integer({ min: 1, max: 3 });
const anyNumber = fc.oneof(fc.double(), fc.constantFrom(NaN, -1, Infinity, 2 ** 53));

function toResponder(
  number: fc.Arbitrary<number>,
  boot: fc.Arbitrary<number>,
): fc.Arbitrary<ToResponder> {
  const named = { callerBoot: boot, id: number };
  const kind = <Kind extends string>(name: Kind) => fc.constant(name);
  return fc.oneof(
    fc.record({ kind: kind('who'), callerBoot: boot }),
    fc.record({
      kind: kind('request'),
      ...named,
      boot,
      method: fc.constantFrom('read', 'write'),
      key: fc.constantFrom(undefined, 'one', 'two'),
      deadlineMs: fc.oneof(number, fc.integer({ min: 1, max: 10_000 })),
      isStream: fc.boolean(),
      piece: pieces.map((piece) => ({ ...piece, seq: 0 })),
      confirmed: fc.array(number, { maxLength: 3 }),
    }),
    fc.record({ kind: kind('feed'), ...named, piece: pieces }),
    fc.record({ kind: kind('accept'), ...named, credit, isAsking: fc.boolean() }),
    fc.record({ kind: kind('cancel'), ...named }),
    fc.record({
      kind: kind('confirm'),
      callerBoot: boot,
      confirmed: fc.array(number, { maxLength: 3 }),
    }),
  );
}

function toCaller(
  number: fc.Arbitrary<number>,
  boot: fc.Arbitrary<number>,
): fc.Arbitrary<ToCaller> {
  const named = { callerBoot: boot, id: number };
  const kind = <Kind extends string>(name: Kind) => fc.constant(name);
  return fc.oneof(
    fc.record({ kind: kind('here'), callerBoot: boot, boot }),
    fc.record({ kind: kind('reply'), ...named, piece: pieces }),
    fc.record({ kind: kind('grant'), ...named, credit, isAsking: fc.boolean() }),
    fc.record({ kind: kind('working'), ...named }),
    fc.record({
      kind: kind('refused'),
      ...named,
      reason: fc.constantFrom(
        'boot' as const,
        'lost' as const,
        'busy' as const,
        'too-large' as const,
      ),
      boot,
    }),
  );
}

function callerInputs(
  number: fc.Arbitrary<number>,
  boot: fc.Arbitrary<number>,
): fc.Arbitrary<CallerInput> {
  return fc.oneof(
    fc.constant<CallerInput>({ type: 'tick' }),
    fc.record({
      type: fc.constant('called' as const),
      call: number,
      to: peers,
      method: fc.constantFrom('read', 'write'),
      key: fc.constantFrom(undefined, 'one'),
      deadlineMs: fc.oneof(number, fc.integer({ min: 1, max: 20_000 })),
      isStream: fc.boolean(),
      body: bodies,
    }),
    fc.record({
      type: fc.constant('received' as const),
      from: peers,
      message: toCaller(number, boot),
    }),
    fc.record({ type: fc.constantFrom('read' as const, 'cancelled' as const), call: number }),
    fc.record({ type: fc.constantFrom('peerDown' as const, 'peerLinked' as const), peer: peers }),
  );
}

function responderInputs(
  number: fc.Arbitrary<number>,
  boot: fc.Arbitrary<number>,
): fc.Arbitrary<ResponderInput> {
  return fc.oneof(
    fc.constant<ResponderInput>({ type: 'tick' }),
    fc.record({
      type: fc.constant('received' as const),
      from: peers,
      message: toResponder(number, boot),
    }),
    fc.record({
      type: fc.constant('finished' as const),
      run: number,
      isError: fc.boolean(),
      body: bodies,
    }),
    fc.record({ type: fc.constant('yielded' as const), run: number, body: bodies }),
    fc.record({ type: fc.constant('peerDown' as const), peer: peers }),
  );
}

describeLaws('a caller', {
  create: (seed) => createCaller({ boot: 1 }, createRandom(seed)),
  inputs: callerInputs(smallId, boots),
  hostile: callerInputs(anyNumber, anyNumber),
  effectsPerStepMax: 300,
});

describeLaws('a responder', {
  create: () => createResponder({ boot: 1 }),
  inputs: responderInputs(smallId, boots),
  hostile: responderInputs(anyNumber, anyNumber),
  effectsPerStepMax: 300,
});
