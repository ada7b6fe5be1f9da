import fc from 'fast-check';
import type { NodeId } from '../../../src/kernel/ids.ts';
import { createRandom } from '../../../src/kernel/random.ts';
import type {
  Configuration,
  Entry,
  RaftMessage,
} from '../../../src/protocol/consensus/messages.ts';
import { createRaft } from '../../../src/protocol/consensus/raft.ts';
import type {
  RaftEffect,
  RaftInput,
  RaftView,
} from '../../../src/protocol/consensus/raft-types.ts';
import { describeLaws } from '../../laws/laws.ts';
import { configuration, stageTiming } from './stage.ts';

const seats = fc.integer({ min: 1, max: 4 });
const small = fc.nat(12);
const absurd = fc.oneof(fc.double(), fc.maxSafeInteger(), fc.integer(), fc.constant(Number.NaN));
const bytes = fc.uint8Array({ maxLength: 40 });

function configs(number: fc.Arbitrary<number>): fc.Arbitrary<Configuration> {
  const list = fc.array(number, { maxLength: 4 });
  const members = fc.array(fc.record({ seat: number, node: fc.constant('node-1' as NodeId) }), {
    maxLength: 5,
  });
  return fc.oneof(
    fc.constantFrom(configuration([1, 2, 3]), configuration([2, 3, 4], [], [1, 2, 3])),
    fc.record({ voters: list, outgoing: list, learners: list, members, lastSeat: number }),
  );
}

function messages(number: fc.Arbitrary<number>): fc.Arbitrary<RaftMessage> {
  const isGranted = fc.boolean();
  const term = number;
  const entry: fc.Arbitrary<Entry> = fc.oneof(
    fc.record({ index: number, term, type: fc.constant('noop' as const) }),
    fc.record({ index: number, term, type: fc.constant('command' as const), data: bytes }),
    fc.record({
      index: number,
      term,
      type: fc.constant('config' as const),
      config: configs(number),
    }),
  );
  return fc.oneof(
    fc.record({
      type: fc.constantFrom('preVote' as const, 'vote' as const),
      term,
      lastIndex: number,
      lastTerm: number,
      isTransfer: fc.boolean(),
    }),
    fc.record({
      type: fc.constantFrom('preVoteReply' as const, 'voteReply' as const),
      term,
      isGranted,
    }),
    fc.record({
      type: fc.constant('append' as const),
      term,
      prevIndex: number,
      prevTerm: number,
      commit: number,
      entries: fc.array(entry, { maxLength: 4 }),
    }),
    fc.record({ type: fc.constant('appendReply' as const), term, match: number }),
    fc.record({
      type: fc.constant('appendRefused' as const),
      term,
      prevIndex: number,
      hintIndex: number,
      hintTerm: number,
    }),
    fc.record({ type: fc.constant('heartbeat' as const), term, commit: number, round: number }),
    fc.record({ type: fc.constant('heartbeatReply' as const), term, round: number }),
    fc.record({
      type: fc.constant('snapshot' as const),
      term,
      index: number,
      indexTerm: number,
      config: configs(number),
      offset: number,
      size: number,
      data: bytes,
    }),
    fc.record({ type: fc.constant('snapshotReply' as const), term, index: number, offset: number }),
    fc.record({ type: fc.constant('timeoutNow' as const), term }),
  );
}

function inputs(number: fc.Arbitrary<number>): fc.Arbitrary<RaftInput> {
  const ref = fc.nat(9);
  return fc.oneof(
    fc.constant<RaftInput>({ type: 'tick' }),
    fc.record({ type: fc.constant('received' as const), from: seats, message: messages(number) }),
    fc.record({ type: fc.constant('persisted' as const), seq: number }),
    fc.record({
      type: fc.constant('proposed' as const),
      items: fc.array(fc.record({ ref, data: bytes }), { maxLength: 3 }),
    }),
    fc.record({ type: fc.constant('readAsked' as const), ref }),
    fc.record({
      type: fc.constant('changeAsked' as const),
      ref,
      change: configs(number).map(({ voters, learners, members }) => ({
        voters,
        learners,
        members,
      })),
    }),
    fc.record({ type: fc.constant('transferAsked' as const), to: seats }),
    fc.record({ type: fc.constant('snapshotTaken' as const), index: number, data: bytes }),
    fc.record({ type: fc.constant('linkClosed' as const), seat: seats }),
    fc.constant<RaftInput>({ type: 'woke' }),
    fc.constant<RaftInput>({ type: 'timed', timing: { ...stageTiming, heartbeatMs: 20 } }),
  );
}

for (const [name, voters] of [
  ['one of three', [1, 2, 3]],
  ['a single voter', [1]],
] as const) {
  describeLaws<RaftInput, RaftEffect, RaftView>(`consensus as ${name}`, {
    create: (seed) =>
      createRaft(
        {
          self: 1,
          timing: stageTiming,
          limits: { snapshotEntries: 3, trailingEntries: 1 },
          restored: {
            hard: { term: 1, vote: 0 },
            snapshot: { index: 1, term: 1, config: configuration(voters), data: new Uint8Array() },
            entries: [],
          },
        },
        createRandom(seed),
      ),
    inputs: inputs(small),
    hostile: inputs(absurd),
    // A leader fills the window of every follower: 32 appends for each of 16, and what hangs on them.
    effectsPerStepMax: 1_100,
    runs: 150,
  });
}
