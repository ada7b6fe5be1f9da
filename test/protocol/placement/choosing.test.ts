/** Selectors, balancing, breakers and rates: who may be asked, who is, and when nobody. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createRandom } from '../../../src/kernel/random.ts';
import { balanceOrder } from '../../../src/protocol/placement/balance.ts';
import type { Balance, Instance } from '../../../src/protocol/placement/balance.ts';
import { createBreaker, createRateLimit } from '../../../src/protocol/placement/breaker.ts';
import { parseSelector } from '../../../src/protocol/placement/selector.ts';

describe('selectors', () => {
  const lab = { labels: { category: 'camera', location: 'lab/2/door' }, capabilities: ['gpu'] };
  test.each([
    ['', true],
    ['category:camera', true],
    ['category:camera, location:lab/*', true],
    ['location:lab/*/door', true],
    ['location:*2*', true],
    ['location:lab/*/window', false],
    ['category:camera|sensor', true],
    ['category:sensor', false],
    ['gpu', true],
    ['npu', false],
    ['!npu, !category:sensor', true],
    ['!category:camera', false],
    ['owner:*', false],
    ['constructor:*', false],
  ])('%j on a camera in the lab: %s', (text, expected) => {
    const selector = parseSelector(text);
    if ('problem' in selector) throw new Error(selector.problem);
    expect(selector.matches(lab)).toBe(expected);
  });

  test.each([':x', 'a:', 'a,,b', '!', 'x'.repeat(600)])('%j is none, and says why', (text) => {
    expect(parseSelector(text)).toHaveProperty('problem');
  });

  test('any text is read or refused, and tried, without a throw', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (text, value) => {
        const selector = parseSelector(text);
        if ('matches' in selector)
          selector.matches({ labels: { a: value }, capabilities: [value] });
      }),
    );
  });
});

describe('balancing', () => {
  const instance = (id: string, more: Partial<Instance> = {}): Instance => ({
    id,
    isLocal: false,
    rttMs: 5,
    load: 0,
    ...more,
  });
  const first = (how: Balance, instances: Instance[], turn = 0, key = 'k', seed = 1) =>
    balanceOrder(how, instances, turn, key, createRandom(seed))[0]?.id;

  test('the local instance first, the least loaded otherwise', () => {
    const all = [
      instance('a', { load: 1 }),
      instance('b', { isLocal: true, load: 9 }),
      instance('c'),
    ];
    expect(first('local-first', all)).toBe('b');
    expect(first('least-loaded', all)).toBe('c');
    expect(
      first('least-loaded', [instance('a', { load: 4, weight: 8 }), instance('b', { load: 1 })]),
    ).toBe('a');
  });

  test('round-robin takes turns, latency the nearest, not measured ones last', () => {
    const all = [instance('b'), instance('a'), instance('c', { rttMs: 1 })];
    expect([0, 1, 2, 3].map((turn) => first('round-robin', all, turn))).toEqual([
      'a',
      'b',
      'c',
      'a',
    ]);
    expect(first('latency', all)).toBe('c');
    expect(first('latency', [instance('a', { rttMs: undefined }), instance('b')])).toBe('b');
  });

  test('weights decide how often, one key meets one instance while it lives', () => {
    const all = [
      instance('a', { weight: 3 }),
      instance('b', { weight: 1 }),
      instance('c', { weight: 0 }),
    ];
    let a = 0;
    for (let seed = 0; seed < 2_000; seed += 1) {
      const chosen = first('weighted', all, 0, 'k', seed);
      if (chosen === 'a') a += 1;
      expect(chosen).not.toBe('c');
    }
    expect(a / 2_000).toBeCloseTo(0.75, 1);
    const equal = ['a', 'b', 'c'].map((id) => instance(id));
    for (let key = 0; key < 50; key += 1) {
      const home = first('consistent-hash', equal, 0, `k${key}`);
      const others = equal.filter(({ id }) => id === home || id === 'a');
      expect(first('consistent-hash', others, 7, `k${key}`, 9)).toBe(home);
    }
  });

  test('no strategy loses or invents an instance', () => {
    const strategies: Balance[] = [
      'local-first',
      'round-robin',
      'least-loaded',
      'latency',
      'weighted',
      'consistent-hash',
    ];
    for (const how of strategies) {
      const all = ['d', 'a', 'c', 'b'].map((id) => instance(id));
      const order = balanceOrder(how, all, 3, 'k', createRandom(1)).map(({ id }) => id);
      expect(order.toSorted()).toEqual(['a', 'b', 'c', 'd']);
    }
  });
});

describe('the breaker', () => {
  const broken = () => {
    const breaker = createBreaker({ failuresMax: 3, openMs: 100 });
    for (let at = 0; at < 3; at += 1) breaker.failed(at);
    return breaker;
  };

  test('failures in a row open it, one call tries, and success closes it', () => {
    const breaker = broken();
    expect(breaker.admits(50)).toBe(false);
    expect(breaker.state(102)).toBe('half-open');
    expect([breaker.admits(102), breaker.admits(103)]).toEqual([true, false]);
    breaker.succeeded(110);
    expect(breaker.state(110)).toBe('closed');
  });

  test('a failed try opens it for longer, an abandoned one lets the next try', () => {
    const breaker = broken();
    breaker.admits(102);
    breaker.abandoned();
    expect(breaker.admits(103)).toBe(true);
    breaker.failed(110);
    expect(breaker.state(309)).toBe('open');
    expect(breaker.state(310)).toBe('half-open');
  });

  test('half of all calls failing opens it, a failure now and then does not', () => {
    const flaky = createBreaker({});
    for (let at = 0; at < 10; at += 1) {
      if (at % 2 === 0) flaky.succeeded(at);
      else flaky.failed(at);
    }
    expect(flaky.state(10)).toBe('open');
    const good = createBreaker({});
    for (let at = 0; at < 100; at += 1) {
      if (at % 5 === 0) good.failed(at);
      else good.succeeded(at);
    }
    expect(good.state(100)).toBe('closed');
  });
});

test('a rate lets a burst through, then as many a second as it says', () => {
  const rate = createRateLimit(10, 5);
  const passed = (from: number, to: number): number => {
    let count = 0;
    for (let now = from; now < to; now += 1) if (rate.take(now)) count += 1;
    return count;
  };
  expect(passed(0, 10)).toBe(5);
  expect(passed(10, 1_010)).toBeGreaterThanOrEqual(9);
  expect(passed(1_010, 2_010)).toBeLessThanOrEqual(11);
});
