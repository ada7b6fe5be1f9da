/**
 * What V8 is told for the process of a node: one that does little stays small, one that has work gets what V8 has
 * (docs/decisions/0050).
 */

import { setFlagsFromString } from 'node:v8';

/** How often it is looked at how much the process worked, in ms. */
const lookMs = 500;

/** Work that may go on for ever and still counts as little: this share of the time. */
const calmShare = 0.25;

/** V8 13 has a second optimizing compiler switched on; before, it is there and off. */
const hasMaglev = Number(process.versions.v8.split('.')[0]) >= 13;

let isSmall = false;

/**
 * Switches the optimizing compilers off and lets the young generation stay as small as it begins. To be called before
 * anything else is loaded: both have grown by the time that the program is.
 */
export async function beginSmall(): Promise<void> {
  // Node keeps its own modules compiled, for the flags it has been built with alone. These are the large ones.
  await Promise.all([
    import('node:child_process'),
    import('node:crypto'),
    import('node:dgram'),
    import('node:tls'),
    import('node:worker_threads'),
  ]);
  isSmall = true;
  setFlagsFromString('--semi-space-growth-factor=1');
  setFlagsFromString('--no-opt');
  if (hasMaglev) setFlagsFromString('--no-maglev');
}

/**
 * Watches from the end of the start on how much the process works, and takes back what `beginSmall` told V8 once that is
 * more, beyond little, than all of the start: how fast the board is shows there. Returns what ends the watch.
 */
export function growWithWork(): () => void {
  if (!isSmall) return () => {};
  const much = performance.now();
  let before = { at: much, cpuMs: cpuMs(), loop: performance.eventLoopUtilization() };
  let excess = 0;
  const timer = setInterval(() => {
    const now = { at: performance.now(), cpuMs: cpuMs(), loop: performance.eventLoopUtilization() };
    // The loop is busy while others have the processor, too; what it does not show is the work of other threads.
    const { active } = performance.eventLoopUtilization(now.loop, before.loop);
    const worked = Math.max(active, now.cpuMs - before.cpuMs);
    excess = Math.max(0, excess + worked - (now.at - before.at) * calmShare);
    before = now;
    if (excess < much) return;
    clearInterval(timer);
    grow();
  }, lookMs).unref();
  return () => clearInterval(timer);
}

function grow(): void {
  isSmall = false;
  setFlagsFromString('--semi-space-growth-factor=2');
  setFlagsFromString('--opt');
  if (hasMaglev) setFlagsFromString('--maglev');
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}
