import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { nextInTurn } from '../../../src/protocol/routing/turns.ts';

const always = (): number => 0;

function round(candidates: readonly number[], turns: number): number[] {
  const chosen: number[] = [];
  let last: number | undefined;
  for (let turn = 0; turn < turns; turn += 1) {
    last = nextInTurn(candidates, last, always);
    if (last !== undefined) chosen.push(last);
  }
  return chosen;
}

describe('turns', () => {
  test('come to each candidate equally often', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(50), { minLength: 1 }), fc.nat(5), (all, rounds) => {
        const chosen = round(all, all.length * rounds);
        for (const one of all) expect(chosen.filter((other) => other === one)).toHaveLength(rounds);
      }),
    );
  });

  test('come to nobody twice before whoever is there all the time has had one, whoever comes and goes', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.nat(20), { minLength: 1, maxLength: 8 }),
        fc.array(fc.array(fc.nat(20), { maxLength: 8 }), { minLength: 1, maxLength: 60 }),
        (staying, guests) => {
          const since = new Map<number, Set<number>>();
          let last: number | undefined;
          for (const some of guests) {
            last = nextInTurn([...new Set([...staying, ...some])], last, always);
            if (last === undefined) expect.unreachable('somebody is there');
            const had = since.get(last);
            if (had !== undefined) {
              for (const one of staying) if (one !== last) expect(had).toContain(one);
            }
            for (const others of since.values()) others.add(last);
            since.set(last, new Set());
          }
        },
      ),
    );
  });

  test('go to the fittest, and to nobody who is not fit', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ id: fc.nat(30), rank: fc.constantFrom(0, 1, 2, Infinity) })),
        fc.option(fc.nat(30), { nil: undefined }),
        (all, last) => {
          const ranks = new Map(all.map(({ id, rank }) => [id, rank]));
          const chosen = nextInTurn(ranks.keys(), last, (one) => ranks.get(one) ?? Infinity);
          const least = Math.min(...ranks.values());
          if (chosen === undefined) expect(least).toBe(Infinity);
          else expect(ranks.get(chosen)).toBe(least);
        },
      ),
    );
  });
});
