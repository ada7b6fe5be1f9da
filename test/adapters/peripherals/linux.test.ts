/** The Linux adapter on files of the kernel's layout, on a real pseudo-terminal, and on what the tools say here. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createLinuxPeripherals } from '../../../src/adapters/peripherals/linux.ts';
import { peripheralsContract } from '../../contract/peripherals.ts';
import type { Bench } from '../../contract/peripherals.ts';

/** Where the numbers of the first chip begin: not at 0, as on kernels since 6.6. */
const firstPin = 512;

async function tree(): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'mycel-board-'));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  const chip = join(root, 'sys/class/gpio/gpiochip512');
  await mkdir(join(chip, 'device/gpiochip0'), { recursive: true });
  await writeFile(join(chip, 'base'), `${firstPin}\n`);
  await writeFile(join(chip, 'ngpio'), '54\n');
  await writeFile(join(root, 'sys/class/gpio/export'), '');
  return root;
}

const pinDirectory = (root: string, line: number): string =>
  join(root, `sys/class/gpio/gpio${firstPin + line}`);

async function setPin(root: string, line: number, level: 0 | 1): Promise<void> {
  await mkdir(pinDirectory(root, line), { recursive: true });
  await writeFile(join(pinDirectory(root, line), 'direction'), 'in\n');
  await writeFile(join(pinDirectory(root, line), 'value'), `${level}\n`);
}

/** The kernel turns `high` into a direction and a level; plain files keep the word. */
async function levelOf(root: string, line: number): Promise<number> {
  const direction = (await readFile(join(pinDirectory(root, line), 'direction'), 'utf8')).trim();
  if (direction === 'high' || direction === 'low') {
    await writeFile(join(pinDirectory(root, line), 'direction'), 'out\n');
    await writeFile(join(pinDirectory(root, line), 'value'), direction === 'high' ? '1\n' : '0\n');
  }
  return Number(await readFile(join(pinDirectory(root, line), 'value'), 'utf8'));
}

async function setSensor(root: string, sensor: string, text: string): Promise<void> {
  const directory = join(root, 'sys/bus/w1/devices', sensor);
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, 'w1_slave'), text);
}

function wordsOf(celsius: number | undefined): string {
  const bytes = '57 01 4b 46 7f ff 0c 10 6e';
  const verdict = celsius === undefined ? 'crc=6e NO' : 'crc=6e YES';
  return `${bytes} : ${verdict}\n${bytes} t=${Math.round((celsius ?? 0) * 1_000)}\n`;
}

/** A real serial line: a pseudo-terminal whose other end echoes. */
async function serialLine(root: string): Promise<Bench['serial']> {
  const script = fileURLToPath(new URL('pty.py', import.meta.url));
  const child = spawn('python3', [script], { stdio: ['pipe', 'pipe', 'inherit'] });
  onTestFinished(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'close');
  });
  const [path] = (await once(createInterface(child.stdout), 'line')) as [string];
  await mkdir(join(root, 'dev'), { recursive: true });
  await symlink(path, join(root, 'dev/ttyS0'));
  return { path: '/dev/ttyS0', unplug: () => child.kill('SIGKILL') };
}

peripheralsContract('of Linux', async () => {
  const root = await tree();
  return {
    peripherals: createLinuxPeripherals(root),
    setSensor: (sensor, celsius) => setSensor(root, sensor, wordsOf(celsius)),
    setPin: ({ line }, level) => setPin(root, line, level),
    level: ({ line }) => levelOf(root, line),
    serial: await serialLine(root),
  };
});

describe('the Linux adapter', () => {
  test.each([
    ['no sensor at the cable', `${'00 '.repeat(9)}: crc=00 YES\n${'00 '.repeat(9)}t=0\n`],
    ['a sensor that has just got its power', wordsOf(85)],
    ['an empty file', ''],
  ])('takes %s for no temperature', async (_, text) => {
    const root = await tree();
    await setSensor(root, '28-0316a2794bff', text);
    const { temperature } = createLinuxPeripherals(root);
    await expect(temperature('28-0316a2794bff')).rejects.toThrow('MYCEL_DEVICE_FAILED');
    await expect(temperature('../../../etc')).rejects.toThrow('MYCEL_NO_DEVICE');
  });

  test('asks the kernel for a pin by its own number, and gives up when it does not come', async () => {
    const root = await tree();
    const { readPin } = createLinuxPeripherals(root);
    await expect(readPin({ line: 17 })).rejects.toThrow('MYCEL_NO_DEVICE');
    expect(await readFile(join(root, 'sys/class/gpio/export'), 'utf8')).toBe('529');
  });

  test('a pin becomes an output together with its level, and an input when it is read', async () => {
    const root = await tree();
    const { readPin, writePin } = createLinuxPeripherals(root);
    await setPin(root, 4, 0);
    await writePin({ line: 4 }, 1);
    expect(await readFile(join(pinDirectory(root, 4), 'direction'), 'utf8')).toBe('high');
    await levelOf(root, 4);
    expect(await readPin({ line: 4 })).toBe(1);
    expect(await readFile(join(pinDirectory(root, 4), 'direction'), 'utf8')).toBe('in');
  });

  test('I2C says what is missing, and refuses what no bus can do', async () => {
    const root = await tree();
    const { readI2c, writeI2c } = createLinuxPeripherals(root);
    await expect(readI2c({ bus: 1, address: 0x76 }, 0xd0, 1)).rejects.toThrow('MYCEL_NO_DEVICE');
    await expect(readI2c({ bus: 1, address: 0x78 }, 0, 1)).rejects.toThrow('MYCEL_BAD_OPTION');
    await expect(readI2c({ bus: 1, address: 0x76 }, 256, 1)).rejects.toThrow('MYCEL_BAD_OPTION');
    await expect(writeI2c({ bus: 1, address: 0x76 }, 0, new Uint8Array())).rejects.toThrow(
      'MYCEL_BAD_OPTION',
    );
    // A bus of that name that is none: the tool, or its absence, speaks.
    await mkdir(join(root, 'dev'));
    await writeFile(join(root, 'dev/i2c-901'), '');
    await expect(readI2c({ bus: 901, address: 0x76 }, 0, 1)).rejects.toThrow(
      /MYCEL_(DEVICE_FAILED|NO_DEVICE)/,
    );
  });

  test('a file is no serial line', async () => {
    const root = await tree();
    await mkdir(join(root, 'dev'));
    await writeFile(join(root, 'dev/ttyS9'), '');
    const { openSerial } = createLinuxPeripherals(root);
    await expect(openSerial('/dev/ttyS9')).rejects.toThrow('MYCEL_NO_DEVICE');
    await expect(openSerial('/dev/../etc/passwd')).rejects.toThrow('MYCEL_NO_DEVICE');
    await expect(openSerial('/dev/ttyS9', { baud: 7 })).rejects.toThrow('MYCEL_BAD_OPTION');
  });
});
