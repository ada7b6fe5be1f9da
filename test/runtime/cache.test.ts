import { describe, expect, test } from 'vitest';
import * as z from 'zod/mini';
import type { AgentHandles, MeshNode } from '../../src/index.ts';
import { CacheShelf } from '../../src/runtime/cache/cache-shelf.ts';
import { createLoopback, linked, until } from './loopback.ts';

type Furnished = MeshNode & AgentHandles;

describe('a shelf', () => {
  test('forgets what is over, and what was used longest ago when it is full', () => {
    const shelf = new CacheShelf({ entriesMax: 3, bytesMax: 100 });
    for (const [at, key] of ['a', 'b', 'c'].entries()) shelf.put(key, key, 10, 100 + at);
    expect(shelf.get('a', 50)).toEqual({ value: 'a', leftMs: 50 });
    shelf.put('d', 'd', 10, 200);
    expect([shelf.get('b', 50), shelf.get('a', 50)?.value]).toEqual([undefined, 'a']);
    expect(shelf.get('a', 100)).toBeUndefined();
    expect([shelf.size, shelf.bytes]).toEqual([2, 20]);
    shelf.put('large', 'large', 95, 200);
    expect([shelf.size, shelf.bytes]).toEqual([1, 95]);
    expect(shelf.delete('large')).toBe(true);
    expect(shelf.bytes).toBe(0);
  });
});

test('caches of real nodes: near copies, owners, invalidation, one load for many', async () => {
  await using home = await createLoopback();
  const nodes = (await Promise.all(
    ['ann', 'bob', 'eve'].map((name) => home.up(name)),
  )) as Furnished[];
  const [ann, bob, eve] = nodes as [Furnished, Furnished, Furnished];
  const { invite } = await ann.invite({ uses: 2 });
  await bob.join(invite);
  await eve.join(invite);
  await linked(...nodes);
  await until(() => nodes.every((node) => node.members().length === 3));

  // What one node wrote is known on all: parcels go everywhere, and those sent before have arrived.
  const settled = async (): Promise<void> => {
    for (const node of nodes) await node.state.counter('steps').increment();
    const sum = ann.state.counter('steps').value();
    await until(() => nodes.every(({ state }) => state.counter('steps').value() >= sum));
    await until(() => new Set(nodes.map(({ state }) => state.fingerprint())).size === 1);
  };
  await settled();

  // Without owners each node caches for itself; a write elsewhere makes it forget.
  const plain = nodes.map((node) => node.cache.open<number>('plain'));
  await plain[0]?.set('one', 1);
  await plain[1]?.set('other', 2);
  expect(await plain[0]?.get('one')).toBe(1);
  expect(await plain[0]?.get('other')).toBeUndefined();
  await settled();
  await plain[2]?.set('one', 3);
  await until(() => plain[0]?.stats().entries === 0);
  expect(await plain[0]?.get('one')).toBeUndefined();
  expect(await plain[2]?.get('one')).toBe(3);

  // With owners every node finds the same one, and keeps a copy for a while.
  const schema = z.object({ answer: z.string() });
  const owned = nodes.map((node) => node.cache.open('owned', { hasOwners: true, schema }));
  const key = ['k1', 'k2', 'k3', 'k4', 'k5', 'k6', 'k7'].find(
    (one) => owned[0]?.owner(one) === bob.id,
  );
  if (key === undefined) throw new Error('bob owns one of them, or hashing is uneven');
  expect(new Set(owned.map((cache) => cache.owner(key)))).toEqual(new Set([bob.id]));
  await owned[0]?.set(key, { answer: 'first' });
  await settled();
  expect(await owned[2]?.get(key)).toEqual({ answer: 'first' });
  expect(await owned[2]?.get(key)).toEqual({ answer: 'first' });
  expect(owned[2]?.stats()).toMatchObject({ hits: 2, fetched: 1, misses: 0 });
  await owned[0]?.set(key, { answer: 'second' });
  await until(() => owned[2]?.stats().invalidated === 1);
  expect(await owned[2]?.get(key)).toEqual({ answer: 'second' });
  await expect(owned[0]?.set(key, { answer: 7 } as never)).rejects.toMatchObject({
    code: 'MYCEL_STATE_INVALID',
  });
  await owned[1]?.delete(key);
  await until(() => owned[2]?.stats().invalidated === 2);
  expect(await owned[2]?.get(key)).toBeUndefined();

  let loads = 0;
  const load = async (): Promise<number> => {
    loads += 1;
    return 42;
  };
  const near = ann.cache.open<number>('plain');
  const loaded = await Promise.all([1, 2, 3].map(() => near.getOrLoad('slow', load)));
  expect([loaded, loads]).toEqual([[42, 42, 42], 1]);
});
