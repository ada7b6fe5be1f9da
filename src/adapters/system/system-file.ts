/** Reads the small files in which Linux tells about itself; a missing one is an answer, not an error. */

import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** The machine whose files are read: `/`, or a tree with the same layout. */
export type SystemRoot = string;

/** The trimmed content, or undefined when it is not there or may not be read. */
export function readSystemFile(root: SystemRoot, path: string): string | undefined {
  try {
    return readFileSync(join(root, path), 'utf8').trim();
  } catch {
    return undefined;
  }
}

/** The names in a directory, sorted; none when it is not there. */
export function listSystemDirectory(root: SystemRoot, path: string): string[] {
  try {
    return readdirSync(join(root, path)).toSorted();
  } catch {
    return [];
  }
}
