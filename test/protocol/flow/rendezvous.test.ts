/** Everybody who knows the same places agrees who owns a key; few keys move; nobody is overloaded. */

import fc from 'fast-check';
import { expect, test } from 'vitest';

import { rendezvous } from '../../../src/protocol/flow/rendezvous.ts';

const ids = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 28 }), {
  minLength: 1,
  maxLength: 8,
});
const idle = (names: readonly string[]): { id: string; load: number }[] =>
  names.map((id) => ({ id, load: 0 }));

test('the order does not depend on who lists the places how', () => {
  fc.assert(
    fc.property(fc.string(), ids, (key, names) => {
      const order = rendezvous(key, idle(names));
      expect(rendezvous(key, idle(names.toReversed()))).toEqual(order);
      expect(new Set(order)).toEqual(new Set(names));
    }),
  );
});

test('when a place goes, only its keys move, and each to its second choice', () => {
  fc.assert(
    fc.property(fc.string(), ids, fc.nat(), (key, names, which) => {
      const gone = names[which % names.length] as string;
      const before = rendezvous(key, idle(names));
      expect(rendezvous(key, idle(names.filter((name) => name !== gone)))).toEqual(
        before.filter((name) => name !== gone),
      );
    }),
  );
});

test('keys spread over the places', () => {
  const counts = new Map<string, number>();
  for (let key = 0; key < 3000; key += 1) {
    const [owner = ''] = rendezvous(`key ${key}`, idle(['a', 'b', 'c']));
    counts.set(owner, (counts.get(owner) ?? 0) + 1);
  }
  for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(150);
});

test('a place with more than a quarter above the mean is passed over', () => {
  fc.assert(
    fc.property(fc.string(), (key) => {
      expect(
        rendezvous(key, [
          { id: 'a', load: 60 },
          { id: 'b', load: 20 },
          { id: 'c', load: 20 },
        ]).at(-1),
      ).toBe('a');
    }),
  );
});
