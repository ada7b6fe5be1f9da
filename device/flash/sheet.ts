/** A sheet to print: the name of each board of a batch with its invite as text and QR code. */

import { renderSVG, renderUnicodeCompact } from 'uqr';

import { formatDuration } from '../duration.ts';

/** A line of the sheet. */
export interface SheetEntry {
  readonly name: string;
  readonly target: string;
  readonly invite: string;
  readonly expiresInMs: number;
}

const about =
  'Each board has its invite on its card already. Should it be lost: mycel join INVITE on the board. These are secrets until they are used.';

/** The sheet as plain text. */
export function textSheet(entries: readonly SheetEntry[], made: Date): string {
  const blocks = entries.map((entry) =>
    [
      `${entry.name}  (${entry.target})`,
      `holds ${formatDuration(entry.expiresInMs)} from ${made.toISOString()}, for one board`,
      entry.invite,
      // Ink is dark where a screen is bright.
      renderUnicodeCompact(entry.invite, { ecc: 'L', border: 2, invert: true }),
    ].join('\n'),
  );
  return `${[about, ...blocks].join('\n\n')}\n`;
}

/** The sheet as one HTML page that needs nothing from elsewhere. */
export function htmlSheet(entries: readonly SheetEntry[], made: Date): string {
  const cells = entries.map(
    (entry) => `<article><h2>${escapeHtml(entry.name)}</h2>
${renderSVG(entry.invite, { ecc: 'L', border: 2 })}
<p>${escapeHtml(entry.target)}<br>holds ${formatDuration(entry.expiresInMs)} from ${made.toISOString()}, for one board</p>
<code>${escapeHtml(entry.invite)}</code></article>`,
  );
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>mycel boards</title>
<style>body{font:10pt sans-serif}article{display:inline-block;width:6cm;margin:.3cm;vertical-align:top;break-inside:avoid}
svg{width:100%}h2{margin:0}code{font-size:6pt;overflow-wrap:anywhere}</style>
<p>${about}</p>
${cells.join('\n')}
</html>
`;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
