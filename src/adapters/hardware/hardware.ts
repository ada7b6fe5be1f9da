/** The board as Linux shows it in files: no native code, no program run. */

import type { DeviceFacts, Hardware } from '../../ports/hardware.ts';
import type { SystemRoot } from '../system/system-file.ts';
import { readClock, readCpu, readMemory, readModel, readTemperature } from './board.ts';
import { readAccelerators, readNetworks, readPorts } from './connections.ts';
import { readPower } from './power.ts';
import { readDisk } from './storage.ts';

/** Where to look. */
export interface HardwareOptions {
  /** A tree with the layout of `/`. @default '/' */
  readonly root?: SystemRoot;
  /** The path whose disk matters: the data directory. */
  readonly dataDir: string;
}

/** Builds the reader. */
export function createHardware(options: HardwareOptions): Hardware {
  const { root = '/', dataDir } = options;
  return {
    read: (): DeviceFacts => ({
      model: readModel(root),
      architecture: process.arch,
      cpu: readCpu(root),
      memory: readMemory(root),
      temperatureC: readTemperature(root),
      power: readPower(root),
      disk: readDisk(root, dataDir),
      networks: readNetworks(root),
      isClockSynchronised: readClock(root),
      accelerators: readAccelerators(root),
      ports: readPorts(root),
    }),
  };
}
