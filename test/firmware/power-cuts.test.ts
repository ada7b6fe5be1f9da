/** Power cuts at every step of the first boot: the next boot mends them. */

import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { describe, expect, it, onTestFinished } from 'vitest';

import { packPackage } from '../update-package.ts';
import { createBoard } from './board.ts';
import { flashCard, projectRoot } from './package.ts';

const invite = `mycel:1:${'a'.repeat(60)}`;

/** What the program does is tested elsewhere; here it is only put into place, some hundred times. */
const program = {
  'dist/parts/ONE.mjs': 'export {};\n',
  'dist/parts/TWO.mjs': 'export default 2;\n',
};

describe('a power cut', () => {
  it('before any change of the first boot is mended by the next boot, to the same end', async () => {
    const workers = 2;
    const directory = mkdtempSync(join(tmpdir(), 'mycel-power-cuts-'));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    const tarball = join(directory, 'mycel-0.2.0.tgz');
    writeFileSync(tarball, packPackage({ files: program }));
    const card = join(directory, 'card');
    mkdirSync(card);
    writeFileSync(join(card, 'user-data'), '#cloud-config\n');
    await flashCard({ tarball }, card, ['--name', 'attic', '--invite', invite]);
    const runs = Array.from({ length: workers }, async (_, at) => {
      const board = await createBoard();
      cpSync(join(card, 'mycel'), board.file('/opt/card'), { recursive: true });
      await board.give(join(projectRoot, 'test/firmware/power-cuts.sh'), '/opt/power-cuts.sh');
      mkdirSync(board.file('/usr/local/bin'), { recursive: true });
      writeFileSync(board.file('/usr/local/bin/node'), '#!/bin/sh\necho v22.0.0\n', {
        mode: 0o755,
      });
      const worker = ['bash', '/opt/power-cuts.sh', String(at + 1), String(workers)];
      const done = await board.run(worker, { ms: 200_000 });
      await board.remove();
      return done;
    });
    const done = await Promise.all(runs);
    const lines = done.flatMap(({ stdout }) => stdout.trimEnd().split('\n'));
    expect(
      done.map(({ code }) => code),
      lines.join('\n'),
    ).toEqual([0, 0]);
    const ends = lines.filter((line) => line.startsWith('cut ')).map((line) => line.split(' ')[2]);
    expect(ends.length).toBeGreaterThan(40);
    expect(new Set(ends).size, lines.join('\n')).toBe(1);
  }, 220_000);
});
