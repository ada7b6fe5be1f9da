/** What the kernel says a process holds. */

import { readdirSync, readFileSync } from 'node:fs';

/** Memory in MB (10^6 bytes): resident, proportional and private anonymous pages. */
export interface ProcessMemory {
  readonly rss: number;
  readonly pss: number;
  readonly anonymous: number;
}

/** Reads /proc/PID/smaps_rollup. @throws when the process is gone. */
export function memoryOf(pid: number | undefined): ProcessMemory {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const field = (name: string): number => {
    const kib = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1];
    if (kib === undefined) throw new Error(`smaps_rollup has no ${name}`);
    return (Number(kib) * 1024) / 1e6;
  };
  return { rss: field('Rss'), pss: field('Pss'), anonymous: field('Anonymous') };
}

/** Open file descriptors of a process. */
export function descriptorsOf(pid: number | undefined): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}
