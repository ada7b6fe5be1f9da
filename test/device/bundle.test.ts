/** What ships: it runs by itself, tells mistakes by exit code, and starts fast. */

import { execFile, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
let home: string;
let mycel: string;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'mycel-bundle-'));
  // Alone in a directory without package.json or node_modules, as on a board.
  mycel = join(home, 'board', 'mycel.mjs');
  await promisify(execFile)(process.execPath, [join(root, 'device/bundle.mjs'), mycel]);
}, 60_000);
afterAll(() => rm(home, { recursive: true, force: true }));

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function run(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [mycel, ...args], {
      env: { PATH: process.env['PATH'], HOME: home, MYCEL_DATA_DIR: join(home, 'none'), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let out = '';
    let err = '';
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, out, err }));
  });
}

describe('the bundle', () => {
  it('is executable and tells the version of the package', async () => {
    const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
      version: string;
    };
    expect(await run(['--version'])).toEqual({ code: 0, out: `${version}\n`, err: '' });
    expect((await readFile(mycel, 'utf8')).split('\n', 1)[0]).toBe('#!/usr/bin/env node');
  });

  it('exits 2 on a usage mistake, with one line on stderr', async () => {
    for (const args of [
      ['upp'],
      ['up', '--port', 'x'],
      ['sub'],
      ['members', 'extra'],
      ['sub', 'a', '--nope'],
    ]) {
      const { code, out, err } = await run(args);
      expect([args, code, out]).toEqual([args, 2, '']);
      expect(err.trimEnd().split('\n')).toHaveLength(1);
    }
  });

  it('shows its help on stderr and exits 2 without a command, 0 with --help', async () => {
    const bare = await run([]);
    expect([bare.code, bare.out]).toEqual([2, '']);
    expect(bare.err).toContain('Usage: mycel');
    expect((await run(['guest'])).err).toContain('Usage: mycel guest');
    expect(await run(['up', '--help'])).toMatchObject({ code: 0, err: '' });
  });

  it.each([
    ['status'],
    ['members'],
    ['discover'],
    ['pub', 'a', 'b'],
    ['sub', 'a'],
    ['init'],
    ['invite'],
    ['join', 'mycel:1:x'],
    ['pending'],
    ['approve', '123456'],
    ['guest', 'add', 'x'],
    ['guest', 'ls'],
    ['guest', 'rm', 'x'],
    ['leave'],
    ['revoke', 'abcd'],
    ['down'],
  ])('exits 3 when no node runs: %s %s %s', async (...args) => {
    const given = args.filter((arg) => arg !== undefined);
    const text = `No node is running on this machine (${join(home, 'none')}).`;
    const fix = 'Start one with "mycel up".';
    expect(await run(given)).toEqual({ code: 3, out: '', err: `${text} ${fix}\n` });
    const asJson = await run([...given, '--json']);
    expect(asJson.code).toBe(3);
    expect(JSON.parse(asJson.err)).toEqual({ error: { code: 'MYCEL_NO_NODE', text, fix } });
  });

  it('writes no colour codes into a pipe', async () => {
    const { out, err } = await run(['doctor']);
    expect(out + err).not.toContain('\u001b');
    expect(out).toContain('running node');
  });

  it('doctor gives JSON findings and exits 1 when one fails', async () => {
    const { code, out, err } = await run(['doctor', '--json', '--data-dir', '/proc/none']);
    const findings = JSON.parse(out) as { check: string; level: string; fix?: string }[];
    expect(findings.some(({ level }) => level === 'fail')).toBe(true);
    expect(code).toBe(1);
    expect(JSON.parse(err)).toMatchObject({ error: { code: 'MYCEL_DOCTOR' } });
  });
});
