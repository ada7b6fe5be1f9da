/** The readers against trees in the layout of real boards' /proc, /sys and /dev. */

import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { availableParallelism, tmpdir, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createHardware } from '../../../src/adapters/hardware/hardware.ts';
import type { DeviceFacts } from '../../../src/ports/hardware.ts';
import { capabilitiesOf, joinCapabilities } from '../../../src/runtime/device/capabilities.ts';
import { plantTree } from '../../plant-tree.ts';

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'mycel-hardware-'));
});
afterEach(() => rm(home, { recursive: true, force: true }));

async function read(
  files: Readonly<Record<string, string>>,
  dataDir = '/var/lib/mycel',
): Promise<DeviceFacts> {
  return createHardware({ root: await plantTree(home, files), dataDir }).read();
}

const pi4 = {
  'proc/device-tree/model': 'Raspberry Pi 4 Model B Rev 1.4\0',
  'proc/stat': 'cpu  1 2\ncpu0 1\ncpu1 1\ncpu2 1\ncpu3 1\nintr 5\n',
  'proc/loadavg': '0.42 0.30 0.20 1/100 4242\n',
  'proc/meminfo': 'MemTotal:  3884032 kB\nMemFree: 1 kB\nMemAvailable:  3000000 kB\n',
  'proc/pressure/cpu': 'some avg10=12.50 avg60=1.00 avg300=0.10 total=5\n',
  'proc/pressure/memory': 'some avg10=0.00 avg60=0.00 avg300=0.00 total=0\nfull avg10=0.00\n',
  'proc/mounts': '/dev/mmcblk0p2 / ext4 rw,noatime 0 0\n',
  'proc/net/wireless':
    'Inter-| sta-|   Quality        |\n face | tus | link level noise |\n wlan0: 0000   56.  -54.  -256        0\n',
  'sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq': '1800000\n',
  'sys/class/thermal/thermal_zone0/temp': '52582\n',
  'sys/devices/platform/soc/soc:firmware/get_throttled': '50000\n',
  'sys/block/mmcblk0/mmcblk0p2/size': '1\n',
  'sys/block/mmcblk0/device/type': 'SD\n',
  'sys/fs/ext4/mmcblk0p2/lifetime_write_kbytes': '1000\n',
  'sys/class/net/eth0/operstate': 'up\n',
  'sys/class/net/eth0/type': '1\n',
  'sys/class/net/eth0/speed': '1000\n',
  'sys/class/net/eth0/device/uevent': '\n',
  'sys/class/net/wlan0/operstate': 'up\n',
  'sys/class/net/wlan0/type': '1\n',
  'sys/class/net/wlan0/wireless/.keep': '',
  'sys/class/net/wlan0/device/uevent': '\n',
  'sys/class/net/docker0/operstate': 'up\n',
  'sys/class/net/docker0/type': '1\n',
  'sys/class/video4linux/video0/index': '0\n',
  'sys/class/video4linux/video0/name': 'unicam-image\n',
  'sys/class/video4linux/video1/index': '1\n',
  'sys/class/video4linux/video1/name': 'unicam-embedded\n',
  'sys/class/video4linux/video10/index': '0\n',
  'sys/class/video4linux/video10/name': 'bcm2835-codec-decode\n',
  'sys/bus/w1/devices/28-0316a2/temperature': '21000\n',
  'sys/bus/w1/devices/w1_bus_master1/name': 'x\n',
  'dev/gpiochip0': '',
  'dev/i2c-1': '',
  'dev/spidev0.0': '',
  'dev/ttyAMA0': '',
  'dev/ttyS0': '',
  'dev/hailo0': '',
  'run/systemd/timesync/synchronized': '',
};

describe('a Raspberry Pi 4', () => {
  test('is read from small files', async () => {
    expect(await read(pi4)).toMatchObject({
      model: 'Raspberry Pi 4 Model B Rev 1.4',
      architecture: process.arch,
      cpu: { cores: 4, mhzMax: 1800, load: 0.42, pressureShare: 0.125 },
      memory: { totalBytes: 3_884_032 * 1024, availableBytes: 3_000_000 * 1024, pressureShare: 0 },
      temperatureC: 52.6,
      power: {
        source: 'unknown',
        isUndervolted: false,
        wasUndervolted: true,
        isThrottled: false,
        wasThrottled: true,
      },
      disk: { path: '/', kind: 'sd', isReadOnly: false, writtenBytes: 1_024_000 },
      networks: [
        { name: 'eth0', medium: 'wired', linkMbps: 1000 },
        { name: 'wlan0', medium: 'wifi', signalDbm: -54 },
      ],
      isClockSynchronised: true,
      accelerators: [{ kind: 'npu', name: 'hailo0' }],
      ports: {
        gpioChips: ['gpiochip0'],
        i2cBuses: ['i2c-1'],
        spiDevices: ['spidev0.0'],
        serialPorts: ['ttyAMA0'],
        oneWireSensors: ['28-0316a2'],
        cameras: ['unicam-image'],
      },
    });
  });

  test('can do what is connected to it', async () => {
    expect(capabilitiesOf(await read(pi4))).toEqual([
      'camera',
      'gpio',
      'i2c',
      'npu',
      'one-wire',
      'serial',
      'spi',
      'wifi',
    ]);
  });
});

