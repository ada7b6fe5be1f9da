/** Hosting by auction: whoever can bear most gets most, and the worst board gets none while others can. */

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { auctionReplicas, hostingCost } from '../../../src/protocol/placement/hosting.ts';
import type { HostingFacts } from '../../../src/protocol/placement/hosting.ts';

const idle: HostingFacts = {
  cores: 4,
  load: 0,
  agents: 0,
  freeShare: 0.8,
  temperatureC: 45,
  isThrottled: false,
  batteryShare: undefined,
};
const counts = (hosts: readonly { readonly node: string }[]): Record<string, number> => {
  const all: Record<string, number> = {};
  for (const { node } of hosts) all[node] = (all[node] ?? 0) + 1;
  return all;
};
const sites = (...facts: Partial<HostingFacts>[]) =>
  facts.map((one, at) => ({ id: `n${at}`, facts: { ...idle, ...one } }));

test('boards get shares by their cores, and equal ones equal shares', () => {
  expect(counts(auctionReplicas('a', 24, sites({ cores: 4 }, { cores: 2 }, { cores: 2 })))).toEqual(
    { n0: 12, n1: 6, n2: 6 },
  );
  expect(counts(auctionReplicas('a', 9, sites({}, {}, {})))).toEqual({ n0: 3, n1: 3, n2: 3 });
});

test.each([
  ['a loaded one', { load: 3 }],
  ['one that hosts many', { agents: 40 }],
  ['a hot one', { temperatureC: 90, load: 0.5 }],
  ['one that is held back', { isThrottled: true, load: 0.5 }],
  ['one on a low battery', { batteryShare: 0.1, load: 0.5 }],
  ['one without memory', { freeShare: 0.05, load: 0.5 }],
])('%s gets none while another is idle', (_, facts) => {
  expect(counts(auctionReplicas('a', 4, sites(facts, {})))).toEqual({ n1: 4 });
});

test('each bid is the lowest of its round, the cost of a node rises with what it takes, and the order of asking never decides', () => {
  const facts = fc.record({
    cores: fc.integer({ min: 1, max: 8 }),
    load: fc.double({ min: 0, max: 8, noNaN: true }),
    agents: fc.nat(50),
    freeShare: fc.double({ min: 0, max: 1, noNaN: true }),
    temperatureC: fc.option(fc.double({ min: 20, max: 100, noNaN: true }), { nil: undefined }),
    isThrottled: fc.option(fc.boolean(), { nil: undefined }),
    batteryShare: fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { nil: undefined }),
  });
  fc.assert(
    fc.property(fc.array(facts, { minLength: 1, maxLength: 6 }), fc.nat(20), (all, replicas) => {
      const bidding = all.map((one, at) => ({ id: `n${at}`, facts: one }));
      const hosts = auctionReplicas('a', replicas, bidding);
      expect(hosts).toHaveLength(replicas);
      expect(auctionReplicas('a', replicas, bidding.toReversed())).toEqual(hosts);
      const taken = new Map<string, number>();
      for (const { node, cost } of hosts) {
        for (const { id, facts: one } of bidding) {
          expect(cost).toBeLessThanOrEqual(hostingCost(one, taken.get(id) ?? 0));
          expect(hostingCost(one, 1)).toBeGreaterThan(hostingCost(one, 0));
        }
        taken.set(node, (taken.get(node) ?? 0) + 1);
      }
    }),
  );
});

test('without bids nobody hosts', () => {
  expect(auctionReplicas('a', 3, [])).toEqual([]);
});
