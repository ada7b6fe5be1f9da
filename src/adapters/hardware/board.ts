/** What the board is and how busy: model, processor, memory, temperature, clock. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';

import type { DeviceFacts } from '../../ports/hardware.ts';
import { listSystemDirectory, readSystemFile, type SystemRoot } from '../system/system-file.ts';

/** Sensors that answer nonsense below or above this are not believed, in thousandths of a degree. */
const temperatureMilliMax = 200_000;

/** Name of the board: the device tree on boards, DMI on computers. The kernel ends the former with a zero byte. */
export function readModel(root: SystemRoot): string | undefined {
  const tree = readSystemFile(root, 'proc/device-tree/model')?.replaceAll('\0', '').trim();
  if (tree !== undefined && tree !== '') return tree.slice(0, 64);
  const vendor = readSystemFile(root, 'sys/class/dmi/id/sys_vendor') ?? '';
  const product = readSystemFile(root, 'sys/class/dmi/id/product_name') ?? '';
  const whole = `${vendor} ${product}`.trim();
  return whole === '' ? undefined : whole.slice(0, 64);
}

/** Cores, clock, load and pressure. */
export function readCpu(root: SystemRoot): DeviceFacts['cpu'] {
  const stat = readSystemFile(root, 'proc/stat') ?? '';
  const khz = listSystemDirectory(root, 'sys/devices/system/cpu')
    .filter((name) => /^cpu\d+$/.test(name))
    .map((name) =>
      Number(readSystemFile(root, `sys/devices/system/cpu/${name}/cpufreq/cpuinfo_max_freq`)),
    )
    .filter((value) => value > 0);
  return {
    cores: Math.max(1, (stat.match(/^cpu\d+ /gm) ?? []).length),
    mhzMax: khz.length === 0 ? undefined : Math.round(Math.max(...khz) / 1000),
    load: Number((readSystemFile(root, 'proc/loadavg') ?? '0').split(' ')[0]) || 0,
    pressureShare: readPressure(root, 'cpu'),
  };
}

/** Total, available and pressure. */
export function readMemory(root: SystemRoot): DeviceFacts['memory'] {
  const meminfo = readSystemFile(root, 'proc/meminfo') ?? '';
  const bytes = (field: string): number =>
    Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(meminfo)?.[1] ?? 0) * 1024;
  return {
    totalBytes: bytes('MemTotal'),
    availableBytes: bytes('MemAvailable'),
    pressureShare: readPressure(root, 'memory'),
  };
}

/** The `some` line of pressure stall information, averaged over 10 s (Linux 4.20). */
function readPressure(root: SystemRoot, what: 'cpu' | 'memory'): number | undefined {
  const text = readSystemFile(root, `proc/pressure/${what}`);
  const percent = /^some avg10=([\d.]+)/m.exec(text ?? '')?.[1];
  return percent === undefined ? undefined : Number(percent) / 100;
}

/** Thermal zones on boards, hwmon sensors on computers; both in thousandths of a degree. */
export function readTemperature(root: SystemRoot): number | undefined {
  const zones = listSystemDirectory(root, 'sys/class/thermal')
    .filter((name) => name.startsWith('thermal_zone'))
    .map((name) => `sys/class/thermal/${name}/temp`);
  const sensors = listSystemDirectory(root, 'sys/class/hwmon').map(
    (name) => `sys/class/hwmon/${name}/temp1_input`,
  );
  const values = [...zones, ...sensors]
    .map((path) => Number(readSystemFile(root, path)))
    .filter((value) => value > 0 && value < temperatureMilliMax);
  return values.length === 0 ? undefined : Math.round(Math.max(...values) / 100) / 10;
}

/** Whether systemd-timesyncd has set the clock; others do not say so in a file. */
export function readClock(root: SystemRoot): boolean | undefined {
  if (existsSync(join(root, 'run/systemd/timesync/synchronized'))) return true;
  return existsSync(join(root, 'run/systemd/timesync')) ? false : undefined;
}
