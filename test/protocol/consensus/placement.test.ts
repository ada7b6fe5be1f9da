/** Who should be in a group: three, five or one, never two, and one step at a time. */

import { describe, expect, test } from 'vitest';
import type { Configuration, Seat } from '../../../src/protocol/consensus/messages.ts';
import { nextPlacement, votersWanted } from '../../../src/protocol/consensus/placement.ts';
import type { MemberFacts } from '../../../src/protocol/consensus/placement.ts';
import type { RaftView } from '../../../src/protocol/consensus/raft-types.ts';
import { configuration, nodeOf } from './stage.ts';

const patience = { deadMs: 120_000, caughtUpMs: 10_000 };

function member(at: number, rest: Partial<MemberFacts> = {}): MemberFacts {
  return { node: nodeOf(at), state: 'alive', forMs: 1e6, score: 3, isOnMains: true, ...rest };
}

function members(count: number): MemberFacts[] {
  return Array.from({ length: count }, (_, at) => member(at + 1));
}

function view(config: Configuration, rest: Partial<RaftView> = {}): RaftView {
  return {
    self: config.voters[0] ?? 1,
    role: 'leader',
    term: 2,
    leader: 1,
    commit: 100,
    applied: 100,
    firstIndex: 1,
    lastIndex: 100,
    stable: 100,
    snapshotIndex: 0,
    config,
    isConfigCommitted: true,
    isSettled: true,
    isTransferring: false,
    progress: [],
    ...rest,
  };
}

function step(
  config: Configuration,
  all: readonly MemberFacts[],
  ready: readonly Seat[] = [],
  empty: readonly Seat[] = [],
) {
  const caughtUpMs = new Map(ready.map((seat) => [seat, 20_000]));
  const facts = { view: view(config), members: all, emptySeats: new Set(empty), caughtUpMs };
  return nextPlacement(facts, patience);
}

describe('how many voters', () => {
  test.each([
    [1, 1],
    [2, 1],
    [3, 3],
    [9, 3],
    [10, 5],
    [100, 5],
  ])('%i members: %i', (count, wanted) => {
    expect(votersWanted(members(count))).toBe(wanted);
  });

  test('ten members of which few have mains power: three', () => {
    const all = members(12).map((one, at) => (at < 6 ? one : { ...one, isOnMains: false }));
    expect(votersWanted(all)).toBe(3);
  });
});

describe('growing', () => {
  test('a second member learns, and does not vote', () => {
    expect(step(configuration([1]), members(2))).toEqual({ type: 'seat', node: nodeOf(2) });
    expect(step(configuration([1], [2]), members(2), [2])).toBeUndefined();
  });

  test('two learners that are caught up become voters together', () => {
    expect(step(configuration([1], [2]), members(3), [2])).toEqual({
      type: 'seat',
      node: nodeOf(3),
    });
    expect(step(configuration([1], [2, 3]), members(3), [2])).toBeUndefined();
    expect(step(configuration([1], [2, 3]), members(3), [2, 3])).toMatchObject({
      change: { voters: [1, 2, 3], learners: [] },
    });
  });

  test('the best get a seat; a battery never does', () => {
    const all = [
      member(1),
      member(2, { score: -1 }),
      member(3, { score: 1 }),
      member(4, { score: 2 }),
    ];
    expect(step(configuration([1]), all)).toEqual({ type: 'seat', node: nodeOf(4) });
    expect(step(configuration([1]), all.slice(0, 2))).toBeUndefined();
  });

  test('ten members have five voters and two standbys', () => {
    expect(step(configuration([1, 2, 3], [4, 5]), members(10), [4, 5])).toMatchObject({
      change: { voters: [1, 2, 3, 4, 5] },
    });
    expect(step(configuration([1, 2, 3, 4, 5], [6, 7]), members(10), [6, 7])).toBeUndefined();
  });
});

describe('repair', () => {
  const away = (at: number, forMs: number) =>
    members(4).map((one) =>
      one.node === nodeOf(at) ? { ...one, state: 'dead' as const, forMs } : one,
    );

  test('a voter is replaced two minutes after its death, by a caught-up learner', () => {
    const config = configuration([1, 2, 3], [4]);
    expect(step(config, away(2, 119_000), [4])).toBeUndefined();
    expect(step(config, away(2, 120_000), [4])).toMatchObject({
      change: { voters: [1, 3, 4], learners: [] },
    });
  });

  test('without anybody to take its place it stays: fewer voters bear fewer failures', () => {
    expect(step(configuration([1, 2, 3]), away(2, 1e6).slice(0, 3))).toBeUndefined();
  });

  test('a lost disk is replaced at once: the same node learns under a new seat', () => {
    const config = configuration([1, 2, 3]);
    expect(step(config, members(3), [], [3])).toEqual({ type: 'seat', node: nodeOf(3) });
    const learning = configuration([1, 2, 3], [4]);
    Object.assign(learning.members[3] ?? {}, { node: nodeOf(3) });
    expect(step(learning, members(3), [4], [3])).toMatchObject({ change: { voters: [1, 2, 4] } });
  });

  test('a lost learner goes', () => {
    expect(step(configuration([1, 2, 3], [4]), away(4, 1e6))).toMatchObject({
      change: { voters: [1, 2, 3], learners: [] },
    });
  });

  test('two that went away on purpose leave one, which goes on alone; two that died do not', () => {
    const config = configuration([1, 2, 3]);
    const all = (state: 'gone' | 'dead') => [member(1), member(2), member(3, { state })];
    expect(step(config, all('gone'))).toMatchObject({ change: { voters: [1], learners: [] } });
    expect(step(config, all('dead'))).toBeUndefined();
  });

  test('a node that only starts anew costs the group nothing', () => {
    const all = [member(1), member(2), member(3, { state: 'gone', forMs: 5_000 })];
    expect(step(configuration([1, 2, 3]), all)).toBeUndefined();
  });

  test('one change at a time, and only by a leader that has decided something', () => {
    const config = configuration([1], [2, 3]);
    const caughtUpMs = new Map([
      [2, 1e6],
      [3, 1e6],
    ]);
    const rest = { members: members(3), emptySeats: new Set<Seat>(), caughtUpMs };
    for (const not of [
      { isConfigCommitted: false },
      { isSettled: false },
      { isTransferring: true },
    ]) {
      expect(nextPlacement({ view: view(config, not), ...rest }, patience)).toBeUndefined();
    }
    const joint = { ...config, outgoing: [1] };
    expect(nextPlacement({ view: view(joint), ...rest }, patience)).toBeUndefined();
  });

  test('whatever happens, the next voters are never two and never nobody', () => {
    for (let mask = 0; mask < 4 ** 5; mask += 1) {
      const all = members(5).map((one, at) => {
        const state =
          (['alive', 'dead', 'gone', 'alive'] as const)[(mask >> (2 * at)) & 3] ?? 'alive';
        return { ...one, state: at === 0 ? ('alive' as const) : state };
      });
      for (const config of [
        configuration([1, 2, 3], [4, 5]),
        configuration([1, 2, 3, 4, 5]),
        configuration([1], [2, 3]),
      ]) {
        const next = step(config, all, [2, 3, 4, 5], (mask & 3) === 3 ? [2] : []);
        if (next?.type !== 'change') continue;
        expect([1, 3, 5]).toContain(next.change.voters.length);
        expect(next.change.members.length).toBe(
          next.change.voters.length + next.change.learners.length,
        );
      }
    }
  });
});
