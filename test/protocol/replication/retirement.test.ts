import { expect, test } from 'vitest';
import type { NodeId } from '../../../src/kernel/ids.ts';
import { ReplicaState } from '../../../src/protocol/replication/replica-state.ts';
import { addressOf } from '../../../src/protocol/replication/cell.ts';
import {
  Retirement,
  retiredKeptMs,
  retiredMax,
} from '../../../src/protocol/replication/retirement.ts';
import { assign, clear } from '../../../src/protocol/replication/writes.ts';

const owners = (...names: readonly string[]): NodeId[] => names as NodeId[];
const never = (): boolean => false;

test('retired: nothing is live, and the node is gone or has a later life; never the newest own name, nor anybody before members are known', () => {
  const replicas = ['ann:1.x', 'ann:a.y', 'ann:10.z', 'bob:1.x', 'eve:1.x', 'me:1.x', 'me:2.x'];
  const retirement = new Retirement();
  expect(retirement.among(replicas, 'me:2.x', never)).toEqual(new Set());
  retirement.setOwners(owners('ann', 'bob'));
  // The life of ann is base 36: 10 comes after a.
  expect(retirement.among(replicas, 'me:2.x', never)).toEqual(
    new Set(['ann:1.x', 'ann:a.y', 'eve:1.x', 'me:1.x']),
  );
  const isLive = (replica: string): boolean => replica === 'ann:1.x';
  expect(retirement.among(replicas, 'me:2.x', isLive)).toEqual(
    new Set(['ann:a.y', 'eve:1.x', 'me:1.x']),
  );
  retirement.setOwners(owners('ann', 'bob', 'eve'));
  expect(retirement.among(replicas, 'me:2.x', never)).toEqual(
    new Set(['ann:1.x', 'ann:a.y', 'me:1.x']),
  );
});

test('they are forgotten after 90 days of being retired without a break, and the first ones beyond 4096', () => {
  const retirement = new Retirement();
  expect(retirement.settle(new Set(['a', 'b']), 0)).toEqual({ fresh: ['a', 'b'], over: [] });
  expect(retirement.settle(new Set(['b']), 1_000)).toEqual({ fresh: [], over: [] });
  expect(retirement.settle(new Set(['a', 'b']), retiredKeptMs - 1)).toEqual({
    fresh: ['a'],
    over: [],
  });
  expect(retirement.settle(new Set(['a', 'b']), retiredKeptMs)).toEqual({ fresh: [], over: ['b'] });
  const many = Array.from({ length: retiredMax + 3 }, (_, at) => `many ${at}`);
  const crowded = new Retirement();
  crowded.restore('many 7', 5);
  crowded.restore('many 9', 4);
  const { fresh, over } = crowded.settle(new Set(many), 10);
  expect(over).toEqual(['many 9', 'many 7', 'many 0']);
  expect(fresh).toEqual(many.filter((name) => !over.includes(name) && name !== 'many 0'));
  expect(crowded.entries()).toHaveLength(retiredMax);
});

test('a state is told without retired replicas, knows their writes as before, and gives them up when they are over', () => {
  const state = new ReplicaState();
  const address = addressOf('register', ['switch']);
  const at = { wallMs: 1, count: 0 };
  const old = state.write('eve:1.x', address, assign(1), at);
  state.beginLife('ann:1.x', 1);
  state.setOwners(owners('bob'));
  const names = (): string[] => state.told().map(([replica]) => replica);
  expect(names()).toEqual(['eve:1.x']);
  state.write('ann:1.x', address, clear(), at);
  expect(names()).toEqual([]);
  expect(state.retire(1_000)).toEqual(['eve:1.x']);
  expect(state.join(old).fresh).toBeUndefined();
  // What it writes after it was only away is news, and it is one of those that are told again.
  const news = { address, live: [{ replica: 'eve:1.x', count: 2, at, value: 2 }], dead: [] };
  expect(state.join(news).fresh).toEqual(news);
  expect(names()).toEqual(['eve:1.x']);
  state.write('ann:1.x', address, assign(3), at);
  expect(state.retire(2_000)).toEqual([]);
  expect(state.retire(2_000 + retiredKeptMs)).toEqual([]);
  expect(state.context.replicas()).toEqual(['ann:1.x']);
  expect(state.retired()).toEqual([]);
});
