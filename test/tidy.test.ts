import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

import { version } from '../src/runtime/version.ts';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const tracked = execFileSync('git', ['ls-files'], { cwd: root, encoding: 'utf8' })
  .split('\n')
  .filter((name) => name !== '');
const read = (name: string): string => readFileSync(join(root, name), 'utf8');
const matching = (pattern: RegExp): string[] => tracked.filter((name) => pattern.test(name));
const sources = matching(/^(src|device|gateway)\/.*\.ts$/);
const tests = matching(/^test\/.*\.ts$/);

/** Whether an import of this name finds a CommonJS module, as Node.js decides it. */
function isCommonJs(name: string): boolean {
  const path = fileURLToPath(import.meta.resolve(name));
  if (/\.[cm]js$/.test(path)) return path.endsWith('.cjs');
  let directory = dirname(path);
  while (!existsSync(join(directory, 'package.json'))) directory = dirname(directory);
  const manifest = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')) as {
    readonly type?: string;
  };
  return manifest.type !== 'module';
}

/** Names the lines that break a rule, so that the failure shows where. */
function offences(files: readonly string[], isBad: (line: string) => boolean): string[] {
  return files.flatMap((name) =>
    read(name)
      .split('\n')
      .flatMap((line, at) => (isBad(line) ? [`${name}:${at + 1}: ${line.trim()}`] : [])),
  );
}

describe('the house is tidy', () => {
  test('every module starts with one sentence about itself', () => {
    const bare = sources.filter(
      (name) => !read(name).startsWith('/** ') && !read(name).startsWith('/**\n'),
    );
    expect(bare, 'begin the file with a docstring that says what it is').toEqual([]);
  });

  test('no file has outgrown 400 lines', () => {
    const long = sources
      .map((name) => ({ name, lines: read(name).trimEnd().split('\n').length }))
      .filter(({ lines }) => lines > 400);
    expect(long, 'cut it into two files with a true name each').toEqual([]);
  });

  test('nothing is left for later in the code', () => {
    const marks = /\b(FIXME|XXX)\b|@ts-ignore|@ts-nocheck|\bTODO\b(?!\(#\d+\))/;
    expect(
      offences(sources, (line) => marks.test(line)),
      'finish it, or name an issue',
    ).toEqual([]);
    const parked = /\b(test|it|describe)\.(skip|only|todo)\b/;
    expect(
      offences(
        tests.filter((name) => name !== 'test/tidy.test.ts'),
        (line) => parked.test(line),
      ),
      'no test is skipped or alone',
    ).toEqual([]);
  });

  test('of a CommonJS package that is imported when needed, only the default export is taken', () => {
    const dynamic = /(?:const (\{[^}]*\}|\w+) = )?\(?await import\('([^.'][^']*)'\)\)?(\.default)?/;
    const named = offences(sources, (line) => {
      const [, taken, name = '', after] = dynamic.exec(line) ?? [];
      if (taken === undefined || after !== undefined || /^node:|^mycel/.test(name)) return false;
      return isCommonJs(name) && taken.startsWith('{') && !/^\{ default: \w+ \}$/.test(taken);
    });
    expect(named, 'in the bundle there is no other: its parts are ES modules').toEqual([]);
  });

  test('the library writes to its log, never to the console', () => {
    expect(offences(matching(/^src\/.*\.ts$/), (line) => /\bconsole\./.test(line))).toEqual([]);
  });

  test('no compiled file lies among the sources', () => {
    expect(matching(/^(src|device|gateway|test)\/.*\.(js|d\.ts|map|tsbuildinfo)$/)).toEqual([]);
  });

  test('no file names a registry or a place of one machine', () => {
    // A part of this repository is resolved by its path in it.
    const places = /registry\.npmjs|"resolved": "(\/|[^"]*:)|\/work\/|\/root\/\./;
    const files = tracked.filter(
      (name) => name !== 'test/tidy.test.ts' && !/\.(png|bin)$/.test(name),
    );
    expect(offences(files, (line) => places.test(line))).toEqual([]);
  });

  test('tests wait for what happens, not for time, except across hosts', () => {
    const naps = /\bawait (sleep|delay|wait)\(\d|setTimeout\((resolve|done|r)\b/;
    const quick = tests.filter((name) => !/^test\/(mesh|soak|bench)\//.test(name));
    const found = offences(
      quick.filter((name) => name !== 'test/tidy.test.ts'),
      (line) => naps.test(line),
    );
    expect(found, 'wait for an event or poll a condition with a deadline').toEqual([]);
  });

  test('the version is one', () => {
    const manifest = JSON.parse(read('package.json')) as { version: string };
    expect(version).toBe(manifest.version);
  });

  test('every decision is at most 40 lines and numbered once', () => {
    const decisions = matching(/^docs\/decisions\/\d{4}-.*\.md$/);
    const numbers = decisions.map((name) => name.slice(15, 19));
    expect(new Set(numbers).size).toBe(numbers.length);
    const long = decisions.filter((name) => read(name).trimEnd().split('\n').length > 40);
    expect(long).toEqual([]);
  });

  test('the README speaks only of commands that exist', () => {
    const program = execFileSync(process.execPath, [join(root, 'dist/mycel.mjs'), '--help'], {
      encoding: 'utf8',
    });
    const known = new Set([...program.matchAll(/^ {2}([a-z]+)\b/gm)].map((match) => match[1]));
    const spoken = [...read('README.md').matchAll(/`?mycel ([a-z]+)\b/g)].map((match) => match[1]);
    const commands = spoken.filter((word) => word !== undefined && !proseAfterMycel.has(word));
    expect(commands.filter((word) => !known.has(word ?? ''))).toEqual([]);
  });
});

/** Words that follow the name in plain sentences of the README. */
const proseAfterMycel = new Set(['makes', 'and']);
