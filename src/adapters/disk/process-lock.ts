/** One data directory, one process: a lock file that neither a crash, a recycled process id nor a reboot can leave stuck. */

import { randomBytes } from 'node:crypto';
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MycelError } from '../../kernel/errors.ts';

/** Who holds a directory. `boot` and `start` tell a living process from a later one with the same number. */
interface Holder {
  readonly pid: number;
  /** The kernel's id of this boot; empty where there is none. */
  readonly boot: string;
  /** Clock ticks between boot and the start of the process; empty where /proc is missing. */
  readonly start: string;
  /** Tells two locks of one process apart. */
  readonly nonce: string;
}

/** How often a lock that changes under our eyes is looked at again. */
const attemptsMax = 20;

/** A held lock. */
export interface ProcessLock {
  /** Gives the directory back. Idempotent. */
  release(): Promise<void>;
}

/**
 * Takes the directory's lock.
 * @throws {MycelError} MYCEL_DATA_DIR_BUSY naming the living process that holds it. Errors of the file system pass through.
 */
export async function takeLock(directory: string): Promise<ProcessLock> {
  const path = join(directory, 'lock');
  const own: Holder = {
    pid: process.pid,
    boot: await bootId(),
    start: (await processStat(process.pid))?.start ?? '',
    nonce: randomBytes(6).toString('hex'),
  };
  const text = `${JSON.stringify(own)}\n`;
  for (let attempt = 0; attempt < attemptsMax; attempt += 1) {
    if (await place(path, text, own.nonce)) return { release: () => release(path, text) };
    const held = await readText(path);
    if (held === undefined) continue;
    const holder = parseHolder(held);
    if (holder !== undefined && (await isAlive(holder, own.boot))) {
      throw new MycelError('MYCEL_DATA_DIR_BUSY', {
        directory,
        pid: holder.pid,
        reason: `Process ${holder.pid} has ${directory} open.`,
      });
    }
    await setAside(path, held, own.nonce);
  }
  throw new MycelError('MYCEL_DATA_DIR_BUSY', {
    directory,
    reason: `The lock of ${directory} keeps changing hands.`,
  });
}

/** Puts the finished lock file into place in one step; false when somebody was first. */
async function place(path: string, text: string, nonce: string): Promise<boolean> {
  const draft = `${path}.${nonce}.tmp`;
  try {
    await writeFile(draft, text, { mode: 0o600, flag: 'wx' });
    await link(draft, path);
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    // FAT has no links; there, exclusive creation is the best there is.
    if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP'].includes(codeOf(error))) throw error;
    return await placeWithoutLinks(path, text);
  } finally {
    await rm(draft, { force: true }).catch(() => undefined);
  }
}

async function placeWithoutLinks(path: string, text: string): Promise<boolean> {
  try {
    await writeFile(path, text, { mode: 0o600, flag: 'wx' });
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw error;
  }
}

/** Moves a dead holder's lock away, and puts it back when a living one took its place meanwhile. */
async function setAside(path: string, judged: string, nonce: string): Promise<void> {
  const aside = `${path}.${nonce}.stale`;
  try {
    await rename(path, aside);
    if ((await readText(aside)) !== judged) await link(aside, path).catch(() => undefined);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
  } finally {
    await rm(aside, { force: true });
  }
}

async function release(path: string, text: string): Promise<void> {
  if ((await readText(path)) === text) await rm(path, { force: true });
}

async function isAlive(holder: Holder, bootNow: string): Promise<boolean> {
  if (holder.boot !== bootNow) return false;
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    if (codeOf(error) === 'ESRCH') return false;
  }
  const stat = await processStat(holder.pid);
  if (stat === undefined) return true;
  return stat.state !== 'Z' && (holder.start === '' || stat.start === holder.start);
}

/**
 * State and start time, fields 3 and 22 of /proc/pid/stat; undefined where there is no /proc.
 * The command name before them may hold any character, so they are counted from its end.
 */
async function processStat(pid: number): Promise<{ state: string; start: string } | undefined> {
  const stat = await readText(`/proc/${pid}/stat`);
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
  const state = fields?.[0];
  const start = fields?.[19];
  return state === undefined || start === undefined ? undefined : { state, start };
}

async function bootId(): Promise<string> {
  return (await readText('/proc/sys/kernel/random/boot_id'))?.trim() ?? '';
}

async function readText(path: string): Promise<string | undefined> {
  return await readFile(path, 'utf8').catch(() => undefined);
}

/** A lock that a power cut left empty or torn has no holder. */
function parseHolder(text: string): Holder | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null) return undefined;
    const { pid, boot, start, nonce } = value as Partial<Record<keyof Holder, unknown>>;
    if (typeof pid !== 'number' || !Number.isSafeInteger(pid) || pid <= 0) return undefined;
    if (typeof boot !== 'string' || typeof start !== 'string' || typeof nonce !== 'string') {
      return undefined;
    }
    return { pid, boot, start, nonce };
  } catch {
    return undefined;
  }
}

function codeOf(error: unknown): string {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  return code ?? '';
}
