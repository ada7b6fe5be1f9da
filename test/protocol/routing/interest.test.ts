import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { filterProblem, topicMatches } from '../../../src/kernel/topic.ts';
import {
  coveringFilters,
  covers,
  createInterestTable,
  filtersMax,
} from '../../../src/protocol/routing/interest.ts';
import { origins } from './arbitraries.ts';

const level = fc.constantFrom('a', 'b', '', '$x');
const topics = fc.array(level, { minLength: 1, maxLength: 4 }).map((levels) => levels.join('/'));
const filters = fc
  .array(fc.constantFrom('a', 'b', '', '+', '#', '$x'), { minLength: 1, maxLength: 4 })
  .map((levels) => levels.join('/'))
  .filter((filter) => filterProblem(filter) === undefined);

function wants(set: ReadonlySet<string> | 'everything', topic: string): boolean {
  return set === 'everything' || [...set].some((filter) => topicMatches(filter, topic));
}

describe('a filter that covers another', () => {
  test('matches every topic that the other one matches', () => {
    fc.assert(
      fc.property(filters, filters, fc.array(topics, { maxLength: 20 }), (wide, narrow, some) => {
        if (!covers(wide, narrow)) return;
        for (const topic of some) {
          if (topicMatches(narrow, topic)) expect(topicMatches(wide, topic), topic).toBe(true);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  test.each([
    ['#', 'a/b', true],
    ['a/#', 'a', true],
    ['a/#', 'a/+/c', true],
    ['a/+', 'a/b', true],
    ['+/+', 'a/+', true],
    ['#', '$x/a', false],
    ['+/a', '$x/a', false],
    ['a/+', 'a/#', false],
    ['a/+', 'a', false],
    ['a/b', 'a/+', false],
  ])('%s and %s: %s', (wide, narrow, isCovered) => {
    expect(covers(wide, narrow)).toBe(isCovered);
  });
});

describe('covering filters', () => {
  test('match what all of them match, and none covers another', () => {
    fc.assert(
      fc.property(
        fc.array(filters, { maxLength: 12 }),
        fc.array(topics, { maxLength: 20 }),
        (all, some) => {
          const least = coveringFilters(all);
          for (const topic of some) {
            expect(wants(least, topic), topic).toBe(wants(new Set(all), topic));
          }
          for (const one of least) {
            for (const other of least) if (one !== other) expect(covers(one, other)).toBe(false);
          }
        },
      ),
    );
  });

  test('are everything when they are too many or too long, which leaves nothing out', () => {
    const many = (count: number, length = 1): string[] =>
      Array.from({ length: count }, (_, at) => `${'x'.repeat(length)}/${at}`);
    expect(coveringFilters(many(filtersMax))).toHaveProperty('size', filtersMax);
    expect(coveringFilters(many(filtersMax + 1))).toBe('everything');
    expect(coveringFilters(many(20, 1000))).toBe('everything');
    expect(coveringFilters(many(100_000))).toBe('everything');
    expect(coveringFilters([...many(1_000), 'x/+'])).toEqual(new Set(['x/+']));
  });
});

describe('an interest table', () => {
  test('excludes exactly those who said that they want something else, for any history', () => {
    const move = fc.oneof(
      fc.record({
        kind: fc.constant('wish' as const),
        who: fc.nat(3),
        filters: fc.array(filters, { maxLength: 4 }),
        boot: fc.integer({ min: 1, max: 2 }),
      }),
      fc.record({ kind: fc.constant('joined' as const), who: fc.nat(3), boot: fc.nat(2) }),
      fc.record({ kind: fc.constant('forget' as const), who: fc.nat(3) }),
      fc.record({ kind: fc.constant('ask' as const), topic: topics }),
    );
    fc.assert(
      fc.property(fc.array(move, { maxLength: 60 }), (moves) => {
        const table = createInterestTable();
        const said = new Map<number, { boot: number; filters: ReadonlySet<string> }>();
        const boots = new Map<number, number>();
        for (const [version, next] of moves.entries()) {
          if (next.kind === 'ask') {
            const without = origins.filter((_node, at) => {
              const wish = said.get(at);
              if (wish === undefined || wish.boot < (boots.get(at) ?? 0)) return false;
              return !wants(wish.filters, next.topic);
            });
            const excluded = table.excluded(next.topic);
            expect([...(excluded ?? [])].sort()).toEqual([...without].sort());
            continue;
          }
          const node = origins[next.who];
          if (node === undefined) continue;
          if (next.kind === 'wish') {
            const wish = { boot: next.boot, filters: new Set(next.filters) };
            said.set(next.who, wish);
            table.set({ node, version, sinceMs: 0, ...wish });
          } else if (next.kind === 'joined') {
            boots.set(next.who, Math.max(next.boot, boots.get(next.who) ?? 0));
            table.joined(node, next.boot);
          } else {
            said.delete(next.who);
            boots.delete(next.who);
            table.forget(node);
          }
        }
      }),
      { numRuns: 300 },
    );
  });
});
