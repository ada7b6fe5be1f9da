/** Blobs as plain files in a directory of their own, made with the first of them. */

import { open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { invariant } from '../../kernel/invariant.ts';
import type { BlobFiles } from '../../ports/blobs.ts';
import { asStoreError, makeDirectory, syncDirectory } from './directory.ts';

const nameShape = /^[a-z0-9][a-z0-9.-]{0,95}$/;

/** Opens the directory, which need not be there yet. */
export function createBlobFiles(directory: string): BlobFiles {
  let made: Promise<void> | undefined;

  function pathOf(name: string): string {
    invariant(nameShape.test(name), 'a blob file has a plain name');
    return join(directory, name);
  }

  async function guarded<Result>(act: () => Promise<Result>): Promise<Result> {
    try {
      return await act();
    } catch (error) {
      throw asStoreError(error, directory);
    }
  }

  return {
    async size(name) {
      try {
        return (await stat(pathOf(name))).size;
      } catch {
        return undefined;
      }
    },
    read: (name, at, length) =>
      guarded(async () => {
        const file = await open(pathOf(name), 'r');
        try {
          const bytes = new Uint8Array(Buffer.allocUnsafeSlow(length).buffer);
          const { bytesRead } = await file.read(bytes, 0, length, at);
          return bytes.subarray(0, bytesRead);
        } finally {
          await file.close();
        }
      }),
    write: (name, at, bytes) =>
      guarded(async () => {
        made ??= makeDirectory(directory);
        await made;
        const file = await open(pathOf(name), at === 0 ? 'w' : 'r+', 0o600);
        try {
          await file.write(bytes, 0, bytes.length, at);
        } finally {
          await file.close();
        }
      }),
    settle: (from, to) =>
      guarded(async () => {
        const file = await open(pathOf(from), 'r+');
        try {
          await file.sync();
        } finally {
          await file.close();
        }
        await rename(pathOf(from), pathOf(to));
        await syncDirectory(directory);
      }),
    remove: (name) => guarded(() => rm(pathOf(name), { force: true })),
    async list() {
      const found: { name: string; bytes: number }[] = [];
      for (const name of await readdir(directory).catch(() => [])) {
        const bytes = nameShape.test(name) ? await this.size(name) : undefined;
        if (bytes !== undefined) found.push({ name, bytes });
      }
      return found;
    },
    async used() {
      const found = await this.list();
      return found.reduce((sum, { bytes }) => sum + bytes, 0);
    },
  };
}
