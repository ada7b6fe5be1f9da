/** Which file system holds a path, as /proc/mounts tells it. */

import { realpathSync } from 'node:fs';
import { basename } from 'node:path';

import { listSystemDirectory, readSystemFile, type SystemRoot } from './system-file.ts';

/** A mounted file system. */
export interface Mount {
  readonly device: string;
  readonly path: string;
  readonly type: string;
  readonly isReadOnly: boolean;
}

/** The mount that holds an absolute path: the longest mount point above it, the last one when they are stacked. */
export function mountOf(root: SystemRoot, path: string): Mount | undefined {
  let best: Mount | undefined;
  for (const mount of readMounts(root)) {
    const isAbove = mount.path === '/' || path === mount.path || path.startsWith(`${mount.path}/`);
    if (isAbove && mount.path.length >= (best?.path.length ?? 0)) best = mount;
  }
  return best;
}

/** The kernel's names of the partition under a mount and of the disk it lies on: `mmcblk0p2` on `mmcblk0`, `sda1` on `sda`. */
export function blockDeviceOf(
  root: SystemRoot,
  mount: Mount,
): { readonly partition: string; readonly disk: string } {
  const partition = basename(realDevice(mount.device));
  const disks = listSystemDirectory(root, 'sys/block');
  const disk = disks.find((name) =>
    listSystemDirectory(root, `sys/block/${name}`).includes(partition),
  );
  return { partition, disk: disk ?? partition };
}

function realDevice(device: string): string {
  try {
    return realpathSync(device);
  } catch {
    return device;
  }
}

function readMounts(root: SystemRoot): Mount[] {
  const lines = (readSystemFile(root, 'proc/mounts') ?? '').split('\n');
  return lines.flatMap((line) => {
    const [device, path, type, options] = line.split(' ');
    if (device === undefined || path === undefined || type === undefined) return [];
    return [
      {
        device,
        path: unescapeMount(path),
        type,
        isReadOnly: (options ?? '').split(',').includes('ro'),
      },
    ];
  });
}

/** The kernel writes a blank in a path as `\040`. */
function unescapeMount(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
}
