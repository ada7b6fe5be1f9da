/** Real facts of this machine for the demo to publish. */

import { createHardware, type SystemRoot } from 'mycel';

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
  const { cpu, memory, temperatureC } = createHardware({ root, dataDir: root }).read();
  return {
    load: cpu.load,
    memory: Math.round(memory.availableBytes / 1024 / 1024),
    ...(temperatureC === undefined ? {} : { temperature: temperatureC }),
  };
}
