/** The peripherals of a Linux board, by files and by the programs that Debian brings: docs/decisions/0037. */

import type { Peripherals } from '../../ports/peripherals.ts';
import type { SystemRoot } from '../system/system-file.ts';
import { readPin, writePin } from './gpio.ts';
import { readI2c, writeI2c } from './i2c.ts';
import { listOneWire, readTemperature } from './one-wire.ts';
import { openSerial } from './serial.ts';

/** Nothing is opened before it is used. @param root whose files are read; default `/` */
export function createLinuxPeripherals(root: SystemRoot = '/'): Peripherals {
  return {
    oneWire: () => listOneWire(root),
    temperature: (sensor) => readTemperature(root, sensor),
    readPin: (pin) => readPin(root, pin),
    writePin: (pin, level) => writePin(root, pin, level),
    readI2c: (device, register, length) => readI2c(root, device, register, length),
    writeI2c: (device, register, bytes) => writeI2c(root, device, register, bytes),
    openSerial: (path, options) => openSerial(root, path, options),
  };
}
