/** The rumour core: one delivery, interest that cools, bounds, the laws, and a lossy network. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Core } from '../../../src/kernel/core.ts';
import type { NodeId } from '../../../src/kernel/ids.ts';
import { createRandom } from '../../../src/kernel/random.ts';
import {
  createRumours,
  rumourAsksPerPeriodMax,
  rumourIdLengthMax,
  rumourPeersMax,
} from '../../../src/protocol/broadcast/rumour.ts';
import type {
  RumourConfig,
  RumourEffect,
  RumourInput,
  RumourView,
} from '../../../src/protocol/broadcast/rumour.ts';
import { describeLaws } from '../../laws/laws.ts';
import { conditions, createWorld } from '../../sim/world.ts';
import type { HostAdapter } from '../../sim/world.ts';

type Site = Core<RumourInput<string>, RumourEffect<string>, RumourView>;

const [ann, bob, cyd] = ['ann', 'bob', 'cyd'] as NodeId[] as [NodeId, NodeId, NodeId];

function siteWith(config: RumourConfig, peers: readonly NodeId[] = [bob]): Site {
  const site = createRumours<string>({ periodMs: 100, ...config }, createRandom(1));
  site.step(0, { type: 'peers', ids: peers });
  return site;
}

const news = { id: 'r1', item: 'revoke x' };

describe('hearing', () => {
  test('a rumour told three times is delivered once', () => {
    const site = siteWith({});
    const told = (at: number): readonly RumourEffect<string>[] =>
      site.step(at, { type: 'received', from: bob, ...news });
    expect(told(1)).toContainEqual({ type: 'deliver', ...news });
    expect([...told(2), ...told(500)].filter(({ type }) => type === 'deliver')).toEqual([]);
  });

  test('two tellers of one cycle both brought news, a later one did not', () => {
    const site = siteWith({});
    const answer = (at: number, from: NodeId): unknown =>
      site.step(at, { type: 'received', from, ...news }).find(({ type }) => type === 'answer');
    expect(answer(1, bob)).toEqual({ type: 'answer', to: bob, id: 'r1', wasNew: true });
    expect(answer(50, cyd)).toMatchObject({ to: cyd, wasNew: true });
    site.step(101, { type: 'tick' });
    expect(answer(102, bob)).toMatchObject({ wasNew: false });
  });

  test('a blind site answers nobody', () => {
    const site = siteWith({ judge: 'blind' });
    expect(site.step(1, { type: 'received', from: bob, ...news })).toEqual([
      { type: 'deliver', ...news },
    ]);
  });

  test('a name that is too long is ignored', () => {
    const site = siteWith({});
    const id = 'x'.repeat(rumourIdLengthMax + 1);
    expect(site.step(1, { type: 'received', from: bob, id, item: '' })).toEqual([]);
    expect(site.view().knownCount).toBe(0);
  });

  test('own news is spread, not delivered to itself', () => {
    const site = siteWith({});
    expect(site.step(0, { type: 'learned', ...news })).toEqual([]);
    expect(site.deadline()).toBe(100);
    expect(site.step(100, { type: 'tick' })).toEqual([{ type: 'push', to: bob, ...news }]);
  });
});

describe('interest', () => {
  /** Pushes once per answer and returns after how many pushes the site fell silent. */
  function pushesUntilSilent(config: RumourConfig, answers: (at: number) => boolean[]): number {
    const site = siteWith(config);
    site.step(0, { type: 'learned', ...news });
    for (let pushes = 0; ;) {
      const now = site.deadline();
      if (now === Infinity) return pushes;
      pushes += site.step(now, { type: 'tick' }).length;
      for (const wasNew of answers(pushes)) {
        site.step(now + 1, { type: 'answered', from: bob, id: 'r1', wasNew });
      }
    }
  }

  test('ends after k useless tellings in a row', () => {
    expect(pushesUntilSilent({ k: 3 }, () => [false])).toBe(3);
  });

  test('begins anew with a useful telling', () => {
    expect(pushesUntilSilent({ k: 3 }, (at) => [at === 2])).toBe(5);
  });

  test('is not ended by answers that nobody asked for', () => {
    expect(pushesUntilSilent({ k: 3 }, () => [false, false, false, false])).toBe(3);
    const site = siteWith({ k: 1 });
    site.step(0, { type: 'learned', ...news });
    site.step(1, { type: 'answered', from: cyd, id: 'r1', wasNew: false });
    site.step(1, { type: 'answered', from: cyd, id: 'other', wasNew: false });
    expect(site.step(100, { type: 'tick' })).toHaveLength(1);
  });

  test('ends at the named bound when peers never answer, or always say it was new', () => {
    expect(pushesUntilSilent({ sendsMax: 7 }, () => [])).toBe(7);
    expect(pushesUntilSilent({ sendsMax: 7 }, () => [true])).toBe(7);
  });

  test('of a blind counter ends after k tellings', () => {
    expect(pushesUntilSilent({ judge: 'blind', k: 4 }, () => [])).toBe(4);
  });

  test('of a coin with k = 1 ends with the first telling that costs', () => {
    expect(pushesUntilSilent({ loss: 'coin', k: 1 }, (at) => [at < 6])).toBe(6);
  });
});

