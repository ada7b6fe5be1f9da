/** The timer table holds one deadline per name and gives each back once, soonest first. */

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { TimerTable } from '../../src/kernel/timer-table.ts';

const names = fc.constantFrom('probe', 'suspect', 'gossip', 'sync');
const instants = fc.oneof(fc.integer({ min: 0, max: 20 }), fc.constant(Infinity));
const calls = fc.array(
  fc.oneof(
    fc.record({ call: fc.constant('set' as const), name: names, at: instants }),
    fc.record({ call: fc.constant('stop' as const), name: names, at: instants }),
    fc.record({
      call: fc.constant('due' as const),
      name: names,
      at: fc.integer({ min: 0, max: 20 }),
    }),
  ),
);

test('it equals a record of deadlines', () => {
  fc.assert(
    fc.property(calls, (history) => {
      const table = new TimerTable<string>();
      const oracle = new Map<string, number>();
      for (const { call, name, at } of history) {
        if (call === 'set') {
          table.set(name, at);
          oracle.set(name, at);
        } else if (call === 'stop') {
          table.stop(name);
          oracle.delete(name);
        } else {
          const rung = table.due(at).map((due) => [due, oracle.get(due) ?? NaN] as const);
          const expected = [...oracle].filter(([, deadline]) => deadline <= at);
          expect(new Map(rung)).toEqual(new Map(expected));
          expect(rung.map(([, deadline]) => deadline)).toEqual(
            expected.map(([, deadline]) => deadline).sort((left, right) => left - right),
          );
          for (const [due] of expected) oracle.delete(due);
          expect(table.next()).toBeGreaterThan(at);
        }
        expect(table.next()).toBe(Math.min(Infinity, ...oracle.values()));
        expect(table.get(name)).toBe(oracle.get(name));
      }
    }),
  );
});
