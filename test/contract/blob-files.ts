/** What blob files promise; run on the disk and on the memory twin. */

import { describe, expect, test } from 'vitest';
import type { BlobFiles } from '../../src/ports/blobs.ts';

/** Runs the contract. */
export function blobFilesContract(kind: string, make: () => Promise<BlobFiles>): void {
  describe(`blob files ${kind}`, () => {
    test('are written in order, read anywhere, and named anew', async () => {
      const files = await make();
      expect(await files.size('a.part')).toBeUndefined();
      await files.write('a.part', 0, Uint8Array.of(1, 2, 3));
      await files.write('a.part', 3, Uint8Array.of(4, 5));
      expect(await files.size('a.part')).toBe(5);
      expect([...(await files.read('a.part', 1, 3))]).toEqual([2, 3, 4]);
      expect([...(await files.read('a.part', 4, 10))]).toEqual([5]);
      await files.settle('a.part', 'a');
      expect([await files.size('a.part'), await files.size('a')]).toEqual([undefined, 5]);
      expect(await files.used()).toBe(5);
      expect(await files.list()).toEqual([{ name: 'a', bytes: 5 }]);
      await files.remove('a');
      await files.remove('a');
      expect([await files.used(), await files.list()]).toEqual([0, []]);
    });

    test('begin anew when they are written from the start', async () => {
      const files = await make();
      await files.write('a', 0, Uint8Array.of(1, 2, 3));
      await files.write('a', 0, Uint8Array.of(9));
      expect(await files.size('a')).toBe(1);
    });
  });
}
