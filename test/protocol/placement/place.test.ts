import fc from 'fast-check';
import { expect, test } from 'vitest';
import { placeReplicas } from '../../../src/protocol/placement/place.ts';

const site = (id: string, zone: string) => ({ id, zone });
const counts = (values: readonly (string | undefined)[]): number[] => {
  const found = new Map<string | undefined, number>();
  for (const value of values) found.set(value, (found.get(value) ?? 0) + 1);
  return [...found.values()].toSorted((one, other) => one - other);
};

test('replicas are spread over zones before they are spread over nodes', () => {
  const sites = [
    site('a1', 'a'),
    site('a2', 'a'),
    site('a3', 'a'),
    site('b1', 'b'),
    site('c1', 'c'),
  ];
  const zoneOf = new Map(sites.map(({ id, zone }) => [id, zone]));
  const three = placeReplicas('agent', 3, sites, []);
  expect(counts(three.map((id) => zoneOf.get(id ?? '')))).toEqual([1, 1, 1]);
  const six = placeReplicas('agent', 6, sites, []);
  expect(counts(six.map((id) => zoneOf.get(id ?? '')))).toEqual([2, 2, 2]);
  // Within the zone of three nodes, two replicas are on two nodes.
  expect(new Set(six.filter((id) => zoneOf.get(id ?? '') === 'a')).size).toBe(2);
});

test('holders keep what they hold; the rest is level over zones, and over nodes where there is one zone', () => {
  const ids = ['n0', 'n1', 'n2', 'n3', 'n4'] as const;
  const zones = fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 5, maxLength: 5 });
  fc.assert(
    fc.property(
      zones,
      fc.integer({ min: 1, max: 30 }),
      fc.array(fc.option(fc.constantFrom(...ids, 'gone'), { nil: undefined }), { maxLength: 30 }),
      fc.boolean(),
      (zone, replicas, held, isZoned) => {
        const sites = ids.map((id, at) => (isZoned ? { id, zone: zone[at] ?? '' } : { id }));
        const placed = placeReplicas<string>('agent', replicas, sites, held);
        expect(placed).toHaveLength(replicas);
        for (const [at, holder] of held.slice(0, replicas).entries()) {
          if (holder !== undefined && holder !== 'gone') expect(placed[at]).toBe(holder);
        }
        if (held.length > 0) return;
        const groups = isZoned ? placed.map((id) => zone[ids.indexOf(id as 'n0')]) : placed;
        const [fewest = 0] = counts(groups);
        const most = counts(groups).at(-1) ?? 0;
        const groupCount = isZoned ? new Set(zone).size : ids.length;
        if (replicas >= groupCount) expect(most - fewest).toBeLessThanOrEqual(1);
        else expect(most).toBe(1);
      },
    ),
  );
});
