/** 1-wire thermometers as the kernel shows them: one directory a sensor, one text file a measurement. */

import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { SystemRoot } from '../system/system-file.ts';
import { asDeviceError, deviceFailed, noDevice } from './trouble.ts';

/** Family codes of thermometers: DS18S20, DS1822, DS18B20, DS1825, DS28EA00. */
const sensorShape = /^(10|22|28|3b|42)-[0-9a-f]{12}$/;
const base = 'sys/bus/w1/devices';

/** The word of a sensor that was powered up and has not measured yet. */
const powerOnMilli = 85_000;

export async function listOneWire(root: SystemRoot): Promise<string[]> {
  const names = await readdir(join(root, base)).catch(() => []);
  return names.filter((name) => sensorShape.test(name)).toSorted();
}

/** Reads until the checksum holds, three times at most: a long cable flips bits. */
export async function readTemperature(root: SystemRoot, sensor: string): Promise<number> {
  if (!sensorShape.test(sensor)) throw noDevice(`1-wire sensor ${sensor.slice(0, 20)}`);
  for (let attempt = 1; ; attempt += 1) {
    let text: string;
    try {
      text = await readFile(join(root, base, sensor, 'w1_slave'), 'utf8');
    } catch (error) {
      throw asDeviceError(error, `1-wire sensor ${sensor}`);
    }
    const milli = /crc=[0-9a-f]{2} YES\n[\s\S]*\bt=(-?\d{1,6})\s*$/.exec(text)?.[1];
    // Eight bytes of zero have a right checksum, too: that is a cable without a sensor.
    const isEmpty = /^(00 ){9}/.test(text);
    if (milli !== undefined && !isEmpty && Number(milli) !== powerOnMilli) {
      return Number(milli) / 1_000;
    }
    if (attempt >= 3) {
      throw deviceFailed(`1-wire sensor ${sensor}`, 'its checksum is wrong, or it has no power');
    }
  }
}
