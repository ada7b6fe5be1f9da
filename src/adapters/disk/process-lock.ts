/** One data directory, one process: a lock that neither a crash, a recycled process id nor a reboot can leave stuck. */

import { randomBytes, randomInt } from 'node:crypto';
import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
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

/** How often processes that claim at the same moment try again. */
const attemptsMax = 40;

const claimFile = /^lock\.[0-9a-f]{12}\.claim$/;

/** A held lock. */
export interface ProcessLock {
  /** Gives the directory back. Idempotent; never rejects (a lock that stays behind ends with the process). */
  release(): Promise<void>;
}

/**
 * Takes the directory's lock.
 *
 * Everyone first shows a claim of his own and then looks for the claims of others: of two, at least one sees the other
 * and withdraws. Only the sole living claimant writes `lock`. No step takes away what another process may just have
 * put there, so finding a dead holder needs no care.
 * @throws {MycelError} MYCEL_DATA_DIR_BUSY naming the living process that holds it. Errors of the file system pass through.
 */
export async function takeLock(directory: string): Promise<ProcessLock> {
  const own: Holder = {
    pid: process.pid,
    boot: await bootId(),
    start: (await processStat(process.pid))?.start ?? '',
    nonce: randomBytes(6).toString('hex'),
  };
  const path = join(directory, 'lock');
  const claim = `${path}.${own.nonce}.claim`;
  for (let attempt = 1; ; attempt += 1) {
    await writeWhole(claim, own);
    const rival = await findRival(directory, own).catch(async (error: unknown) => {
      await discard(claim);
      throw error;
    });
    if (rival === undefined) break;
    await discard(claim);
    const held = parseHolder((await readText(path)) ?? '');
    if (held?.nonce === rival.nonce || attempt === attemptsMax) throw busy(directory, rival.pid);
    // Whoever claimed at the same moment withdraws as well; chance decides who is first next time.
    await delay(randomInt(1, 10 * Math.min(attempt, 8)));
  }
  try {
    await writeWhole(path, own);
  } catch (error) {
    await discard(claim);
    throw error;
  }
  return {
    async release() {
      if (parseHolder((await readText(path)) ?? '')?.nonce === own.nonce) await discard(path);
      await discard(claim);
    },
  };
}

/** The living process behind another claim, if any; claims of the dead are cleared away. */
async function findRival(directory: string, own: Holder): Promise<Holder | undefined> {
  for (const file of await readdir(directory)) {
    if (!claimFile.test(file) || file === `lock.${own.nonce}.claim`) continue;
    const text = await readText(join(directory, file));
    if (text === undefined) continue;
    const holder = parseHolder(text);
    if (holder !== undefined && (await isAlive(holder, own.boot))) return holder;
    await discard(join(directory, file));
  }
  return undefined;
}

/** A file that appears with all of its content: no other process ever sees half of it. */
async function writeWhole(path: string, holder: Holder): Promise<void> {
  const draft = `${path}.draft`;
  try {
    await writeFile(draft, `${JSON.stringify(holder)}\n`, { mode: 0o600 });
    await rename(draft, path);
  } catch (error) {
    await discard(draft);
    throw error;
  }
}

async function discard(path: string): Promise<void> {
  await rm(path, { force: true }).catch(() => undefined);
}

async function isAlive(holder: Holder, bootNow: string): Promise<boolean> {
  if (holder.boot !== bootNow) return false;
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
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

function busy(directory: string, pid: number): MycelError {
  return new MycelError('MYCEL_DATA_DIR_BUSY', {
    directory,
    pid,
    reason: `Process ${pid} has ${directory} open.`,
  });
}
