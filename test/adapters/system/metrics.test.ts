import { describe, expect, test } from 'vitest';
import { createMetrics, metricNamesMax } from '../../../src/adapters/system/metrics.ts';

describe('metrics', () => {
  test('add up counters and drops by reason, and keep the last value of a gauge', () => {
    const metrics = createMetrics();
    metrics.count('link.frames.in');
    metrics.count('link.frames.in', 4);
    metrics.gauge('loop.lag_ms', 3);
    metrics.gauge('loop.lag_ms', 1);
    metrics.drop('datagram', 'rate');
    metrics.drop('datagram', 'rate', 2);
    metrics.drop('outbox', 'rate');
    expect(metrics.snapshot()).toEqual({
      counters: { 'link.frames.in': 5 },
      gauges: { 'loop.lag_ms': 1 },
      drops: { 'datagram: rate': 3, 'outbox: rate': 1 },
    });
  });

  test('hold a bounded number of names without losing a count', () => {
    const metrics = createMetrics();
    for (let at = 0; at < 5000; at += 1) {
      metrics.count(`name ${at}`);
      metrics.gauge(`name ${at}`, at);
      metrics.drop('place', `reason ${at}`);
    }
    metrics.count('name 0');
    const { counters, gauges, drops } = metrics.snapshot();
    for (const table of [counters, gauges, drops]) {
      expect(Object.keys(table)).toHaveLength(metricNamesMax);
    }
    const sum = (table: Readonly<Record<string, number>>): number =>
      Object.values(table).reduce((total, value) => total + value, 0);
    expect([sum(counters), sum(drops)]).toEqual([5001, 5000]);
    expect(counters['name 0']).toBe(2);
  });

  test('take names that are words of JavaScript', () => {
    const metrics = createMetrics();
    metrics.count('__proto__');
    metrics.count('constructor');
    expect(Object.entries(metrics.snapshot().counters)).toEqual([
      ['__proto__', 1],
      ['constructor', 1],
    ]);
  });
});
