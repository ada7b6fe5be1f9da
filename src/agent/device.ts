/** The board under a node, for agents and people. */

import type { DeviceFacts, Hardware } from '../ports/hardware.ts';
import type { Peripherals } from '../ports/peripherals.ts';

/** What a node knows of its board. */
export interface DeviceHandle {
  /** Looks now: a few milliseconds of small files, never an error. */
  facts(): DeviceFacts;
  /** What is wired to it: pins, I2C, serial lines, 1-wire thermometers. */
  readonly io: Peripherals;
}

/** Builds the handle. */
export function createDeviceHandle(hardware: Hardware, io: Peripherals): DeviceHandle {
  return { facts: () => hardware.read(), io };
}
