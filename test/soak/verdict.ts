/** Whether a node grew: medians of two windows after the warm-up are compared, so that one odd sample decides nothing. */

import { median } from '../bench/row.ts';

/** What the node held after a cycle and a garbage collection; bytes and counts. */
export interface Sample {
  readonly cycle: number;
  readonly rss: number;
  /** Objects on the heap that the program made. */
  readonly own: number;
  /** What V8 has compiled and learnt: it goes on for hours, and ends at the size of the program. */
  readonly compiled: number;
  readonly external: number;
  readonly descriptors: number;
  /** Timers, sockets and requests that Node counts as active. */
  readonly resources: number;
}

/** Share of the samples that are not looked at: caches fill, code is compiled. */
const warmUpShare = 0.3;

/** Samples that make a verdict, at least. */
const samplesMin = 9;

/**
 * What the median of the last third may exceed that of the first third by. A leak of 2 kB a visit is 470 kB from window
 * to window in 500 cycles. What a node remembers of a device that was revoked (9 kB, bounded: docs/limits.md) is 200 kB
 * in them. Pages that the allocator keeps make RSS coarser than the heap.
 */
const allowance: Readonly<Record<Exclude<keyof Sample, 'cycle'>, number>> = {
  own: 400e3,
  compiled: 1e6,
  external: 200e3,
  rss: 4e6,
  descriptors: 1,
  resources: 2,
};

/** Samples from which on a node is taken to have compiled all it will; in a shorter run its code still grows. */
const settledMin = 100;

/** What a shorter run may grow by in bytes, times the allowance: it finds a leak of 50 kB a visit, and of descriptors. */
const shortRunFactor = 3;

/** Compares the windows. */
export function judge(samples: readonly Sample[]): {
  readonly findings: readonly string[];
  readonly hasGrown: boolean;
} {
  const counted = samples.slice(Math.ceil(samples.length * warmUpShare));
  if (counted.length < samplesMin) {
    return { findings: [`${counted.length} samples are too few for a verdict`], hasGrown: true };
  }
  const third = Math.floor(counted.length / 3);
  const first = counted.slice(0, third);
  const last = counted.slice(-third);
  const factor = counted.length < settledMin ? shortRunFactor : 1;
  let hasGrown = false;
  const findings = (Object.keys(allowance) as (keyof typeof allowance)[]).map((name) => {
    const before = median(first.map((sample) => sample[name]));
    const after = median(last.map((sample) => sample[name]));
    const isBytes = allowance[name] > 1000;
    const allowed = allowance[name] * (isBytes ? factor : 1);
    const isOver = after - before > allowed;
    hasGrown ||= isOver;
    const perCycle = (after - before) / ((counted.length * 2) / 3);
    return `${isOver ? 'GREW ' : 'steady'} ${name}: ${before} -> ${after} (${perCycle.toFixed(1)} a cycle, allowed ${allowed} in all)`;
  });
  return {
    findings: [`${samples.length} cycles, ${counted.length} counted`, ...findings],
    hasGrown,
  };
}