describe('bounds', () => {
  test('a site without peers keeps its news and spreads it when peers come', () => {
    const site = siteWith({}, []);
    site.step(0, { type: 'learned', ...news });
    expect(site.deadline()).toBe(Infinity);
    site.step(5_000, { type: 'peers', ids: [bob] });
    expect(site.step(site.deadline(), { type: 'tick' })).toEqual([
      { type: 'push', to: bob, ...news },
    ]);
  });

  test('a site with nothing to tell sleeps when pushing and asks when pulling', () => {
    expect(siteWith({}).deadline()).toBe(Infinity);
    const site = siteWith({ exchange: 'pull' });
    expect(site.step(100, { type: 'tick' })).toEqual([{ type: 'ask', to: bob }]);
    expect(site.deadline()).toBe(200);
  });

  test('one rumour too many cools the oldest and is counted', () => {
    const site = siteWith({ rumoursMax: 2 });
    for (const id of ['r1', 'r2', 'r3']) site.step(0, { type: 'learned', id, item: id });
    expect(site.view()).toMatchObject({ evictedCount: 1, knownCount: 3 });
    expect(site.view().hot.map(({ id }) => id)).toEqual(['r2', 'r3']);
  });

  test('peers beyond the bound are left out', () => {
    const ids = Array.from({ length: rumourPeersMax + 5 }, (_, at) => `peer-${at}` as NodeId);
    expect(siteWith({}, ids).view().peerCount).toBe(rumourPeersMax);
  });

  test('a flood of asks is served up to the bound, each period anew', () => {
    const site = siteWith({ exchange: 'pull', sendsMax: 1_000 });
    site.step(0, { type: 'learned', ...news });
    site.step(100, { type: 'tick' });
    const flood = (at: number): number => {
      let pushes = 0;
      for (let ask = 0; ask < 100; ask += 1) {
        pushes += site.step(at, { type: 'asked', from: cyd }).length;
      }
      return pushes;
    };
    expect(flood(101)).toBe(rumourAsksPerPeriodMax);
    site.step(200, { type: 'tick' });
    expect(flood(201)).toBe(rumourAsksPerPeriodMax);
  });

  test('a site that only pushes serves no asks', () => {
    const site = siteWith({});
    site.step(0, { type: 'learned', ...news });
    site.step(100, { type: 'tick' });
    expect(site.step(101, { type: 'asked', from: cyd })).toEqual([]);
  });
});

