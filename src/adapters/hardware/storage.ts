/** The disk under a path: its kind, its room, its wear. */

import { realpathSync, statfsSync } from 'node:fs';
import { resolve } from 'node:path';

import type { DiskFacts, DiskKind } from '../../ports/hardware.ts';
import { blockDeviceOf, mountOf, type Mount } from '../system/mounts.ts';
import { readSystemFile, type SystemRoot } from '../system/system-file.ts';

const memoryTypes = new Set(['tmpfs', 'ramfs', 'devtmpfs']);
const networkTypes = new Set(['nfs', 'nfs4', 'cifs', 'smb3', '9p', 'ceph', 'fuse.sshfs']);

/** Reads it; undefined when nothing is known of the path. */
export function readDisk(root: SystemRoot, path: string): DiskFacts | undefined {
  const mount = mountOf(root, resolve(path));
  if (mount === undefined) return undefined;
  const room = roomOf(mount.path);
  const { partition, disk: device } = blockDeviceOf(root, mount);
  const written = Number(readSystemFile(root, `sys/fs/ext4/${partition}/lifetime_write_kbytes`));
  return {
    path: mount.path,
    kind: kindOf(root, mount, device),
    totalBytes: room.totalBytes,
    freeBytes: room.freeBytes,
    isReadOnly: mount.isReadOnly,
    wearShare: readWear(root, device),
    writtenBytes: written > 0 ? written * 1024 : undefined,
  };
}

function roomOf(path: string): { totalBytes: number; freeBytes: number } {
  try {
    const { blocks, bavail, bsize } = statfsSync(path);
    return { totalBytes: blocks * bsize, freeBytes: bavail * bsize };
  } catch {
    return { totalBytes: 0, freeBytes: 0 };
  }
}

function kindOf(root: SystemRoot, mount: Mount, device: string): DiskKind {
  if (memoryTypes.has(mount.type)) return 'memory';
  if (networkTypes.has(mount.type)) return 'network';
  if (device.startsWith('nvme')) return 'nvme';
  if (device.startsWith('mmcblk')) {
    return readSystemFile(root, `sys/block/${device}/device/type`) === 'MMC' ? 'emmc' : 'sd';
  }
  if (!/^(sd|hd)/.test(device)) return 'other';
  if (isOnUsb(root, device)) return 'usb';
  return readSystemFile(root, `sys/block/${device}/queue/rotational`) === '1' ? 'hdd' : 'ssd';
}

/** `sys/block/sda` is a link whose target names the bus. */
function isOnUsb(root: SystemRoot, device: string): boolean {
  try {
    return /\/usb\d+\//.test(realpathSync(resolve(root, `sys/block/${device}`)));
  } catch {
    return false;
  }
}

/** JEDEC eMMC: two life time estimates, each in tenths of the write life, 0x0B beyond it. */
function readWear(root: SystemRoot, device: string): number | undefined {
  const text = readSystemFile(root, `sys/block/${device}/device/life_time`) ?? '';
  const tenths = text
    .split(/\s+/)
    .map(Number)
    .filter((value) => value > 0);
  return tenths.length === 0 ? undefined : Math.min(1, Math.max(...tenths) / 10);
}
