/**
 * The unit, and the scripts of the guide for OpenRC and runit as printed, on boards that these start: the node runs, and
 * versions come and go by the launcher. The root that `MYCEL_BOARD_ROOT` names must hold both (debian-root.sh).
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { afterAll, beforeAll, expect, it } from 'vitest';

import type { Finished } from '../process.ts';
import { packPackage, packProgram } from '../update-package.ts';
import { createBoard, type Board, type BootedBoard } from './board.ts';
import { projectRoot, shipMycel, type Shipped } from './package.ts';

let shipped: Shipped;
beforeAll(async () => {
  shipped = await shipMycel();
}, 60_000);
afterAll(() => shipped.remove());

const guide = readFileSync(join(projectRoot, 'docs/guide/install.md'), 'utf8');

/** The script of the guide that has this line. */
function printed(line: string): string {
  const blocks = [...guide.matchAll(/```sh\n(#![^`]*)```/g)].map((match) => match[1] ?? '');
  const found = blocks.filter((block) => block.includes(line));
  expect(found, line).toHaveLength(1);
  return found[0] ?? '';
}

/** A board with mycel on it, as the installer leaves it, and scripts of the guide. */
async function prepare(scripts: Readonly<Record<string, string>>): Promise<Board> {
  const board = await createBoard();
  await board.give(join(projectRoot, 'firmware-scripts'), '/opt/scripts');
  await board.give(shipped.tarball, '/opt/mycel.tgz');
  const { version } = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8')) as {
    readonly version: string;
  };
  const good = packProgram(dirname(shipped.bundle), [version, '0.2.0']);
  const bad = packPackage({ version: '0.3.0', program: '#!/usr/bin/env node\nprocess.exit(1);\n' });
  for (const [name, bytes] of [
    ['good', good],
    ['bad', bad],
  ] as const) {
    writeFileSync(board.file(`/opt/${name}.tgz`), bytes);
  }
  const install = await board.run(['sh', '/opt/scripts/install.sh'], {
    env: {
      MYCEL_BUNDLE: '/opt/mycel.tgz',
      MYCEL_NAME: 'attic',
      MYCEL_START: 'no',
      MYCEL_ARGS: '--mesh home --no-mdns --no-multicast',
    },
  });
  expect(install).toMatchObject({ code: 0 });
  for (const [path, text] of Object.entries(scripts)) {
    const put = [
      'sh',
      '-ec',
      'mkdir -p "${1%/*}"; printf %s "$2" >"$1"; chmod 755 "$1"',
      'sh',
      path,
      text,
    ];
    expect(await board.run(put)).toMatchObject({ code: 0, stderr: '' });
  }
  return board;
}

const quickly = ['--healthy-for', '2s', '--trial', '15s', '--patience', '60s'] as const;

/** The node on it as its owner sees it. */
function watch(booted: BootedBoard) {
  const mycel = (...args: readonly string[]): Promise<Finished> =>
    booted.run(['/usr/local/bin/mycel', ...args]);
  return {
    mycel,
    until: (version: string): Promise<string> =>
      booted.until(
        ['/usr/local/bin/mycel', 'status', '--json'],
        new RegExp(`"name":"attic","version":"${version}"`),
      ),
    update: (name: string): Promise<Finished> =>
      booted.run(
        ['/usr/local/bin/mycel', 'update', '--to', `/opt/${name}.tgz`, ...quickly, '--json'],
        80_000,
      ),
    user: async (): Promise<string> =>
      (await booted.run(['ps', '-C', 'node', '-o', 'user='])).stdout.trim(),
  };
}

interface Init {
  readonly scripts: Readonly<Record<string, string>>;
  /** What its owner types once, and what makes an init of the image's packages. */
  readonly wire: string;
  /** Process 1. */
  readonly init?: readonly [string, ...string[]];
  readonly stop: readonly string[];
  readonly asked: readonly string[];
  readonly stopped: RegExp;
}

const inits: Readonly<Record<'systemd' | 'OpenRC' | 'runit', Init>> = {
  systemd: {
    scripts: {},
    wire: '',
    stop: ['/usr/local/bin/mycel', 'down'],
    asked: ['systemctl', 'is-active', 'mycel'],
    stopped: /^inactive/,
  },
  OpenRC: {
    scripts: { '/etc/init.d/mycel': printed('#!/sbin/openrc-run') },
    // A board without hardware: nothing but the node. Debian's OpenRC reads the other file.
    wire: 'rm -rf /etc/runlevels/*/*; : >/etc/insserv.conf; rc-update add mycel default',
    init: ['/usr/sbin/openrc-init'],
    stop: ['rc-service', 'mycel', 'stop'],
    asked: ['rc-service', 'mycel', 'status'],
    stopped: /status: stopped/,
  },
  runit: {
    scripts: {
      '/etc/sv/mycel/run': printed('# /etc/sv/mycel/run'),
      '/etc/sv/mycel/finish': printed('# /etc/sv/mycel/finish'),
    },
    // As runit lays it out where it is process 1, but for the services of its own.
    wire: 'rm /etc/service; mkdir /etc/service; ln -s /etc/sv/mycel /etc/service/',
    init: ['/usr/bin/runsvdir', '-P', '/etc/service'],
    stop: ['/usr/local/bin/mycel', 'down'],
    asked: ['sv', 'status', '/etc/service/mycel'],
    stopped: /^down: .*, normally up\n/,
  },
};

it.concurrent.for(['systemd', 'OpenRC', 'runit'] as const)(
  '%s starts the node as its own user, takes a version over the mesh, goes back from one that does not start, and stops it',
  { timeout: 120_000 },
  async (name, { onTestFinished }) => {
    const { scripts, wire, init, stop, asked, stopped } = inits[name];
    const board = await prepare(scripts);
    onTestFinished(() => board.remove());
    expect(await board.run(['sh', '-ec', wire])).toMatchObject({ code: 0, stderr: '' });
    const booted = await board.boot(init === undefined ? {} : { init });
    onTestFinished(() => booted.cutPower());
    const node = watch(booted);
    await node.until('0.1.0');
    expect(await node.user()).toBe('mycel');
    // A mesh that nobody was ever invited to is none yet.
    expect(await node.mycel('invite')).toMatchObject({ code: 0 });
    const kept = await node.update('good');
    expect(kept, kept.stderr).toMatchObject({ code: 0 });
    await node.until('0.2.0');
    const taken = await node.update('bad');
    expect(taken.code, taken.stderr).toBe(1);
    expect(taken.stderr).toContain('it did not start');
    await node.until('0.2.0');
    expect(await booted.run(stop)).toMatchObject({ code: 0 });
    await booted.until(asked, stopped);
  },
);