const names = fc.constantFrom(ann, bob, cyd);
const ids = fc.constantFrom('r1', 'r2', 'r3', 'r4', 'r5', 'r6');
const inputs: fc.Arbitrary<RumourInput<string>> = fc.oneof(
  { weight: 4, arbitrary: fc.constant({ type: 'tick' } as const) },
  fc.record({ type: fc.constant('peers' as const), ids: fc.subarray([bob, cyd]) }),
  fc.record({ type: fc.constant('learned' as const), id: ids, item: fc.string() }),
  fc.record({ type: fc.constant('received' as const), from: names, id: ids, item: fc.string() }),
  fc.record({ type: fc.constant('answered' as const), from: names, id: ids, wasNew: fc.boolean() }),
  fc.record({ type: fc.constant('asked' as const), from: names }),
);
const strange = fc.oneof(
  fc.string(),
  fc.constant('__proto__'),
  fc.constant('x'.repeat(10_000)),
) as fc.Arbitrary<NodeId>;
const hostile: fc.Arbitrary<RumourInput<string>> = fc.oneof(
  fc.record({ type: fc.constant('peers' as const), ids: fc.array(strange) }),
  fc.record({
    type: fc.constantFrom('received' as const),
    from: strange,
    id: strange,
    item: fc.anything() as fc.Arbitrary<string>,
  }),
  fc.record({
    type: fc.constant('answered' as const),
    from: strange,
    id: fc.oneof(strange, ids),
    wasNew: fc.anything() as fc.Arbitrary<boolean>,
  }),
  fc.record({ type: fc.constant('asked' as const), from: strange }),
);

for (const config of [
  { exchange: 'push' },
  { exchange: 'pull' },
  { exchange: 'push', judge: 'blind', loss: 'coin', k: 2 },
] as const) {
  describeLaws(`a rumour site (${Object.values(config).join(', ')})`, {
    create: (seed) => createRumours<string>({ ...config, rumoursMax: 4 }, createRandom(seed)),
    inputs,
    hostile,
    // A delivery and an answer, or four pushes for an ask, and four pushes of a cycle.
    effectsPerStepMax: 8,
  });
}

interface Packet {
  readonly type: 'push' | 'answer';
  readonly id: string;
  readonly wasNew: boolean;
}

function rumourHost(
  self: NodeId,
  everyone: readonly NodeId[],
): HostAdapter<Packet, RumourInput<null>, RumourEffect<null>, RumourView> {
  return {
    tick: { type: 'tick' },
    build({ random }) {
      const site = createRumours<null>({}, random);
      site.step(0, { type: 'peers', ids: everyone.filter((id) => id !== self) });
      return site;
    },
    receive: (sender, { type, id, wasNew }) => {
      const from = sender as NodeId;
      if (type === 'push') return { type: 'received', from, id, item: null };
      return { type: 'answered', from, id, wasNew };
    },
    run(effect, tools) {
      if (effect.type === 'deliver') tools.note('delivered', effect.id);
      else if (effect.type === 'push') {
        tools.send(effect.to, { type: 'push', id: effect.id, wasNew: false });
      } else if (effect.type === 'answer') {
        tools.send(effect.to, { type: 'answer', id: effect.id, wasNew: effect.wasNew });
      }
    },
  };
}

test('with one datagram in five lost a rumour still reaches nearly all, within three seconds, then silence', () => {
  const everyone = Array.from({ length: 60 }, (_, at) => `site-${at}` as NodeId);
  let reached = 0;
  for (let seed = 1; seed <= 40; seed += 1) {
    const network = { ...conditions.wifi, lossRate: 0.2 };
    const world = createWorld<Packet>({ seed, network });
    const hosts = everyone.map((self) => world.addHost(self, rumourHost(self, everyone)));
    hosts[0]?.feed({ type: 'learned', id: 'r1', item: null });
    world.runUntil(3_000);
    reached += (world.notes.get('delivered') ?? 0) + 1;
    world.runUntil(30_000);
    const sent = world.counters.sentTotal();
    world.runUntil(60_000);
    expect(world.counters.sentTotal()).toBe(sent);
  }
  expect(reached / (40 * everyone.length)).toBeGreaterThan(0.99);
});