describe('power', () => {
  const battery = 'sys/class/power_supply/BAT0';
  test.each([
    ['1', 'Full', 'mains'],
    ['0', 'Discharging', 'battery'],
  ])('with the plug at %s and the battery %s comes from %s', async (online, status, source) => {
    const { power } = await read({
      [`${battery}/type`]: 'Battery\n',
      [`${battery}/status`]: `${status}\n`,
      [`${battery}/capacity`]: '73\n',
      'sys/class/power_supply/AC/type': 'Mains\n',
      'sys/class/power_supply/AC/online': `${online}\n`,
    });
    expect(power).toMatchObject({ source, batteryShare: 0.73 });
  });

  test('a mouse does not make a board run on battery', async () => {
    const { power } = await read({
      'sys/class/power_supply/mouse/type': 'Battery\n',
      'sys/class/power_supply/mouse/scope': 'Device\n',
      'sys/class/power_supply/mouse/status': 'Discharging\n',
      'sys/class/power_supply/mouse/capacity': '9\n',
    });
    expect(power).toMatchObject({ source: 'unknown', batteryShare: undefined });
  });

  test('too weak is told by the mainline driver as well', async () => {
    const sensor = 'sys/class/hwmon/hwmon1';
    const { power } = await read({
      [`${sensor}/name`]: 'rpi_volt\n',
      [`${sensor}/in0_lcrit_alarm`]: '1\n',
      'sys/class/thermal/cooling_device0/type': 'cpufreq-cpu0\n',
      'sys/class/thermal/cooling_device0/cur_state': '2\n',
    });
    expect(power).toMatchObject({ isUndervolted: true, isThrottled: true });
  });
});

describe('the disk under the data directory', () => {
  test.each([
    ['/dev/nvme0n1p1', 'nvme0n1', {}, 'nvme'],
    [
      '/dev/mmcblk1p1',
      'mmcblk1',
      { 'device/type': 'MMC\n', 'device/life_time': '0x02 0x03\n' },
      'emmc',
    ],
    ['/dev/sdx1', 'sdx', { 'queue/rotational': '1\n' }, 'hdd'],
    ['/dev/sdx1', 'sdx', { 'queue/rotational': '0\n' }, 'ssd'],
    ['/dev/vdz1', 'vdz', { 'queue/rotational': '1\n' }, 'other'],
  ])('%s is told apart', async (device, block, files, kind) => {
    const partition = device.slice(5);
    const { disk } = await read({
      'proc/mounts': `${device} / ext4 ro 0 0\n`,
      [`sys/block/${block}/${partition}/size`]: '1\n',
      ...Object.fromEntries(
        Object.entries(files).map(([path, text]) => [`sys/block/${block}/${path}`, text]),
      ),
    });
    expect(disk).toMatchObject({ kind, isReadOnly: true });
    expect(disk?.wearShare).toBe(kind === 'emmc' ? 0.3 : undefined);
  });

  test('a stick is known by its bus, and memory by its file system', async () => {
    const bus = join(home, 'sys/devices/pci0/usb1/1-1/host0/block/sdx');
    await mkdir(join(bus, 'sdx1'), { recursive: true });
    await mkdir(join(home, 'sys/block'), { recursive: true });
    await symlink(bus, join(home, 'sys/block/sdx'));
    const stick = await read({ 'proc/mounts': '/dev/sdx1 / ext4 rw 0 0\n' });
    expect(stick.disk?.kind).toBe('usb');
    const memory = await read({ 'proc/mounts': 'tmpfs / tmpfs rw 0 0\n' });
    expect(memory.disk?.kind).toBe('memory');
  });
});

test('an empty tree gives no error and no invention', async () => {
  const facts = createHardware({ root: join(home, 'nowhere'), dataDir: '/x' }).read();
  expect(facts).toMatchObject({
    model: undefined,
    temperatureC: undefined,
    disk: undefined,
    networks: [],
    accelerators: [],
    isClockSynchronised: undefined,
  });
  expect(capabilitiesOf(facts)).toEqual([]);
});

test('this machine is what Node.js says it is', () => {
  const facts = createHardware({ dataDir: dirname(home) }).read();
  expect(facts.cpu.cores).toBeGreaterThanOrEqual(availableParallelism());
  expect(facts.memory.totalBytes).toBe(totalmem());
  expect(facts.memory.availableBytes).toBeLessThan(facts.memory.totalBytes);
  expect(facts.disk?.freeBytes).toBeGreaterThan(0);
});

test('stated capabilities come before found ones, once each, at most 16', () => {
  expect(joinCapabilities(['saw', 'gpio'], ['gpio', 'i2c'])).toEqual(['saw', 'gpio', 'i2c']);
  const many = Array.from({ length: 16 }, (_, at) => `c${at}`);
  expect(joinCapabilities(many, ['gpio'])).toEqual(many);
});
