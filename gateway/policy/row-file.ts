/** Files of one JSON array a line, as the gateway remembers money: read as a whole, then written to at their end. */

import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/** What a disk does not take. */
export interface DiskTrouble {
  /** The operating system's word for it: `ENOSPC`, `EIO`… */
  readonly reason: string;
  /** What waits in memory; a restart would forget it. */
  readonly waiting: number;
}

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
  try {
    writeFileSync(fresh, rows.map(encodeRow).join(''), { mode: 0o600, flush: true });
    renameSync(fresh, file);
  } catch (error) {
    // Half of it helps nobody, and takes room where there is none.
    rmSync(fresh, { force: true });
    throw error;
  }
}

/**
 * Makes a file ready to be written to at its end: with these rows alone in it, or, where a full disk does not take them a
 * second time, with what it held.
 * @returns what has to be written before anything else: the last line may be a torn one.
 * @throws the system's error when it cannot be written for another reason.
 */
export function startRows(file: string, rows: readonly (readonly unknown[])[]): '' | '\n' {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  try {
    replaceRows(file, rows);
    return '';
  } catch (error) {
    if (!isFull(error)) throw error;
    return '\n';
  }
}

/** Whether there is no room, for now. */
export function isFull(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOSPC' || code === 'EDQUOT';
}

/** One row as a line. */
export function encodeRow(values: readonly unknown[]): string {
  return `${JSON.stringify(values)}\n`;
}
