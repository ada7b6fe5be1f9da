/** The installer in a Debian root file system without a network, from the files that ship. */

import { cp, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { runCommand, type Finished } from '../process.ts';
import { createBoard, type Board } from './board.ts';
import { projectRoot, shipMycel, type Shipped } from './package.ts';

let shipped: Shipped;
let board: Board;
const scripts = join(projectRoot, 'firmware-scripts');

beforeAll(async () => {
  shipped = await shipMycel();
}, 60_000);
afterAll(() => shipped.remove());
beforeEach(async () => {
  board = await createBoard();
  await board.give(shipped.tarball, '/opt/mycel.tgz');
  for (const name of await readdir(scripts)) await board.give(join(scripts, name), `/opt/${name}`);
});
afterEach(() => board.remove());

const install = (env: Readonly<Record<string, string>> = {}): Promise<Finished> =>
  board.run(['sh', '/opt/install.sh'], { env: { MYCEL_BUNDLE: '/opt/mycel.tgz', ...env } });

/** Every file the board has of its own, with its bytes and when it was written. */
async function filesOf(target: Board): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const entry of await readdir(target.file('/'), { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const { mtimeMs, mode, uid } = await stat(path);
    const bytes = await readFile(path);
    found.set(path.slice(target.file('/').length - 1), `${mtimeMs} ${mode} ${uid} ${bytes.length}`);
  }
  return found;
}

describe('the scripts', () => {
  it('are plain sh: shellcheck and shfmt have nothing to say', async () => {
    const names = (await readdir(scripts)).filter((name) => name.endsWith('.sh'));
    const paths = names.map((name) => join(scripts, name));
    expect(await runCommand(['shellcheck', '--shell=sh', ...paths])).toMatchObject({
      code: 0,
      stdout: '',
    });
    expect(await runCommand(['shfmt', '-i', '2', '-ci', '-d', ...paths])).toMatchObject({
      code: 0,
      stdout: '',
    });
  });

  it('in the guide for OpenRC and runit are clean too', async () => {
    const guide = await readFile(join(projectRoot, 'docs/guide/install.md'), 'utf8');
    const blocks = [...guide.matchAll(/```sh\n(#!.*\n[^`]*)```/g)].map((match) => match[1] ?? '');
    expect(blocks.length).toBeGreaterThanOrEqual(2);
    for (const block of blocks) {
      const checked = await runCommand(['shellcheck', '--shell=sh', '-'], { input: block });
      expect(checked, block).toMatchObject({ code: 0, stdout: '' });
    }
  });
});

describe('the installer', () => {
  it('makes a runnable command, an enabled service and a user, from the packed tarball alone', async () => {
    const done = await install({ MYCEL_NAME: 'attic pi', MYCEL_ARGS: '--label room=attic' });
    expect(done).toMatchObject({ code: 0, stderr: '' });
    const { version } = JSON.parse(await readFile(join(projectRoot, 'package.json'), 'utf8')) as {
      version: string;
    };
    expect(await board.run(['/usr/local/bin/mycel', '--version'])).toMatchObject({
      stdout: `${version}\n`,
    });
    expect((await board.run(['id', '-u', 'mycel'])).stdout).toMatch(/^\d{3}\n$/);
    const enabled = await board.run(['systemctl', 'is-enabled', 'mycel.service']);
    expect(enabled.stdout).toBe('enabled\n');
    expect(board.read('/etc/mycel/env')).toContain(
      'MYCEL_NAME="attic pi"\nMYCEL_ARGS="--label room=attic"\n',
    );
  });

  it('writes a unit that systemd finds no fault with and rates 2.0 or safer', async () => {
    await install();
    const unit = '/etc/systemd/system/mycel.service';
    const verified = await board.run(['systemd-analyze', 'verify', '--man=no', unit]);
    expect(verified).toEqual({ code: 0, stdout: '', stderr: '' });
    const rate = 'systemd-analyze security --offline=true --threshold=20 --no-pager'.split(' ');
    const rated = await board.run([...rate, unit]);
    expect(rated).toMatchObject({ code: 0, stderr: '' });
    expect(rated.stdout).toMatch(/Overall exposure level for mycel\.service: 1\.\d OK/);
  });

  it('changes nothing when it runs again, and a --dry-run never does', async () => {
    const bare = await filesOf(board);
    const dry = await install({ MYCEL_DRY_RUN: '1' });
    expect(dry).toMatchObject({ code: 0, stderr: '' });
    expect(dry.stdout).toContain('would write /usr/local/lib/mycel/mycel.mjs');
    expect(await filesOf(board)).toEqual(bare);
    await install({ MYCEL_NAME: 'attic' });
    const parts = (await readdir(board.file('/usr/local/lib/mycel/parts'))).toSorted();
    expect(parts).toEqual((await readdir(join(dirname(shipped.bundle), 'parts'))).toSorted());
    const installed = await filesOf(board);
    const again = await install();
    expect(again.stdout).not.toMatch(/wrote|made|linked|enabled {2}/);
    expect(await filesOf(board)).toEqual(installed);
  });

  it('leaves no part of an earlier version, and one that was damaged is mended', async () => {
    await install();
    const at = (name: string): string => board.file(`/usr/local/lib/mycel/parts/${name}`);
    const [part = '', whole = ''] = await readdir(at(''));
    await writeFile(at('OLDVERSN.mjs'), 'export {}');
    await writeFile(at(part), 'cut sh');
    const { mtimeMs } = await stat(at(whole));
    const { stdout } = await install();
    expect(stdout).toContain('wrote    /usr/local/lib/mycel/parts');
    expect(await readFile(at(part), 'utf8')).not.toBe('cut sh');
    expect(await readdir(at(''))).not.toContain('OLDVERSN.mjs');
    // The version before it may share a part: a power cut must not find it half written.
    expect((await stat(at(whole))).mtimeMs).toBe(mtimeMs);
  });

  it('keeps the invite for the service user alone', async () => {
    const invite = `mycel:1:${'a'.repeat(60)}`;
    await writeFile(join(board.card, 'invite'), `${invite}\r\n`);
    expect((await install({ MYCEL_JOIN: '@/boot/firmware/invite' })).code).toBe(0);
    expect(board.read('/var/lib/mycel/invite')).toBe(invite);
    const listed = await board.run([
      'stat',
      '-c',
      '%U %a',
      '/var/lib/mycel',
      '/var/lib/mycel/invite',
    ]);
    expect(listed.stdout).toBe('mycel 700\nmycel 600\n');
  });

  it('installs into another root file system and touches nothing outside it', async () => {
    await mkdir(board.file('/mnt/card/etc'), { recursive: true });
    await mkdir(board.file('/mnt/card/usr/bin'), { recursive: true });
    await mkdir(board.file('/mnt/card/lib/systemd/system'), { recursive: true });
    await writeFile(board.file('/mnt/card/etc/passwd'), 'root:x:0:0::/root:/bin/sh\n');
    await writeFile(board.file('/mnt/card/etc/group'), 'root:x:0:\n');
    await cp(process.execPath, board.file('/mnt/card/usr/bin/node'));
    const before = await filesOf(board);
    const done = await install({
      MYCEL_ROOT: '/mnt/card',
      MYCEL_JOIN: `mycel:1:${'a'.repeat(60)}`,
    });
    expect(done).toMatchObject({ code: 0, stderr: '' });
    const fresh = [...(await filesOf(board)).keys()].filter((path) => !before.has(path));
    expect(fresh.filter((path) => !path.startsWith('/mnt/card/'))).toEqual([]);
    expect(fresh).toContain('/mnt/card/var/lib/mycel/invite');
    expect(board.read('/mnt/card/etc/passwd')).toContain('mycel:x:');
    const link = '/mnt/card/etc/systemd/system/multi-user.target.wants/mycel.service';
    const target = await board.run(['readlink', link]);
    expect(target.stdout).toBe('/etc/systemd/system/mycel.service\n');
  });

  it('takes Node.js from a tarball of nodejs.org, the program alone', async () => {
    const top = board.file('/opt/node-v20.20.2-linux-x64');
    await mkdir(join(top, 'bin'), { recursive: true });
    await cp(process.execPath, join(top, 'bin/node'));
    await writeFile(join(top, 'README.md'), 'npm and headers would be here');
    await runCommand([
      'tar',
      '-C',
      board.file('/opt'),
      '-cf',
      board.file('/opt/node.tar.gz'),
      '--use-compress-program=gzip -1',
      'node-v20.20.2-linux-x64',
    ]);
    expect(await install({ MYCEL_NODE: '/opt/node.tar.gz' })).toMatchObject({
      code: 0,
      stderr: '',
    });
    const { mode, size } = await stat(board.file('/usr/local/lib/mycel/node'));
    expect([mode & 0o777, size]).toEqual([0o755, (await stat(process.execPath)).size]);
  });

  it('uninstalls what it installed and keeps the identity, unless it is told to purge', async () => {
    const before = new Set((await filesOf(board)).keys());
    await install({ MYCEL_JOIN: `mycel:1:${'a'.repeat(60)}` });
    const gone = await board.run(['sh', '/usr/local/lib/mycel/uninstall.sh']);
    expect(gone).toMatchObject({ code: 0, stderr: '' });
    const left = (): Promise<string[]> =>
      filesOf(board).then((files) =>
        [...files.keys()].filter((path) => !before.has(path)).toSorted(),
      );
    // The user's account stays with the files that belong to it.
    const accounts = /^\/etc\/(\.pwd\.lock|(passwd|group|shadow|gshadow|subuid|subgid)-?)$/;
    expect((await left()).filter((path) => !accounts.test(path))).toEqual([
      '/etc/mycel/env',
      '/var/lib/mycel/invite',
    ]);
    await board.run(['sh', '/opt/uninstall.sh'], { env: { MYCEL_PURGE: '1' } });
    expect((await left()).filter((path) => !accounts.test(path))).toEqual([]);
    expect((await board.run(['id', 'mycel'])).code).toBe(1);
  });
});

describe('the installer refuses', () => {
  const refusals: readonly (readonly [string, Readonly<Record<string, string>>, RegExp])[] = [
    [
      'a download without its checksum',
      { MYCEL_URL: 'https://example.org/mycel.tgz' },
      /MYCEL_SHA256/,
    ],
    ['a file that is not the one named', { MYCEL_SHA256: '0'.repeat(64) }, /cut short or changed/],
    ['a file that is no mycel', { MYCEL_BUNDLE: '/etc/hostname' }, /not the mycel program/],
    ['a program without its parts', { MYCEL_BUNDLE: '/opt/alone/mycel.mjs' }, /no parts beside it/],
    ['a file that is not there', { MYCEL_BUNDLE: '/none' }, /no file \/none/],
    ['a node that its service cannot see', { MYCEL_NODE: '/home/me/bin/node' }, /home directory/],
    ['a node that is too old', { MYCEL_NODE: '/opt/old-node' }, /v18\.20\.4, mycel needs 20\.19/],
    ['a program that is no node', { MYCEL_NODE: '/etc/hostname' }, /no program|does not run/],
    ['a name that would break the settings file', { MYCEL_NAME: 'a"\nPATH=/x' }, /character/],
    ['an invite that is none', { MYCEL_JOIN: 'hello' }, /not an invite/],
    ['a directory that is no system', { MYCEL_ROOT: '/opt' }, /has no etc/],
  ];
  it.each(refusals)('%s, with the reason and the next step', async (_, env, reason) => {
    await board.give(shipped.bundle, '/opt/alone/mycel.mjs');
    await writeFile(board.file('/opt/old-node'), '#!/bin/sh\necho v18.20.4\n', { mode: 0o755 });
    const { code, stderr } = await install(env);
    expect(code).toBe(1);
    expect(stderr).toMatch(reason);
    expect(stderr).toMatch(/\n {2}next: .+\n$/);
    expect(board.has('/etc/systemd/system/mycel.service')).toBe(false);
  });

  it('a read-only root, and says how to get past it', async () => {
    const { code, stderr } = await board.run(['sh', '/opt/install.sh'], {
      env: { MYCEL_BUNDLE: '/opt/mycel.tgz' },
      readOnly: ['/etc', '/usr'],
    });
    expect(code).toBe(1);
    expect(stderr).toContain('/usr/local is read-only.');
    expect(stderr).toContain('next: Make it writable (mount -o remount,rw / ;');
  });
});
