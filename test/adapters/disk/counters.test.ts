import { describe, expect, test } from 'vitest';

import { nextBoot, raiseBoot } from '../../../src/adapters/disk/counters.ts';
import { createMemoryStore } from '../../../src/adapters/memory/store.ts';

describe('the boot counter', () => {
  test('counts every start', async () => {
    const store = createMemoryStore();
    expect([await nextBoot(store), await nextBoot(store), await nextBoot(store)]).toEqual([
      1, 2, 3,
    ]);
  });

  test('goes on above what peers remember of a later life', async () => {
    const store = createMemoryStore();
    await nextBoot(store);
    await raiseBoot(store, 70);
    expect(await nextBoot(store)).toBe(71);
  });

  test('is never taken back', async () => {
    const store = createMemoryStore();
    await raiseBoot(store, 70);
    await raiseBoot(store, 3);
    expect(await nextBoot(store)).toBe(71);
  });
});
