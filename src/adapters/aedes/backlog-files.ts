/** Where the backlogs of slow clients lie: one directory, a file for each piece, nothing in it that outlives the process. */

import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** The files of all backlogs of a broker. */
export interface BacklogFiles {
  /** Takes a part of the bound; false: it is used up. */
  reserve(bytes: number): boolean;
  /** Gives it back. */
  release(bytes: number): void;
  /** Keeps a piece under a name of its own. @throws what the file system says, e.g. ENOSPC */
  write(bytes: Uint8Array): Promise<number>;
  /** @throws what the file system says */
  read(name: number): Promise<Buffer>;
  /** Never fails: a file that cannot be removed now goes with the next start. */
  remove(name: number): Promise<void>;
  /** Removes everything. */
  stop(): Promise<void>;
}

/**
 * Opens them; what an earlier life left in the directory is removed.
 * @param bytesMax of all pieces together.
 */
export function createBacklogFiles(directory: string, bytesMax: number): BacklogFiles {
  const pathOf = (name: number): string => join(directory, `${name}`);
  const clear = (): Promise<void> =>
    rm(directory, { recursive: true, force: true }).catch(() => undefined);
  let reserved = 0;
  let last = 0;
  let opened: Promise<unknown> | undefined;
  const cleared = clear();

  return {
    reserve(bytes) {
      if (reserved + bytes > bytesMax) return false;
      reserved += bytes;
      return true;
    },
    release(bytes) {
      reserved -= bytes;
    },
    async write(bytes) {
      // Only a node that has slow clients gets the directory.
      opened ??= cleared.then(() => mkdir(directory, { recursive: true, mode: 0o700 }));
      await opened;
      last += 1;
      const name = last;
      await writeFile(pathOf(name), bytes, { mode: 0o600 });
      return name;
    },
    read: (name) => readFile(pathOf(name)),
    remove: (name) => rm(pathOf(name), { force: true }).catch(() => undefined),
    async stop() {
      await cleared;
      if (opened !== undefined) await clear();
    },
  };
}
