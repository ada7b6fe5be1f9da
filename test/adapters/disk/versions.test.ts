/** Versions on a real disk: the contract, what the launcher finds there, and power that goes in the middle of a switch. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createVersions } from '../../../src/adapters/disk/versions.ts';
import { versionsContract } from '../../contract/versions.ts';

async function home(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'mycel-versions-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  return join(directory, 'versions');
}

versionsContract('on disk', async () => createVersions(await home()));

const files = {
  program: new Map([
    ['mycel.mjs', Uint8Array.of(35, 10)],
    ['parts/A.mjs', Uint8Array.of(47, 47)],
  ]),
  sums: `${'cd'.repeat(32)}  mycel.mjs\n${'ef'.repeat(32)}  parts/A.mjs\n`,
};

describe('versions on disk', () => {
  test('lie as the launcher reads them', async () => {
    const directory = await home();
    const versions = createVersions(directory);
    for (const name of ['1.0.0-aa', '1.1.0-bb']) {
      await versions.install(name, files);
      await versions.keep(name);
    }
    await versions.try('1.0.0-aa', 3);
    expect(await readlink(join(directory, 'current'))).toBe('1.1.0-bb');
    expect(await readlink(join(directory, 'previous'))).toBe('1.0.0-aa');
    expect(await readFile(join(directory, 'trial'), 'utf8')).toBe('1.0.0-aa 3\n');
    const sums = await readFile(join(directory, '1.1.0-bb/SHA256SUMS'), 'utf8');
    expect(sums).toBe(files.sums);
    expect(await readFile(join(directory, '1.1.0-bb/parts/A.mjs'), 'utf8')).toBe('//');
  });

  test('what is no version in there is never taken for one', async () => {
    const directory = await home();
    const versions = createVersions(directory);
    await versions.install('1-a', files);
    await writeFile(join(directory, 'trial'), '../../etc 3\n');
    await writeFile(join(directory, 'given-up'), '');
    expect(await versions.view()).toMatchObject({ trial: undefined, givenUp: undefined });
    expect(await versions.has('../1-a')).toBe(false);
    expect(await versions.has('current')).toBe(false);
    await expect(versions.install('../x', files)).rejects.toThrow('plain name');
  });

  test('a process that is killed while it switches leaves one whole version as the current one', async () => {
    const directory = await home();
    const setup = createVersions(directory);
    await setup.install('0-z', files);
    await setup.keep('0-z');
    const writer = fileURLToPath(new URL('versions-writer.ts', import.meta.url));
    const seen = new Set<string>();
    for (let round = 0; round < 12; round += 1) {
      const child = spawn(
        process.execPath,
        ['--import', './test/typescript.mjs', writer, directory],
        {
          stdio: ['ignore', 'pipe', 'inherit'],
        },
      );
      let count = 0;
      const end = 2 + round;
      child.stdout.on('data', (chunk: Buffer) => {
        count += chunk.length;
        if (count >= end) child.kill('SIGKILL');
      });
      await once(child, 'close');
      const { current } = await createVersions(directory).view();
      expect(current).toBeDefined();
      seen.add(current ?? '');
      expect(await createVersions(directory).has(current ?? '')).toBe(true);
      for (const [path, content] of files.program) {
        const found = await readFile(join(directory, current ?? '', path));
        expect([path, found]).toEqual([path, Buffer.from(content)]);
      }
    }
    expect(seen.size, 'it did switch').toBeGreaterThan(1);
  });
});
