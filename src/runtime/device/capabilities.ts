/** The words by which members find a board that can do something: derived from what is connected to it. */

import type { DeviceFacts } from '../../ports/hardware.ts';

/** Capabilities of one node, stated and found together. */
export const capabilitiesMax = 16;

/** What the board can do, sorted. Only what stays while the board runs: load and temperature are facts, not capabilities. */
export function capabilitiesOf(facts: DeviceFacts): readonly string[] {
  const { ports, accelerators, power, networks } = facts;
  const found = new Set<string>(accelerators.map(({ kind }) => kind));
  const has = (list: readonly unknown[], word: string): void => {
    if (list.length > 0) found.add(word);
  };
  has(ports.cameras, 'camera');
  has(ports.gpioChips, 'gpio');
  has(ports.i2cBuses, 'i2c');
  has(ports.spiDevices, 'spi');
  has(ports.serialPorts, 'serial');
  has(ports.oneWireSensors, 'one-wire');
  if (networks.some(({ medium }) => medium === 'wifi')) found.add('wifi');
  if (power.batteryShare !== undefined) found.add('battery');
  return [...found].sort();
}

/** Stated ones first: when there are too many, what a person said is kept. */
export function joinCapabilities(
  stated: readonly string[],
  found: readonly string[],
): readonly string[] {
  return [...new Set([...stated, ...found])].slice(0, capabilitiesMax);
}
