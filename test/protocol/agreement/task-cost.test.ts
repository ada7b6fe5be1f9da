import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  hotC,
  missedWishMs,
  taskCost,
  unknownTaskMs,
  warmC,
} from '../../../src/protocol/agreement/task-cost.ts';
import type { BidFacts } from '../../../src/protocol/agreement/task-cost.ts';

const idle: BidFacts = {
  queue: 0,
  meanMs: 100,
  load: 0,
  cores: 4,
  temperatureC: undefined,
  isThrottled: undefined,
  batteryShare: undefined,
  rttMs: 0,
  wishes: 0,
  wishesMet: 0,
};
const cost = (change: Partial<BidFacts>, hint?: number): number =>
  taskCost({ ...idle, ...change }, hint).cost;

describe('the predicted cost of a task', () => {
  test.each([
    ['an idle board: what it took before', {}, 100],
    ['never done here, without a hint', { meanMs: undefined }, unknownTaskMs],
    ['one load a core changes nothing', { load: 4 }, 100],
    ['two loads a core: twice', { load: 8 }, 200],
    ['tasks in hand count as load', { load: 4, queue: 4 }, 200],
    ['warm', { temperatureC: warmC }, 100],
    ['hot: twice', { temperatureC: hotC }, 200],
    ['hotter is not worse', { temperatureC: 200 }, 200],
    ['throttled: twice', { isThrottled: true }, 200],
    ['half a battery: twice', { batteryShare: 0.5 }, 200],
    ['an empty one: three times', { batteryShare: 0 }, 300],
    ['far away', { rttMs: 40 }, 140],
    ['a wish not met', { wishes: 2, wishesMet: 1 }, 100 + missedWishMs],
  ] as const)('%s', (_, change, wanted) => expect(cost(change)).toBeCloseTo(wanted, 3));

  test('the hint counts only where nothing was measured', () => {
    expect(cost({ meanMs: undefined }, 40)).toBe(40);
    expect(cost({}, 40)).toBe(100);
  });

  test('more of anything bad never makes a bid better, and every bid is finite', () => {
    const share = fc.double({ min: 0, max: 1, noNaN: true });
    const many = fc.double({ min: 0, max: 1_000, noNaN: true });
    fc.assert(
      fc.property(
        many,
        many,
        share,
        many,
        many,
        (load, temperatureC, batteryShare, rttMs, more) => {
          const before = cost({ load, temperatureC, batteryShare, rttMs });
          expect(Number.isFinite(before)).toBe(true);
          expect(
            cost({ load: load + more, temperatureC, batteryShare, rttMs }),
          ).toBeGreaterThanOrEqual(before);
          expect(
            cost({ load, temperatureC: temperatureC + more, batteryShare, rttMs }),
          ).toBeGreaterThanOrEqual(before);
          expect(
            cost({ load, temperatureC, batteryShare: batteryShare / 2, rttMs }),
          ).toBeGreaterThanOrEqual(before);
          expect(
            cost({ load, temperatureC, batteryShare, rttMs: rttMs + more }),
          ).toBeGreaterThanOrEqual(before);
        },
      ),
    );
  });
});
