/** What every store promises; run on the disk store and on its memory twin. */

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import fc from 'fast-check';
import type { Store } from '../../src/ports/store.ts';

/** A place where a store can be opened again after it was closed. */
export interface StorePlace {
  open(): Promise<Store>;
  dispose(): Promise<void>;
}

/** Runs the contract. */
export function storeContract(kind: string, makePlace: () => Promise<StorePlace>): void {
  describe(`a ${kind} store`, () => {
    let place: StorePlace;
    let store: Store;

    beforeEach(async () => {
      place = await makePlace();
      store = await place.open();
    });
    afterEach(async () => {
      await store.close();
      await place.dispose();
    });

    test('has nothing under a name that was never written', async () => {
      expect(await store.read('nothing')).toBeUndefined();
      expect(await store.list()).toEqual([]);
    });

    test('gives back what was written, byte for byte, also after it was opened again', async () => {
      const contents = fc.uint8Array({ maxLength: 5000 });
      await fc.assert(
        fc.asyncProperty(contents, async (bytes) => {
          await store.write('record', bytes);
          expect(await store.read('record')).toEqual(Uint8Array.from(bytes));
        }),
        { numRuns: 20 },
      );
      const last = await store.read('record');
      await store.close();
      store = await place.open();
      expect(await store.read('record')).toEqual(last);
    });

    test('keeps its own copy of what it is given and of what it gives', async () => {
      const bytes = Uint8Array.of(1, 2, 3);
      const written = store.write('record', bytes);
      bytes[0] = 9;
      await written;
      const read = await store.read('record');
      expect(read).toEqual(Uint8Array.of(1, 2, 3));
      read?.fill(0);
      expect(await store.read('record')).toEqual(Uint8Array.of(1, 2, 3));
    });

    test('forgets a removed record for good, and removing twice is fine', async () => {
      await store.write('record', Uint8Array.of(1));
      await store.write('record', Uint8Array.of(2));
      await store.remove('record');
      await store.remove('record');
      expect(await store.read('record')).toBeUndefined();
      await store.close();
      store = await place.open();
      expect(await store.read('record')).toBeUndefined();
      expect(await store.list()).toEqual([]);
    });

    test('lists the names in order', async () => {
      for (const name of ['peers', 'identity', 'log']) await store.write(name, Uint8Array.of(0));
      expect(await store.list()).toEqual(['identity', 'log', 'peers']);
    });

    test('ends with the last of many writes given at once, in the order they were given', async () => {
      const writes = Array.from({ length: 50 }, (_, at) =>
        store.write('record', Uint8Array.of(at)),
      );
      const removal = store.remove('gone');
      await Promise.all([...writes, removal]);
      expect(await store.read('record')).toEqual(Uint8Array.of(49));
    });

    test('a read after a write sees it without waiting for the write', async () => {
      const written = store.write('record', Uint8Array.of(7));
      expect(await store.read('record')).toEqual(Uint8Array.of(7));
      await written;
    });

    test('a write given after a removal survives it', async () => {
      await store.write('record', Uint8Array.of(1));
      const all = [
        store.write('record', Uint8Array.of(2)),
        store.remove('record'),
        store.write('record', Uint8Array.of(3)),
      ];
      await Promise.all(all);
      expect(await store.read('record')).toEqual(Uint8Array.of(3));
    });

    test('refuses work after it was closed, and closing twice is fine', async () => {
      await store.close();
      await store.close();
      await expect(store.read('record')).rejects.toMatchObject({ code: 'MYCEL_STORE_FAILED' });
      await expect(store.write('record', Uint8Array.of(1))).rejects.toMatchObject({
        code: 'MYCEL_STORE_FAILED',
      });
    });

    test('reports no damage when there was none', async () => {
      await store.write('record', Uint8Array.of(1));
      await store.read('record');
      expect(store.damage()).toEqual([]);
    });
  });
}
