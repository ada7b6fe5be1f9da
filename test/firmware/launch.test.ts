/** The launcher chooses what to start, and counts before it tries; run by a real shell on a real disk. */

import { mkdtemp, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { runCommand } from '../process.ts';

const script = fileURLToPath(new URL('../../firmware-scripts/launch.sh', import.meta.url));
const report = 'console.log(process.argv[2], process.env.MYCEL_RUNNING, process.env.MYCEL_TRIAL)\n';

let home = '';
const at = (...parts: readonly string[]): string => join(home, ...parts);

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'mycel-launch-'));
  onTestFinished(() => rm(home, { recursive: true, force: true }));
  await writeFile(at('mycel.mjs'), report);
});

async function install(name: string): Promise<void> {
  await mkdir(at('versions', name), { recursive: true });
  await writeFile(at('versions', name, 'mycel.mjs'), report);
  const hash = createHash('sha256').update(report).digest('hex');
  await writeFile(at('versions', name, 'SHA256SUMS'), `${hash}  mycel.mjs\n`);
}

async function launch(): Promise<string> {
  const { code, stdout, stderr } = await runCommand(['sh', script, 'up'], {
    env: {
      MYCEL_DATA_DIR: home,
      MYCEL_PROGRAM: at('mycel.mjs'),
      MYCEL_NODE: process.execPath,
      MYCEL_NODE_FLAGS: '',
    },
  });
  expect(code, stderr).toBe(0);
  return stdout.trim();
}

describe('the launcher', () => {
  test('starts what was installed by hand where there is nothing else', async () => {
    expect(await launch()).toBe('up installed no');
  });

  test('starts the current version', async () => {
    await install('2-b');
    await symlink('2-b', at('versions/current'));
    expect(await launch()).toBe('up 2-b no');
  });

  test('counts a trial down before each start of it, then gives it up for the current one', async () => {
    await install('1-a');
    await install('2-b');
    await symlink('1-a', at('versions/current'));
    await writeFile(at('versions/trial'), '2-b 2\n');
    expect(await launch()).toBe('up 2-b yes');
    expect(await readFile(at('versions/trial'), 'utf8')).toBe('2-b 1\n');
    expect(await launch()).toBe('up 2-b yes');
    expect(await launch()).toBe('up 1-a no');
    expect(existsSync(at('versions/trial'))).toBe(false);
    expect(await readFile(at('versions/given-up'), 'utf8')).toBe('2-b\n');
    expect(await launch()).toBe('up 1-a no');
  });

  test('a damaged version is not started: the trial is given up, the one before takes over', async () => {
    for (const name of ['1-a', '2-b', '3-c']) await install(name);
    await symlink('2-b', at('versions/current'));
    await symlink('1-a', at('versions/previous'));
    await writeFile(at('versions/trial'), '3-c 3\n');
    await writeFile(at('versions/3-c/mycel.mjs'), `${report}//`);
    expect(await launch()).toBe('up 2-b no');
    expect(await readFile(at('versions/given-up'), 'utf8')).toBe('3-c\n');
    await rm(at('versions/2-b/mycel.mjs'));
    expect(await launch()).toBe('up 1-a no');
    await rm(at('versions/1-a'), { recursive: true });
    expect(await launch()).toBe('up installed no');
  });

  test('a disk that cannot count starts no trial', async () => {
    await install('1-a');
    await writeFile(at('versions/trial'), '1-a 3\n');
    // Where the new count would be written there is something that cannot be replaced.
    await mkdir(at('versions/trial.new/full'), { recursive: true });
    expect(await launch()).toBe('up installed no');
    expect(await readFile(at('versions/trial'), 'utf8')).toBe('1-a 3\n');
  });

  test.each(['', '2-b', '2-b x', '../2-b 3', '2-b -1', '$(touch x) 3'])(
    'a trial file that says %j harms nothing',
    async (text) => {
      await install('2-b');
      await writeFile(at('versions/trial'), `${text}\n`);
      expect(await launch()).toBe('up installed no');
    },
  );
});
