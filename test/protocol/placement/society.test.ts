import fc from 'fast-check';
import { expect, test } from 'vitest';
import { adaptiveMeshMax, neighboursOf } from '../../../src/protocol/placement/society.ts';
import type { SocietyShape } from '../../../src/protocol/placement/society.ts';

const members = (count: number): string[] => Array.from({ length: count }, (_, at) => `a#${at}`);
const numbers = (shape: SocietyShape, count: number, self: number): number[] =>
  neighboursOf(shape, members(count), `a#${self}`).map((name) => Number(name.slice(2)));

test.each([
  ['mesh', 4, 1, [0, 2, 3]],
  ['ring', 5, 0, [4, 1]],
  ['ring', 2, 0, [1]],
  ['ring', 1, 0, []],
  ['tree', 7, 0, [1, 2]],
  ['tree', 7, 1, [0, 3, 4]],
  ['tree', 12, 10, [4]],
  ['adaptive', adaptiveMeshMax, 0, [1, 2, 3, 4, 5, 6, 7]],
  ['adaptive', 9, 0, [1, 2, 3]],
  ['adaptive', 9, 2, [0, 7, 8]],
] as const)('%s of %i, member %i', (shape, count, self, wanted) => {
  expect(numbers(shape, count, self)).toEqual(wanted);
});

test('neighbourhood is mutual, and every society is connected, whoever is a member', () => {
  const shapes = fc.constantFrom<SocietyShape>('mesh', 'ring', 'tree', 'adaptive');
  const some = fc.uniqueArray(fc.nat(200), { minLength: 1, maxLength: 40 });
  fc.assert(
    fc.property(shapes, some, (shape, chosen) => {
      const all = chosen.map((number) => `a#${number}`);
      const reached = new Set<string>([all[0] ?? '']);
      for (const one of reached) {
        const near = neighboursOf(shape, all, one);
        expect(near).not.toContain(one);
        expect(new Set(near).size).toBe(near.length);
        for (const other of near) {
          expect(neighboursOf(shape, all, other)).toContain(one);
          reached.add(other);
        }
      }
      expect(reached.size).toBe(all.length);
    }),
  );
});

test('who is no member has no neighbours', () => {
  expect(neighboursOf('mesh', members(3), 'b#0')).toEqual([]);
});
