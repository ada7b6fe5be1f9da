/** The board under a node, for agents and people. */

import type { DeviceFacts, Hardware } from '../ports/hardware.ts';

/** What a node knows of its board. */
export interface DeviceHandle {
  /** Looks now: a few milliseconds of small files, never an error. */
  facts(): DeviceFacts;
}

/** Builds the handle. */
export function createDeviceHandle(hardware: Hardware): DeviceHandle {
  return { facts: () => hardware.read() };
}
