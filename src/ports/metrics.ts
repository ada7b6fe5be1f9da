/** Counters and gauges behind one small interface; `status` and later exporters read the snapshot. */

/** Numbers about a running node. Names are dotted (`link.frames.in`), units are part of the name (`loop.lag_ms`). */
export interface Metrics {
  /** Adds to a counter. */
  count(name: string, by?: number): void;
  /** Sets a gauge. */
  gauge(name: string, value: number): void;
  /** Counts one drop under a reason; every drop anywhere in the node comes through here. */
  drop(where: string, reason: string, by?: number): void;
  snapshot(): MetricsSnapshot;
}

/** All values at one moment. */
export interface MetricsSnapshot {
  readonly counters: Readonly<Record<string, number>>;
  readonly gauges: Readonly<Record<string, number>>;
  readonly drops: Readonly<Record<string, number>>;
}
