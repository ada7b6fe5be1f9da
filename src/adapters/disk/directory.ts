/** What everything on disk does with directories: making them, making renames durable, and naming what went wrong. */

import { mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { MycelError } from '../../kernel/errors.ts';

/** Creates the directory and its parents, durably: a record in a directory that is lost is lost. */
export async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: 0o700 });
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'EEXIST') return;
    if (code !== 'ENOENT') throw error;
    // Step by step: the recursive mode of mkdir reports ENOENT where the reason is a read-only disk.
    await makeDirectory(dirname(path));
    await mkdir(path, { mode: 0o700 });
  }
  await syncDirectory(dirname(path));
}

/** Makes renames durable. Some file systems (FAT, some network mounts) cannot sync a directory; they are as good as they get. */
export async function syncDirectory(root: string): Promise<void> {
  const directory = await open(root, 'r');
  try {
    await directory.sync();
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (!['EINVAL', 'ENOTSUP', 'EPERM'].includes(code)) throw error;
  } finally {
    await directory.close();
  }
}

/** A failure of the file system as one of ours; anything else as it is. */
export function asStoreError(error: unknown, root: string): unknown {
  if (MycelError.is(error) || !(error instanceof Error)) return error;
  const code = (error as NodeJS.ErrnoException).code;
  if (code === undefined) return error;
  const details = { directory: root, errno: code, reason: `${code} in ${root}.` };
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new MycelError('MYCEL_STORE_FULL', details, { cause: error });
  }
  if (code === 'EROFS') return new MycelError('MYCEL_STORE_READ_ONLY', details, { cause: error });
  return new MycelError('MYCEL_STORE_FAILED', details, { cause: error });
}
