/** Tables and text on a terminal. */

import { Writable } from 'node:stream';

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { displayWidth, formatTable } from '../../device/table.ts';
import { createTerminal, harmless, outputBytesMax } from '../../device/terminal.ts';
import { formatBytes } from '../../device/quantity.ts';

describe('formatTable', () => {
  it('aligns columns, also under wide characters and colour', () => {
    const red = (text: string): string => `\u001b[31m${text}\u001b[39m`;
    expect(
      formatTable(
        ['NAME', 'STATE', 'N'],
        [
          ['küche', { text: 'up', shown: red }, '1'],
          ['居間', 'down', '22'],
        ],
      ),
    ).toEqual(['NAME   STATE  N', 'küche  \u001b[31mup\u001b[39m     1', '居間   down   22']);
  });

  it('starts every column at the same place in every row, whatever the cells hold', () => {
    const cell = fc.string({ unit: 'grapheme', maxLength: 60 });
    fc.assert(
      fc.property(fc.array(fc.tuple(cell, cell), { minLength: 1, maxLength: 6 }), (rows) => {
        const [head = '', ...lines] = formatTable(
          ['A', 'MARK'],
          rows.map(([left]) => [left, '|']),
        );
        const at = head.indexOf('MARK');
        for (const line of lines)
          expect(displayWidth(line.slice(0, line.lastIndexOf('|')))).toBe(at);
      }),
    );
  });

  it('cuts what is too long and lets no control character through', () => {
    const [, row = ''] = formatTable(['A'], [['x'.repeat(500)]]);
    expect(row).toBe(`${'x'.repeat(47)}…`);
    expect(formatTable(['A'], [['a\u001b[2Jb\nc\u202ed']])[1]).toBe('a·[2Jb·c·d');
  });
});

describe('harmless', () => {
  it('leaves no character that moves the cursor, starts a sequence or turns the writing round', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(harmless(text)).not.toMatch(/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u);
      }),
    );
  });
});

describe('the terminal', () => {
  const streams = (isTTY: boolean) => {
    const written: string[] = [];
    const out = new Writable({
      write(chunk: Buffer, _encoding, done) {
        written.push(chunk.toString());
        done();
      },
    });
    return { written, out: Object.assign(out, { isTTY }) as unknown as NodeJS.WriteStream };
  };

  it.each([
    [true, {}, true],
    [false, {}, false],
    [true, { NO_COLOR: '1' }, false],
    [true, { NO_COLOR: '' }, true],
    [true, { TERM: 'dumb' }, false],
    [false, { FORCE_COLOR: '1' }, true],
    [true, { FORCE_COLOR: '0' }, false],
    [true, { FORCE_COLOR: '1', NO_COLOR: '1' }, false],
  ])('on a TTY (%s) with %j has colour: %s', (isTty, env, hasColour) => {
    const { out } = streams(isTty);
    const styled = createTerminal(out, out, env).style('red', 'x');
    expect(styled).toBe(hasColour ? '\u001b[31mx\u001b[39m' : 'x');
  });

  it('drops and counts lines that nobody reads instead of growing', () => {
    const stuck = new Writable({ write: () => undefined }) as unknown as NodeJS.WriteStream;
    const terminal = createTerminal(stuck, stuck, {});
    const line = 'x'.repeat(64 * 1024);
    for (let count = 0; count < 100; count += 1) terminal.line(line);
    expect(terminal.backlogBytes).toBeLessThan(outputBytesMax + 2 * line.length);
    expect(terminal.droppedCount).toBeGreaterThan(80);
  });

  it('tells once when its reader has gone away', () => {
    const { out } = streams(false);
    const terminal = createTerminal(out, out, {});
    let count = 0;
    terminal.onClosed(() => {
      count += 1;
    });
    out.emit('error', new Error('EPIPE'));
    out.emit('error', new Error('EPIPE'));
    expect(count).toBe(1);
  });
});

describe('formatBytes', () => {
  it.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1536, '1.5 KiB'],
    [64 * 1024 * 1024, '64 MiB'],
    [1024 ** 5 * 3, '3072 TiB'],
  ])('says %d as %s', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });
});
