/** The bounded map equals a naive list of entries. */

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BoundedMap } from '../../src/kernel/bounded-map.ts';

const keys = fc.integer({ min: 0, max: 8 });
const calls = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.record({ call: fc.constant('set' as const), key: keys }) },
    fc.record({ call: fc.constant('delete' as const), key: keys }),
    { weight: 1, arbitrary: fc.constant({ call: 'clear' as const, key: 0 }) },
  ),
  { maxLength: 100 },
);

test('it behaves as a list that drops its oldest entry', () => {
  fc.assert(
    fc.property(fc.integer({ min: -2, max: 6 }), calls, (limit, history) => {
      const evicted: [number, number][] = [];
      const map = new BoundedMap<number, number>(limit, (key, value) => evicted.push([key, value]));
      let oracle: [number, number][] = [];
      const oracleEvicted: [number, number][] = [];
      for (const [at, { call, key }] of history.entries()) {
        const had = oracle.some(([known]) => known === key);
        if (call === 'clear') {
          map.clear();
          oracle = [];
        } else if (call === 'delete') {
          expect(map.delete(key)).toBe(had);
          oracle = oracle.filter(([known]) => known !== key);
        } else {
          map.set(key, at);
          oracle = [...oracle.filter(([known]) => known !== key), [key, at]];
          if (oracle.length > Math.max(1, limit)) oracleEvicted.push(...oracle.splice(0, 1));
        }
        expect([...map]).toEqual(oracle);
        expect([...map.keys()]).toEqual(oracle.map(([known]) => known));
        expect([...map.values()]).toEqual(oracle.map(([, value]) => value));
        expect([...map.entries()]).toEqual(oracle);
        expect(map.size).toBe(oracle.length);
        expect(map.has(key)).toBe(oracle.some(([known]) => known === key));
        expect(map.get(key)).toBe(oracle.find(([known]) => known === key)?.[1]);
      }
      expect(evicted).toEqual(oracleEvicted);
      expect(map.evictedCount).toBe(oracleEvicted.length);
    }),
  );
});
