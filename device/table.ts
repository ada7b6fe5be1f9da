/** Plain tables: aligned columns, a header, and no line wider than it needs to be. */

import { harmless } from './terminal.ts';

/** A cell as it is measured and, when it differs, as it is shown (with colour). */
export type Cell = string | { readonly text: string; readonly shown: (text: string) => string };

/** Widest cell before it is cut with an ellipsis, in terminal columns. */
const cellWidthMax = 48;

/** Aligns rows under their headers, two spaces apart. Cells are made harmless for a terminal. */
export function formatTable(
  headers: readonly string[],
  rows: readonly (readonly Cell[])[],
): string[] {
  const texts = rows.map((row) => headers.map((_, at) => cellText(row[at] ?? '')));
  const widths = headers.map((header, at) =>
    Math.max(displayWidth(header), ...texts.map((row) => displayWidth(row[at] ?? ''))),
  );
  const head = headers.map((header, at) => pad(header, widths[at] ?? 0)).join('  ');
  const body = rows.map((row, rowAt) =>
    headers
      .map((_, at) => {
        const text = texts[rowAt]?.[at] ?? '';
        const cell = row[at] ?? '';
        const shown = typeof cell === 'string' ? text : cell.shown(text);
        return shown + ' '.repeat(Math.max(0, (widths[at] ?? 0) - displayWidth(text)));
      })
      .join('  ')
      .trimEnd(),
  );
  return [head.trimEnd(), ...body];
}

/** Terminal columns a text takes: East Asian wide characters and emoji take two, combining marks none. */
export function displayWidth(text: string): number {
  let width = 0;
  for (const character of text) {
    if (/\p{Mn}|\p{Me}|\u200d|\ufe0f/u.test(character)) continue;
    width +=
      /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u.test(
        character,
      )
        ? 2
        : 1;
  }
  return width;
}

function cellText(cell: Cell): string {
  const text = harmless(typeof cell === 'string' ? cell : cell.text);
  if (displayWidth(text) <= cellWidthMax) return text;
  let kept = '';
  let width = 0;
  for (const { segment } of new Intl.Segmenter().segment(text)) {
    width += displayWidth(segment);
    if (width >= cellWidthMax) break;
    kept += segment;
  }
  return `${kept}…`;
}

function pad(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - displayWidth(text)));
}
