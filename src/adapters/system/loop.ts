/** Watches how late the event loop is, so that a busy node blames itself before it blames its peers. */

/** How often the loop is looked at, in ms: ten light wake-ups a second. */
const intervalMs = 100;

/** Looks kept for `lagMs`: the last ten seconds. */
const looksMax = 100;

/** What the monitor may be told. */
export interface LoopMonitorOptions {
  /** Lag in ms from which on `spike` is called. @default 100 */
  readonly spikeMs?: number;
  /** Called after the loop was stuck, with how many ms it was late. */
  spike(lagMs: number): void;
}

/** A running monitor; it keeps no process alive. */
export interface LoopMonitor {
  /** The worst lag of the last ten seconds, in ms. */
  lagMs(): number;
  stop(): void;
}

/** Starts to watch. */
export function startLoopMonitor(options: LoopMonitorOptions): LoopMonitor {
  const spikeMs = options.spikeMs ?? 100;
  const looks = new Float64Array(looksMax);
  let at = 0;
  let due = performance.now() + intervalMs;

  const timer = setInterval(() => {
    const now = performance.now();
    const lag = Math.max(0, now - due);
    due = now + intervalMs;
    looks[at] = lag;
    at = (at + 1) % looksMax;
    if (lag >= spikeMs) options.spike(lag);
  }, intervalMs);
  timer.unref();

  return {
    lagMs: () => Math.max(...looks, performance.now() - due),
    stop: () => clearInterval(timer),
  };
}
