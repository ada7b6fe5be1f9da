/** Completion and manual page in the real shells and the real man. */

import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { completion, manual, shells } from '../../device/commands/completion.ts';
import type { Failure } from '../../device/failure.ts';
import { createProgram } from '../../device/program.ts';
import { createTerminal } from '../../device/terminal.ts';

const run = promisify(execFile);
let home: string;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'mycel-completion-'));
  for (const shell of shells) {
    await writeFile(
      join(home, shell),
      printed((context, program) => completion(context, program, shell)),
    );
  }
  await writeFile(join(home, 'mycel.1'), printed(manual));
});
afterAll(() => rm(home, { recursive: true, force: true }));

type Context = Parameters<typeof completion>[0];
type Program = Parameters<typeof completion>[1];

function printed(act: (context: Context, program: Program) => void): string {
  const lines: string[] = [];
  const terminal = { ...createTerminal(), line: (text: string) => void lines.push(text) };
  act({ json: false, dataDir: '/nowhere', terminal }, createProgram(createTerminal()));
  return `${lines.join('\n')}\n`;
}

/** What each shell offers after these words, the last of which is being typed. */
const offers: Record<(typeof shells)[number], (words: readonly string[]) => Promise<string[]>> = {
  async bash(words) {
    const script = `source ${home}/bash; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _mycel
      printf '%s\\n' "\${COMPREPLY[@]}"`;
    return lines(await run('bash', ['-c', script, 'test', ...words]));
  },
  async zsh(words) {
    const script = `compdef() { :; }; _files() { :; }
      _describe() { print -rl -- \${(P)2}; }
      source ${home}/zsh; words=("$@"); CURRENT=$#; _mycel`;
    const all = lines(await run('zsh', ['-f', '-c', script, 'test', ...words]));
    const last = words.at(-1) ?? '';
    return all.map((line) => line.split(':')[0] ?? '').filter((word) => word.startsWith(last));
  },
  async fish(words) {
    const script = `source ${home}/fish; complete -C "${words.join(' ')}"`;
    const shown = await run('fish', ['--no-config', '-c', script], {
      env: { ...process.env, HOME: home, XDG_CONFIG_HOME: home, XDG_DATA_HOME: home },
    });
    return lines(shown).map((line) => line.split('\t')[0] ?? '');
  },
};

function lines({ stdout }: { stdout: string }): string[] {
  return stdout.split('\n').filter((line) => line !== '');
}

describe.each(shells)('in %s', (shell) => {
  it('the commands are offered, and no flags before a dash', async () => {
    const words = await offers[shell](['mycel', 'm']);
    expect(words).toContain('members');
    expect(words).not.toContain('--json');
  });

  it('subcommands are offered after their command', async () => {
    expect(
      (await offers[shell](['mycel', 'guest', ''])).filter((word) => !word.startsWith('-')),
    ).toEqual(expect.arrayContaining(['add', 'ls', 'rm']));
  });

  it('the flags of a command are offered, and not those of another', async () => {
    const words = await offers[shell](['mycel', 'up', '--s']);
    expect(words).toContain('--seed');
    expect(words).not.toContain('--sheet');
  });
});

it('a shell that we do not know is named with those we do', () => {
  expect(() => printed((context, program) => completion(context, program, 'csh'))).toThrow(
    expect.objectContaining({ exitCode: 2, fix: 'Choose one of bash, zsh, fish.' }) as Failure,
  );
});

it('man formats the page without a warning, with every command and its flags', async () => {
  const { stdout, stderr } = await run('man', ['--warnings', '-l', join(home, 'mycel.1')], {
    env: { ...process.env, MANPAGER: 'cat', MANWIDTH: '100', GROFF_NO_SGR: '', LC_ALL: 'C.UTF-8' },
  });
  expect(stderr).toBe('');
  for (const words of ['guest add', '--seed', 'service install', 'MYCEL_DATA_DIR', 'EXIT STATUS']) {
    expect(stdout).toContain(words);
  }
});
