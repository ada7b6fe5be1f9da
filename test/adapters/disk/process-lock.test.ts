import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { takeLock } from '../../../src/adapters/disk/process-lock.ts';
import { bundleProgram, startProgram } from '../child.ts';

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'mycel-lock-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

/** What a process that ended without a goodbye leaves behind. */
async function writeLock(holder: object): Promise<void> {
  await writeFile(join(directory, 'lock'), `${JSON.stringify(holder)}\n`);
  await writeFile(join(directory, 'lock.0123456789ab.claim'), `${JSON.stringify(holder)}\n`);
}

/** The lock as this process would write it. */
async function ownHolder(): Promise<{ pid: number; boot: string; start: string; nonce: string }> {
  const lock = await takeLock(directory);
  const holder = JSON.parse(await readFile(join(directory, 'lock'), 'utf8'));
  await lock.release();
  return holder;
}

describe('the lock of a data directory', () => {
  test('is refused to a second process while the first lives, naming its id, and free after a kill', async () => {
    const bundle = await bundleProgram(new URL('writer.ts', import.meta.url).pathname);
    try {
      const program = startProgram(bundle.file, [directory]);
      await program.line((line) => line === 'open', 20_000);
      const refusal = await takeLock(directory).catch((error: unknown) => error);
      expect(refusal).toMatchObject({
        code: 'MYCEL_DATA_DIR_BUSY',
        details: { pid: program.child.pid },
      });
      expect((refusal as Error).message).toContain(`${program.child.pid}`);
      program.child.kill('SIGKILL');
      await program.ended;
      await (await takeLock(directory)).release();
    } finally {
      await bundle.dispose();
    }
  });

  test('is refused to a second node of the same process too', async () => {
    const lock = await takeLock(directory);
    await expect(takeLock(directory)).rejects.toMatchObject({ code: 'MYCEL_DATA_DIR_BUSY' });
    await lock.release();
    await lock.release();
    await (await takeLock(directory)).release();
  });

  test('left by an earlier boot is free although the number lives now', async () => {
    await writeLock({ ...(await ownHolder()), boot: '00000000-0000-0000-0000-000000000000' });
    await (await takeLock(directory)).release();
  });

  test('left by a process whose number was given to a later one is free', async () => {
    await writeLock({ ...(await ownHolder()), start: '1' });
    await (await takeLock(directory)).release();
  });

  test('left by a process that has ended is free', async () => {
    const child = spawn('true');
    await once(child, 'exit');
    await writeLock({ ...(await ownHolder()), pid: child.pid });
    await (await takeLock(directory)).release();
  });

  test('left empty or torn by a power cut is free', async () => {
    for (const torn of [
      '',
      '{"pid":',
      '[]',
      'null',
      '{"pid":-1,"boot":"","start":"","nonce":""}',
    ]) {
      await writeFile(join(directory, 'lock'), torn);
      await writeFile(join(directory, 'lock.0123456789ab.claim'), torn);
      await (await takeLock(directory)).release();
    }
    expect(await readdir(directory)).toEqual([]);
  });

  test('goes to exactly one of many that find a dead one at once', async () => {
    for (let round = 0; round < 25; round += 1) {
      await writeLock({ ...(await ownHolder()), start: '1' });
      const results = await Promise.allSettled(
        Array.from({ length: 8 }, () => takeLock(directory)),
      );
      const taken = results.filter((result) => result.status === 'fulfilled');
      expect(taken).toHaveLength(1);
      for (const { value } of taken) await value.release();
      expect(await readdir(directory)).toEqual([]);
    }
  });
});
