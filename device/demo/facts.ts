/** Real facts of this machine for the demo to publish. */

import { loadavg } from 'node:os';

import { listSystemDirectory, readSystemFile, type SystemRoot } from '../doctor/system-file.ts';

/** What one look at the machine gives; temperature only where the board has a sensor. */
export interface MachineFacts {
  /** Processes that ran or waited to run, averaged over a minute. */
  readonly load: number;
  /** Memory that programs could still take, in MiB. */
  readonly memory: number;
  /** Of the warmest sensor, in degrees Celsius. */
  readonly temperature?: number;
}

/** Looks now. */
export function readFacts(root: SystemRoot = '/'): MachineFacts {
  const meminfo = readSystemFile(root, 'proc/meminfo') ?? '';
  const available = Number(/^MemAvailable:\s+(\d+) kB/m.exec(meminfo)?.[1] ?? 0);
  const temperature = readTemperature(root);
  return {
    load: round(loadavg()[0] ?? 0, 2),
    memory: Math.round(available / 1024),
    ...(temperature === undefined ? {} : { temperature }),
  };
}

/** Thermal zones on boards, hwmon sensors on computers; both in thousandths of a degree. */
function readTemperature(root: SystemRoot): number | undefined {
  const zones = listSystemDirectory(root, 'sys/class/thermal')
    .filter((name) => name.startsWith('thermal_zone'))
    .map((name) => `sys/class/thermal/${name}/temp`);
  const sensors = listSystemDirectory(root, 'sys/class/hwmon').map(
    (name) => `sys/class/hwmon/${name}/temp1_input`,
  );
  const values = [...zones, ...sensors]
    .map((path) => Number(readSystemFile(root, path)))
    .filter((value) => value > 0 && value < 200_000);
  return values.length === 0 ? undefined : round(Math.max(...values) / 1000, 1);
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
