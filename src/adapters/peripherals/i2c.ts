/** I2C by `i2ctransfer` of Debian's i2c-tools: the bus needs an ioctl, which Node.js has no call for. */

import { execFile } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { MycelError } from '../../kernel/errors.ts';
import type { I2cAddress } from '../../ports/peripherals.ts';
import type { SystemRoot } from '../system/system-file.ts';
import { asDeviceError, deviceFailed, noDevice } from './trouble.ts';

/** Bytes of one transfer. */
export const i2cBytesMax = 256;

/** A bus that hangs is given up after so long, in ms. */
const transferMs = 5_000;

export async function readI2c(
  root: SystemRoot,
  device: I2cAddress,
  register: number,
  length: number,
): Promise<Uint8Array> {
  checkRange('register', register, 0, 255);
  checkRange('length', length, 1, i2cBytesMax);
  const out = await transfer(root, device, [
    `w1@${hex(device.address)}`,
    hex(register),
    `r${length}`,
  ]);
  const bytes = out.trim().split(/\s+/).map(Number);
  if (bytes.length === length && bytes.every((one) => one >= 0 && one <= 255)) {
    return Uint8Array.from(bytes);
  }
  throw deviceFailed(nameOf(device), `it answered '${out.trim().slice(0, 60)}'`);
}

export async function writeI2c(
  root: SystemRoot,
  device: I2cAddress,
  register: number,
  bytes: Uint8Array,
): Promise<void> {
  checkRange('register', register, 0, 255);
  checkRange('number of bytes', bytes.length, 1, i2cBytesMax);
  const words = [`w${bytes.length + 1}@${hex(device.address)}`, hex(register)];
  await transfer(root, device, [...words, ...[...bytes].map(hex)]);
}

async function transfer(
  root: SystemRoot,
  device: I2cAddress,
  words: readonly string[],
): Promise<string> {
  checkRange('address', device.address, 3, 0x77);
  checkRange('bus', device.bus, 0, 1023);
  await stat(join(root, `dev/i2c-${device.bus}`)).catch((error: unknown) => {
    throw asDeviceError(error, `I2C bus ${device.bus}`);
  });
  return new Promise((resolve, reject) => {
    const how = { timeout: transferMs, killSignal: 'SIGKILL' as const };
    execFile('i2ctransfer', ['-y', `${device.bus}`, ...words], how, (error, out, complaint) => {
      if (error === null) return resolve(out);
      if (error.code === 'ENOENT') {
        return reject(
          new MycelError('MYCEL_DEVICE_FAILED', {
            device: nameOf(device),
            reason: 'The program i2ctransfer is not installed.',
            fix: 'Install it: apt-get install i2c-tools',
          }),
        );
      }
      const said = complaint.trim().split('\n').at(-1) ?? '';
      if (/Permission denied/.test(said)) {
        return reject(
          asDeviceError(Object.assign(new Error(said), { code: 'EACCES' }), nameOf(device)),
        );
      }
      // Nobody acknowledged the address.
      if (/Remote I\/O|No such device or address/.test(said))
        return reject(noDevice(nameOf(device)));
      reject(deviceFailed(nameOf(device), error.killed === true ? 'the bus hangs' : said, error));
    });
  });
}

function checkRange(what: string, value: number, low: number, high: number): void {
  if (Number.isSafeInteger(value) && value >= low && value <= high) return;
  throw new MycelError('MYCEL_BAD_OPTION', {
    reason: `The ${what} of an I2C transfer is a whole number from ${low} to ${high}.`,
  });
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(2, '0')}`;
}

function nameOf({ bus, address }: I2cAddress): string {
  return `I2C device ${hex(address)} on bus ${bus}`;
}
