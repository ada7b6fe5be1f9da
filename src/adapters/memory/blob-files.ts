/** Blob files in memory: the twin for tests and embedded nodes without a disk. */

import type { BlobFiles } from '../../ports/blobs.ts';

/** Builds an empty directory. */
export function createMemoryBlobFiles(): BlobFiles {
  const files = new Map<string, Uint8Array>();
  return {
    size: async (name) => files.get(name)?.length,
    read: async (name, at, length) => (files.get(name) ?? new Uint8Array()).slice(at, at + length),
    async write(name, at, bytes) {
      const old = at === 0 ? new Uint8Array() : (files.get(name) ?? new Uint8Array());
      const next = new Uint8Array(Math.max(old.length, at + bytes.length));
      next.set(old);
      next.set(bytes, at);
      files.set(name, next);
    },
    async settle(from, to) {
      const bytes = files.get(from);
      if (bytes === undefined) throw new Error(`there is no ${from}`);
      files.delete(from);
      files.set(to, bytes);
    },
    async remove(name) {
      files.delete(name);
    },
    list: async () => [...files].map(([name, { length }]) => ({ name, bytes: length })),
    used: async () => [...files.values()].reduce((sum, { length }) => sum + length, 0),
  };
}
