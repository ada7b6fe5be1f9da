/** Pins by the files of the kernel's GPIO class: no native code, and the level stays when this process ends. */

import { readFile, readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { PinAddress } from '../../ports/peripherals.ts';
import type { SystemRoot } from '../system/system-file.ts';
import { asDeviceError, deviceFailed, noDevice } from './trouble.ts';

const base = 'sys/class/gpio';

/** How often one looks for a pin's files once it was asked for: udev gives them to the group a moment later. */
const looksMax = 20;
const lookMs = 25;

/** The directory of a pin, asked for when it is not there. */
async function directoryOf(root: SystemRoot, pin: PinAddress): Promise<string> {
  const number = await numberOf(root, pin);
  const directory = join(root, base, `gpio${number}`);
  if (await isThere(directory)) return directory;
  try {
    await writeFile(join(root, base, 'export'), `${number}`);
  } catch (error) {
    // Busy: a driver has it.
    const isBusy = (error as NodeJS.ErrnoException).code === 'EBUSY';
    if (isBusy) throw deviceFailed(nameOf(pin), 'a driver of the kernel uses it', error);
    throw asDeviceError(error, nameOf(pin));
  }
  for (let looks = 0; looks < looksMax; looks += 1) {
    if (await isThere(directory)) return directory;
    await new Promise<void>((resolve) => {
      setTimeout(resolve, lookMs);
    });
  }
  throw noDevice(nameOf(pin));
}

/** Kernel numbers are those of the chip's lines moved by its base, which differs from kernel to kernel. */
async function numberOf(root: SystemRoot, pin: PinAddress): Promise<number> {
  const names = await readdir(join(root, base)).catch(() => []);
  const chips: { readonly base: number; readonly count: number; readonly chip: string }[] = [];
  for (const name of names.filter((one) => /^gpiochip\d+$/.test(one))) {
    const [first, count] = await Promise.all(
      ['base', 'ngpio'].map((file) => numberIn(join(root, base, name, file))),
    );
    if (first === undefined || count === undefined) continue;
    const devices = await readdir(join(root, base, name, 'device')).catch(() => []);
    const chip = devices.find((one) => /^gpiochip\d+$/.test(one)) ?? name;
    chips.push({ base: first, count, chip });
  }
  chips.sort((one, other) => one.base - other.base);
  const chip = pin.chip === undefined ? chips[0] : chips.find((one) => one.chip === pin.chip);
  const { line } = pin;
  if (chip === undefined || !Number.isSafeInteger(line) || line < 0 || line >= chip.count) {
    throw noDevice(nameOf(pin));
  }
  return chip.base + line;
}

export async function readPin(root: SystemRoot, pin: PinAddress): Promise<0 | 1> {
  const directory = await directoryOf(root, pin);
  try {
    const direction = (await readFile(join(directory, 'direction'), 'utf8')).trim();
    if (direction !== 'in') await writeFile(join(directory, 'direction'), 'in');
    const value = (await readFile(join(directory, 'value'), 'utf8')).trim();
    if (value !== '0' && value !== '1') throw deviceFailed(nameOf(pin), `it says '${value}'`);
    return value === '1' ? 1 : 0;
  } catch (error) {
    throw asDeviceError(error, nameOf(pin));
  }
}

/** `high` and `low` set direction and level in one step: a relay must not click in between. */
export async function writePin(root: SystemRoot, pin: PinAddress, level: 0 | 1): Promise<void> {
  const directory = await directoryOf(root, pin);
  try {
    const direction = (await readFile(join(directory, 'direction'), 'utf8')).trim();
    if (direction === 'out') await writeFile(join(directory, 'value'), `${level}`);
    else await writeFile(join(directory, 'direction'), level === 1 ? 'high' : 'low');
  } catch (error) {
    throw asDeviceError(error, nameOf(pin));
  }
}

function nameOf({ chip, line }: PinAddress): string {
  return `pin ${line}${chip === undefined ? '' : ` of ${chip}`}`;
}

async function isThere(path: string): Promise<boolean> {
  return stat(join(path, 'direction')).then(
    () => true,
    () => false,
  );
}

async function numberIn(path: string): Promise<number | undefined> {
  const text = await readFile(path, 'utf8').catch(() => '');
  return /^\d+$/.test(text.trim()) ? Number(text) : undefined;
}
