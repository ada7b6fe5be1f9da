/** Counters and gauges in memory, with a bound on how many names there can be. */

import type { Metrics } from '../../ports/metrics.ts';

/** Names of each kind; counts and drops under one more are added up under `other`, one more gauge is not kept. */
export const metricNamesMax = 512;

/** Builds the node's metrics, all empty. */
export function createMetrics(): Metrics {
  // Boxes: messages are counted, and a box is looked up once a count.
  const counters = new Map<string, { sum: number }>();
  const gauges = new Map<string, number>();
  const drops = new Map<string, { sum: number }>();

  function add(table: Map<string, { sum: number }>, name: string, by: number): void {
    let box = table.get(name);
    if (box === undefined) {
      const key = table.size < metricNamesMax - 1 ? name : 'other';
      box = table.get(key) ?? { sum: 0 };
      table.set(key, box);
    }
    box.sum += by;
  }

  function sums(table: ReadonlyMap<string, { sum: number }>): Record<string, number> {
    return Object.fromEntries([...table].map(([name, { sum }]) => [name, sum]));
  }

  return {
    count: (name, by = 1) => add(counters, name, by),
    gauge(name, value) {
      if (gauges.has(name) || gauges.size < metricNamesMax) gauges.set(name, value);
    },
    drop: (where, reason, by = 1) => add(drops, `${where}: ${reason}`, by),
    snapshot: () => ({
      counters: sums(counters),
      gauges: Object.fromEntries(gauges),
      drops: sums(drops),
    }),
  };
}
