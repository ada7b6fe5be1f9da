import fc from 'fast-check';
import { expect, test } from 'vitest';
import { AscendingMap } from '../../src/kernel/ascending-map.ts';

test('it is a map, whatever numbers come', () => {
  const numbers = fc.oneof(
    fc.integer({ min: 0, max: 40 }),
    fc.integer({ min: 0, max: 5_000 }),
    fc.maxSafeNat(),
  );
  const action = fc.record({
    number: numbers,
    what: fc.constantFrom('set', 'set', 'delete', 'clear'),
  });
  fc.assert(
    fc.property(fc.array(action, { maxLength: 200 }), (actions) => {
      const map = new AscendingMap<{ number: number }>();
      const model = new Map<number, { number: number }>();
      for (const { number, what } of actions) {
        const value = { number };
        if (what === 'set') {
          map.set(number, value);
          model.set(number, value);
        } else if (what === 'delete') expect(map.delete(number)).toBe(model.delete(number));
        else if (number % 7 === 0) {
          map.clear();
          model.clear();
        }
        expect(map.size).toBe(model.size);
        expect(map.has(number)).toBe(model.has(number));
        expect(map.get(number)).toBe(model.get(number));
      }
      expect(new Set(map.values())).toEqual(new Set(model.values()));
    }),
  );
});

test('many that stay and many that go keep apart', () => {
  const map = new AscendingMap<{ number: number }>();
  const model = new Map<number, { number: number }>();
  for (let number = 1; number <= 20_000; number += 1) {
    const value = { number };
    map.set(number, value);
    model.set(number, value);
    const gone = number - 50;
    if (gone % 10 !== 0) expect(map.delete(gone)).toBe(model.delete(gone));
  }
  expect(map.size).toBe(model.size);
  for (const [number, value] of model) expect(map.get(number)).toBe(value);
  for (const number of model.keys()) expect(map.delete(number)).toBe(true);
  expect([...map.values()]).toEqual([]);
});

test('entries may be removed while they are gone through', () => {
  const map = new AscendingMap<{ number: number }>();
  for (let number = 0; number < 3_000; number += 1) map.set(number, { number });
  let seen = 0;
  for (const { number } of map.values()) {
    map.delete(number);
    seen += 1;
  }
  expect([seen, map.size]).toEqual([3_000, 0]);
});
