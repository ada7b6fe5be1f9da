/** Counters and gauges in memory, with a bound on how many names there can be. */

import type { Metrics } from '../../ports/metrics.ts';

/** Names of each kind; counts and drops under one more are added up under `other`, one more gauge is not kept. */
export const metricNamesMax = 512;

/** Builds the node's metrics, all empty. */
export function createMetrics(): Metrics {
  const counters = new Map<string, number>();
  const gauges = new Map<string, number>();
  const drops = new Map<string, number>();

  function add(table: Map<string, number>, name: string, by: number): void {
    const key = table.has(name) || table.size < metricNamesMax - 1 ? name : 'other';
    table.set(key, (table.get(key) ?? 0) + by);
  }

  return {
    count: (name, by = 1) => add(counters, name, by),
    gauge(name, value) {
      if (gauges.has(name) || gauges.size < metricNamesMax) gauges.set(name, value);
    },
    drop: (where, reason, by = 1) => add(drops, `${where}: ${reason}`, by),
    snapshot: () => ({
      counters: Object.fromEntries(counters),
      gauges: Object.fromEntries(gauges),
      drops: Object.fromEntries(drops),
    }),
  };
}
