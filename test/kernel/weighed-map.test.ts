import fc from 'fast-check';
import { expect, test } from 'vitest';
import { WeighedMap } from '../../src/kernel/weighed-map.ts';

const limits = { count: 5, weight: 20 };

test('it holds the longest end of what was written that keeps to both limits, and the youngest in any case', () => {
  const action = fc.record({
    key: fc.integer({ min: 0, max: 9 }),
    weight: fc.integer({ min: 0, max: 30 }),
    isRemoval: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
      const map = new WeighedMap<number, number>(limits, (weight) => weight);
      let model: { key: number; weight: number }[] = [];
      let evicted = 0;
      const sum = (): number => model.reduce((all, { weight }) => all + weight, 0);
      for (const { key, weight, isRemoval } of actions) {
        const had = model.some((one) => one.key === key);
        model = model.filter((one) => one.key !== key);
        if (isRemoval) expect(map.delete(key)).toBe(had);
        else {
          model.push({ key, weight });
          map.set(key, weight);
          while (model.length > 1 && (model.length > limits.count || sum() > limits.weight)) {
            model.shift();
            evicted += 1;
          }
        }
        expect([...map.keys()]).toEqual(model.map((one) => one.key));
        expect(map.weight).toBe(sum());
        expect([map.size, map.evictedCount]).toEqual([model.length, evicted]);
        for (const one of model) expect(map.get(one.key)).toBe(one.weight);
      }
    }),
  );
});
