/** Notices that this process did not run for a while: a suspended laptop, a stopped process, a paused virtual machine. */

import { readFileSync } from 'node:fs';
import { uptime } from 'node:os';

/** How often it is looked, in ms. */
const intervalMs = 1000;

/** A pause is one from this length on, in ms; shorter ones are what a loaded computer does anyway. */
const gapMsMin = 2000;

/**
 * `suspended`: the monotonic clock stood still as well, so no timer noticed.
 * `frozen`: the clock went on but the process used no processor time.
 */
export type PauseKind = 'suspended' | 'frozen';

/** Where the watch reads the time; all in ms. */
export interface SuspendClocks {
  /** Counts through suspend (CLOCK_BOOTTIME). */
  uptimeMs(): number;
  /** Stands still in suspend (CLOCK_MONOTONIC). */
  monotonicMs(): number;
  /** Processor time this process has used or waited for: a busy computer is not a stopped process. */
  processorMs(): number;
}

/** The clocks of this computer. */
const systemSuspendClocks: SuspendClocks = {
  uptimeMs: () => uptime() * 1000,
  monotonicMs: () => performance.now(),
  processorMs() {
    try {
      // Nanoseconds on a processor and waiting for one, of the thread that runs the event loop.
      const [ran = '', waited = ''] = readFileSync('/proc/self/schedstat', 'utf8').split(' ');
      return (Number(ran) + Number(waited)) / 1e6;
    } catch {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1000;
    }
  },
};

/** A running watch; it keeps no process alive. */
export interface SuspendWatch {
  stop(): void;
}

/**
 * Starts to watch. After a pause `woke` is called once, before anything else that the same turn of the loop has due
 * later: drop every verdict that was waiting, and refute what was said about this node meanwhile.
 */
export function startSuspendWatch(
  woke: (gapMs: number, kind: PauseKind) => void,
  clocks: SuspendClocks = systemSuspendClocks,
): SuspendWatch {
  const read = (): { up: number; mono: number; used: number } => ({
    up: clocks.uptimeMs(),
    mono: clocks.monotonicMs(),
    used: clocks.processorMs(),
  });
  let last = read();

  const timer = setInterval(() => {
    const now = read();
    const mono = now.mono - last.mono;
    const asleep = now.up - last.up - mono;
    const late = mono - intervalMs;
    const idle = late - (now.used - last.used);
    last = now;
    if (asleep >= gapMsMin) woke(asleep, 'suspended');
    // A loop that is stuck in computation burns the processor all the while; one that was stopped does not.
    else if (late >= gapMsMin && idle >= late / 2) woke(late, 'frozen');
  }, intervalMs);
  timer.unref();
  return { stop: () => clearInterval(timer) };
}
