/** The command line: every command and flag, as parsed, and what a mistake is told. */

import { readFile, mkdtemp, writeFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { CommanderError, type Command } from 'commander';
import { describe, expect, it } from 'vitest';

import { resolveDataDir } from '../../device/data-dir.ts';
import { Failure, toFailure } from '../../device/failure.ts';
import { findInvite, readInvite } from '../../device/invite-source.ts';
import { toNodeOptions } from '../../device/commands/up.ts';
import type { UpFlags } from '../../device/program-node.ts';
import { createProgram } from '../../device/program.ts';
import { createTerminal } from '../../device/terminal.ts';
import { MycelError } from '../../src/kernel/errors.ts';

const terminal = createTerminal();
const program = (): Command => createProgram(terminal);

function find(name: string): Command {
  let at: Command | undefined = program();
  for (const part of name.split(' ')) at = at?.commands.find((command) => command.name() === part);
  if (at === undefined) throw new Error(`no command ${name}`);
  return at;
}

function parse(name: string, args: string[]): Record<string, unknown> {
  const command = find(name);
  const { unknown } = command.parseOptions(args);
  expect(unknown).toEqual([]);
  return command.opts();
}

describe('every command of the contract', () => {
  it.each(
    [
      'up status members discover pub sub init invite join pending approve leave revoke down doctor demo',
    ]
      .join(' ')
      .split(' ')
      .concat(['guest add', 'guest ls', 'guest rm']),
  )('has "%s"', (name) => {
    expect(find(name).description()).not.toBe('');
  });

  it('is described in the guide, flag by flag', async () => {
    const guide = await readFile(new URL('../../docs/guide/cli.md', import.meta.url), 'utf8');
    const walk = (command: Command): string[] => [
      ...command.options.map(({ long }) => long ?? ''),
      ...command.commands.flatMap(walk),
    ];
    for (const flag of walk(program())) expect(guide).toContain(flag);
    for (const { commands } of [program(), find('guest')]) {
      for (const command of commands) expect(guide).toContain(command.name());
    }
  });
});

describe('flags', () => {
  it('of up become the options of the library, and only those that were stated', () => {
    const line =
      '--name porch --port 1884 --mesh home --seed a:1 --seed b --interface eth0 ' +
      '--label room=kitchen --label eq=a=b --profile wifi --dev --no-mdns';
    const flags = parse('up', line.split(' ')) as unknown as UpFlags;
    expect(toNodeOptions(flags, '/d', 'mycel:1:x')).toEqual({
      dataDir: '/d',
      name: 'porch',
      port: 1884,
      mesh: 'home',
      join: 'mycel:1:x',
      seeds: ['a:1', 'b'],
      interfaces: ['eth0'],
      labels: { room: 'kitchen', eq: 'a=b' },
      profile: 'wifi',
      dev: true,
      mdns: false,
    });
    expect(toNodeOptions(parse('up', []) as unknown as UpFlags, '/d', undefined)).toEqual({
      dataDir: '/d',
    });
  });

  it.each([
    [
      'invite',
      ['--ttl', '1h', '--uses', '3', '--open', '5m', '--role', 'admin'],
      { ttl: 3_600_000, uses: 3, open: 300_000, role: 'admin' },
    ],
    ['sub', ['--count', '3', '--timeout', '2'], { count: 3, timeout: 2000 }],
    ['pub', ['--qos', '0', '--retain'], { qos: 0, retain: true }],
    ['pub', [], { qos: 1 }],
    [
      'guest add',
      ['--publish', 'a/#', '--publish', 'b', '--subscribe', 'c', '--password-stdin'],
      { publish: ['a/#', 'b'], subscribe: ['c'], passwordStdin: true },
    ],
    ['demo', ['--seconds', '5'], { seconds: 5000 }],
    ['doctor', ['--port', '1'], { port: 1 }],
  ] as const)('of %s %j are read as %j', (name, args, expected) => {
    expect(parse(name, [...args])).toEqual(expected);
  });

  it.each([
    ['up', ['--port', '65536'], '--port'],
    ['up', ['--port', '0x10'], '--port'],
    ['up', ['--port', '-1'], '--port'],
    ['up', ['--profile', 'slow'], '--profile'],
    ['up', ['--label', 'nothing'], '--label'],
    ['up', ['--label', '=v'], '--label'],
    ['up', ['--log-level', 'loud'], '--log-level'],
    ['invite', ['--uses', '0'], '--uses'],
    ['invite', ['--ttl', '15'], '--ttl'],
    ['invite', ['--open', 'soon'], '--open'],
    ['invite', ['--role', 'king'], '--role'],
    ['sub', ['--count', '0'], '--count'],
    ['sub', ['--timeout', '-1'], '--timeout'],
    ['pub', ['--qos', '2'], '--qos'],
    ['demo', ['--seconds', 'x'], '--seconds'],
  ])('%s %j is a usage mistake that names %s and its fix', (name, args, flag) => {
    let failure: unknown;
    try {
      parse(name, args);
    } catch (error) {
      failure = error;
    }
    expect(failure).toBeInstanceOf(Failure);
    const { exitCode, message, fix } = failure as Failure;
    expect(exitCode).toBe(2);
    expect(`${message} ${fix}`).toContain(flag);
  });

  it.each([
    [['upp'], 'Did you mean up?'],
    [['member'], 'Did you mean members?'],
    [['up', '--prot', '1'], 'Did you mean --port?'],
    [['members', '--jsno'], 'Did you mean --json?'],
    [['guest', 'ad'], 'Did you mean add?'],
  ])('%j is answered with the nearest name', async (args, hint) => {
    const failure = await program()
      .parseAsync(args, { from: 'user' })
      .catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(CommanderError);
    expect((failure as CommanderError).message).toContain(hint);
  });
});

describe('the data directory', () => {
  it('is the flag, else the environment, else the home', () => {
    const before = process.env['MYCEL_DATA_DIR'];
    process.env['MYCEL_DATA_DIR'] = '/env';
    expect(resolveDataDir('/flag')).toBe('/flag');
    expect(resolveDataDir(undefined)).toBe('/env');
    delete process.env['MYCEL_DATA_DIR'];
    expect(resolveDataDir(undefined)).toMatch(/^\/.*mycel$/);
    expect(resolveDataDir('a/../b')).toBe(join(process.cwd(), 'b'));
    if (before !== undefined) process.env['MYCEL_DATA_DIR'] = before;
  });
});

describe('an invite', () => {
  it('comes from the flag, else MYCEL_JOIN, else the file on the card', async () => {
    const home = await mkdtemp(join(tmpdir(), 'mycel-invite-'));
    const file = join(home, 'join');
    await writeFile(file, '  mycel:1:card \n');
    const env = { MYCEL_JOIN: 'mycel:1:env', MYCEL_JOIN_FILE: file };
    expect(await findInvite('mycel:1:flag', env)).toEqual({ text: 'mycel:1:flag' });
    expect(await findInvite(`@${file}`, env)).toEqual({ text: 'mycel:1:card' });
    expect(await findInvite(undefined, env)).toEqual({ text: 'mycel:1:env' });
    expect(await findInvite(undefined, { MYCEL_JOIN_FILE: file, MYCEL_JOIN: '' })).toEqual({
      text: 'mycel:1:card',
      file,
    });
    expect(await findInvite(undefined, {})).toBeUndefined();
    await rm(home, { recursive: true });
    // A file that is gone is a file that was used.
    expect(await findInvite(undefined, { MYCEL_JOIN_FILE: file })).toBeUndefined();
    await expect(readInvite(`@${file}`)).rejects.toMatchObject({ code: 'MYCEL_BAD_OPTION' });
  });

  it('in an empty or absurdly long file is refused with its path', async () => {
    const home = await mkdtemp(join(tmpdir(), 'mycel-invite-'));
    const file = join(home, 'join');
    for (const content of ['', ' \n', 'x'.repeat(20_000)]) {
      await writeFile(file, content);
      await expect(readInvite(`@${file}`)).rejects.toThrow(file);
    }
    await rm(home, { recursive: true });
  });
});

describe('a failure', () => {
  it('of the library keeps its code, text and fix, without the code in the text', () => {
    const failure = toFailure(new MycelError('MYCEL_BAD_OPTION', { reason: "'port' is bad." }));
    expect(failure.toRecord()).toEqual({
      code: 'MYCEL_BAD_OPTION',
      text: "An option is not valid. 'port' is bad.",
      fix: 'Correct the option named in the message.',
    });
    expect(failure.exitCode).toBe(2);
  });

  it('of the system names what to do, and anything else asks to be reported', () => {
    const full = Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC' });
    expect(toFailure(full)).toMatchObject({ code: 'MYCEL_SYSTEM', exitCode: 1 });
    expect(toFailure(new TypeError('x is not a function'))).toMatchObject({
      code: 'MYCEL_INTERNAL',
    });
    expect(toFailure('just text').message).toContain('just text');
  });
});
