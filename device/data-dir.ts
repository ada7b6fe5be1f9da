/** Where a node keeps what it must not lose, and the socket by which its commands find it. */

import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

/** The directory that `--data-dir`, `MYCEL_DATA_DIR` or the user's home names, as an absolute path. */
export function resolveDataDir(given: string | undefined): string {
  const stated = given ?? process.env['MYCEL_DATA_DIR'];
  if (stated !== undefined && stated !== '') return resolve(stated);
  if (process.getuid?.() === 0) return '/var/lib/mycel';
  return join(homedir(), '.local', 'share', 'mycel');
}
