/** Files of one JSON array a line, as the gateway remembers money: read as a whole, then written to at their end. */

import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * Reads the rows that `decode` understands; a torn or damaged line is left out. A file that is not there has none.
 * @throws the system's error when it cannot be read.
 */
export function readRows<Row>(
  file: string,
  decode: (values: readonly unknown[]) => Row | undefined,
): Row[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  return text.split('\n').flatMap((line) => {
    let values: unknown;
    try {
      values = JSON.parse(line);
    } catch {
      return [];
    }
    return (Array.isArray(values) ? decode(values) : undefined) ?? [];
  });
}

/**
 * Puts these rows in the place of the file, whole or not at all, also when the power goes.
 * @throws the system's error when the directory cannot be written.
 */
export function replaceRows(file: string, rows: readonly (readonly unknown[])[]): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const fresh = `${file}.new`;
  writeFileSync(fresh, rows.map(encodeRow).join(''), { mode: 0o600, flush: true });
  renameSync(fresh, file);
}

/** One row as a line. */
export function encodeRow(values: readonly unknown[]): string {
  return `${JSON.stringify(values)}\n`;
}
