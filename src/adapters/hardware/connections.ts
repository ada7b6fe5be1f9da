/** What is connected to the board: networks, accelerators, pins and buses, all found in small files. */

import type { AcceleratorFacts, NetworkFacts, PortFacts } from '../../ports/hardware.ts';
import { listSystemDirectory, readSystemFile, type SystemRoot } from '../system/system-file.ts';

/** Entries of one list; a board with more has them cut. */
const entriesMax = 32;

/** Interfaces that are up and belong to the machine, not to containers. */
export function readNetworks(root: SystemRoot): NetworkFacts[] {
  const base = 'sys/class/net';
  const signals = readSignals(root);
  return listSystemDirectory(root, base)
    .filter((name) => readSystemFile(root, `${base}/${name}/operstate`) === 'up')
    .filter((name) => listSystemDirectory(root, `${base}/${name}`).includes('device'))
    .slice(0, entriesMax)
    .map((name) => {
      const isWifi = listSystemDirectory(root, `${base}/${name}`).some(
        (entry) => entry === 'wireless' || entry === 'phy80211',
      );
      const type = readSystemFile(root, `${base}/${name}/type`);
      const mbps = Number(readSystemFile(root, `${base}/${name}/speed`));
      return {
        name,
        medium: isWifi ? 'wifi' : type === '1' ? 'wired' : 'other',
        linkMbps: !isWifi && mbps > 0 ? mbps : undefined,
        signalDbm: signals.get(name),
      };
    });
}

/** /proc/net/wireless: interface, status, link, level in dBm with a trailing dot. */
function readSignals(root: SystemRoot): Map<string, number> {
  const signals = new Map<string, number>();
  for (const line of (readSystemFile(root, 'proc/net/wireless') ?? '').split('\n')) {
    const [, name, level] = /^\s*(\S+):\s+\S+\s+\S+\s+(-?\d+)/.exec(line) ?? [];
    if (name !== undefined && level !== undefined) signals.set(name, Number(level));
  }
  return signals;
}

/** Hailo and Coral by their device files, graphics by its render node and driver. */
export function readAccelerators(root: SystemRoot): AcceleratorFacts[] {
  const files = listSystemDirectory(root, 'dev');
  const found: AcceleratorFacts[] = [];
  for (const name of files.filter((file) => /^hailo\d+$/.test(file))) {
    found.push({ kind: 'npu', name });
  }
  for (const name of files.filter((file) => /^apex_\d+$/.test(file))) {
    found.push({ kind: 'tpu', name });
  }
  for (const name of files.filter((file) => /^rknpu|^accel\d+$/.test(file))) {
    found.push({ kind: 'npu', name });
  }
  for (const node of listSystemDirectory(root, 'dev/dri').filter((one) =>
    one.startsWith('renderD'),
  )) {
    const uevent = readSystemFile(root, `sys/class/drm/${node}/device/uevent`) ?? '';
    found.push({ kind: 'gpu', name: /^DRIVER=(.+)$/m.exec(uevent)?.[1] ?? node });
  }
  if (files.includes('nvidia0')) found.push({ kind: 'gpu', name: 'nvidia' });
  return found.slice(0, entriesMax);
}

/** Pins, buses, serial lines, thermometers and cameras. */
export function readPorts(root: SystemRoot): PortFacts {
  const files = listSystemDirectory(root, 'dev');
  const matching = (pattern: RegExp): string[] =>
    files.filter((name) => pattern.test(name)).slice(0, entriesMax);
  return {
    gpioChips: matching(/^gpiochip\d+$/),
    i2cBuses: matching(/^i2c-\d+$/),
    spiDevices: matching(/^spidev\d+\.\d+$/),
    // Consoles of virtual machines (ttyS without a driver) are there by default and mean nothing.
    serialPorts: matching(/^(ttyUSB|ttyACM|ttyAMA|serial)\d+$/),
    oneWireSensors: listSystemDirectory(root, 'sys/bus/w1/devices')
      .filter((name) => /^(10|22|28|3b|42)-/.test(name))
      .slice(0, entriesMax),
    cameras: readCameras(root),
  };
}

/** Video nodes that capture; the kernel numbers each camera several times, of which index 0 is the picture. */
function readCameras(root: SystemRoot): string[] {
  const base = 'sys/class/video4linux';
  return (
    listSystemDirectory(root, base)
      .filter((name) => readSystemFile(root, `${base}/${name}/index`) === '0')
      .map((name) => readSystemFile(root, `${base}/${name}/name`) ?? name)
      // Codecs and image processors of the board are video nodes too.
      .filter((name) => !/codec|isp|hevc|vpu|-dec|-enc|rpivid|pispbe|m2m/i.test(name))
      .slice(0, entriesMax)
  );
}
