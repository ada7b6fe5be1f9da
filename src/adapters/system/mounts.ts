/** Which file system holds a path, as /proc/mounts tells it. */

import { readSystemFile, type SystemRoot } from './system-file.ts';

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
