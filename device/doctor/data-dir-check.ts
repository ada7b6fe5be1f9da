/** Can a node keep what it must not lose: does its directory exist, belong to us, take writes and have room? */

import { mkdtempSync, rmSync, statfsSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { formatBytes } from '../quantity.ts';
import { fail, ok, warn, type Finding } from './finding.ts';
import { mountOf, type Mount, type SystemRoot } from 'mycel';

/** Least free space in which a node keeps working, in bytes. */
const freeNeeded: number = 16 * 1024 * 1024;

/** Free space below which the person should act soon, in bytes. */
const freeTight: number = 128 * 1024 * 1024;

/** File systems whose content is gone after a power cut. */
const volatileTypes: ReadonlySet<string> = new Set(['tmpfs', 'ramfs', 'overlay']);

/** Checks the directory, or the nearest one above it when it does not exist yet. */
export function checkDataDir(dataDir: string, root: SystemRoot): Finding[] {
  const existing = nearestExisting(dataDir);
  const mount = mountOf(root, existing);
  return [
    checkOwner(dataDir, existing),
    checkWritable(dataDir, existing, mount),
    checkSpace(existing),
    ...checkVolatile(existing, mount),
  ];
}

function nearestExisting(path: string): string {
  let at = path;
  while (statSync(at, { throwIfNoEntry: false }) === undefined && dirname(at) !== at) {
    at = dirname(at);
  }
  return at;
}

function checkOwner(dataDir: string, existing: string): Finding {
  const check = 'data directory';
  if (existing !== dataDir) return ok(check, `${dataDir} will be made by the first "mycel up"`);
  const stats = statSync(dataDir);
  if (!stats.isDirectory()) {
    return fail(check, `${dataDir} is not a directory.`, 'Move the file away, or use --data-dir.');
  }
  const user = process.getuid?.();
  if (user !== undefined && stats.uid !== user) {
    return fail(
      check,
      `${dataDir} belongs to user ${stats.uid}, but this command runs as user ${user}.`,
      'Run it as that user (sudo), or give this user its own --data-dir.',
    );
  }
  const mode = stats.mode & 0o777;
  if ((mode & 0o077) !== 0) {
    return fail(
      check,
      `Others may look into ${dataDir} (mode ${mode.toString(8)}), where the keys are.`,
      `chmod -R go= '${dataDir}'`,
    );
  }
  return ok(check, `${dataDir} is ours alone`);
}

/** Mode bits lie (root passes them, a full or read-only disk ignores them), so a file is really written. */
function checkWritable(dataDir: string, existing: string, mount: Mount | undefined): Finding {
  const check = 'data directory writable';
  try {
    const probe = mkdtempSync(join(existing, '.mycel-doctor-'));
    try {
      writeFileSync(join(probe, 'probe'), 'written by mycel doctor\n');
    } finally {
      rmSync(probe, { recursive: true, force: true });
    }
    return ok(check, `a file can be written in ${existing}`);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EROFS') {
      return fail(
        check,
        `${existing} is on a read-only file system (${mount?.type ?? 'unknown type'} at ${mount?.path ?? '/'}).`,
        `mount -o remount,rw '${mount?.path ?? '/'}', or use a --data-dir on a writable disk.`,
      );
    }
    if (code === 'ENOSPC' || code === 'EDQUOT') {
      return fail(check, `The disk of ${existing} is full.`, 'Free some space ("df -h").');
    }
    return fail(
      check,
      `Nothing can be written in ${existing} (${code ?? 'error'}).`,
      `Run as the owner of ${dataDir}, or use another --data-dir.`,
    );
  }
}

function checkSpace(existing: string): Finding {
  const check = 'free space';
  const { bavail, bsize, ffree, files } = statfsSync(existing);
  const free = bavail * bsize;
  const said = `${formatBytes(free)} free for ${existing}`;
  if (free < freeNeeded) return fail(check, `${said}.`, 'Free some space ("df -h").');
  if (files > 0 && ffree < 100) {
    return fail(check, `The disk takes no more files (${ffree} left).`, 'Remove some ("df -i").');
  }
  if (free < freeTight) return warn(check, `${said}.`, 'Free some space soon ("df -h").');
  return ok(check, said);
}

function checkVolatile(existing: string, mount: Mount | undefined): Finding[] {
  if (mount === undefined || !volatileTypes.has(mount.type)) return [];
  return [
    warn(
      'data directory durable',
      `${existing} is on a ${mount.type}, which usually forgets everything at power-off.`,
      'Use a --data-dir on a real disk, or the board must be invited again after each start.',
    ),
  ];
}
