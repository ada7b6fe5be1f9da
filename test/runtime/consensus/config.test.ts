/** Settings of one node and of a mesh, on real nodes on loopback. */

import * as z from 'zod/mini';
import { expect, test, vi } from 'vitest';
import type { ConfigChange } from '../../../src/index.ts';
import { startMesh, startNode } from '../loopback.ts';

test('a setting is checked before anything changes, is told, and can be taken back', async () => {
  const { config } = await startNode('alone');
  const told: ConfigChange[] = [];
  config.declare('heating.target', {
    default: 20,
    schema: z.number().check(z.gte(5), z.lte(30)),
  });
  config.subscribe('heating', (change) => told.push(change));
  expect(config.get('heating.target')).toBe(20);
  await config.update('heating.target', 21);
  const bad = { code: 'MYCEL_BAD_OPTION' };
  await expect(config.update('heating.target', 99)).rejects.toMatchObject(bad);
  await expect(config.setClusterWide('heating.target', 'warm')).rejects.toMatchObject(bad);
  await expect(config.update('not a path', 1)).rejects.toMatchObject(bad);
  expect(config.get('heating.target')).toBe(21);
  await config.update('heating.target', 22);
  expect(config.history('heating.target').map(({ value }) => value)).toEqual([22, 21]);
  expect(await config.rollback('heating.target')).toBe(21);
  expect(config.get('heating.target')).toBe(21);
  await config.reset('heating.target');
  expect(config.get('heating.target')).toBe(20);
  await expect(config.rollback('heating.target')).rejects.toMatchObject(bad);
  expect(config.updatablePaths()).toEqual(['heating.target']);
  expect(told.map(({ value }) => value)).toEqual([21, 22, 21, 20]);
});

test('the mesh sets it for everybody; without a majority only what may differ is set', async () => {
  const nodes = await startMesh('ann', 'ben', 'cat');
  const [ann, ben, cat] = nodes as [(typeof nodes)[0], (typeof nodes)[0], (typeof nodes)[0]];
  await ann.config.setClusterWide('mode', 'day');
  await ben.config.setClusterWide('mode', 'night');
  await vi.waitFor(
    () =>
      expect(nodes.map(({ config }) => config.get('mode'))).toEqual(['night', 'night', 'night']),
    { timeout: 10_000 },
  );
  expect(cat.config.history('mode').map(({ value }) => value)).toEqual(['night', 'day']);
  await cat.config.rollback('mode');
  await vi.waitFor(() => expect(ann.config.get('mode')).toBe('day'), { timeout: 10_000 });

  // What a node set itself comes first, and the members' answers become one as asked.
  await ben.config.update('mode', 'own');
  expect(await ann.config.getWithConsensus('mode', { strategy: 'majority' })).toBe('day');
  expect(await ann.config.getWithConsensus('mode')).toBe('own');
  const all = await ann.config.getWithConsensus('mode', {
    strategy: (values) =>
      values.map(({ value }) => String(value as string)).sort((one, two) => (one < two ? -1 : 1)),
  });
  expect(all).toEqual(['day', 'day', 'own']);

  await vi.waitFor(async () => expect((await ann.leader()).voters).toHaveLength(3), {
    timeout: 20_000,
    interval: 50,
  });
  await ben.stop();
  await cat.stop();
  const patience = { deadlineMs: 500 };
  await expect(ann.config.setClusterWide('mode', 'alone', patience)).rejects.toMatchObject({
    code: 'MYCEL_NO_QUORUM',
  });
  expect(ann.config.get('mode')).toBe('day');
  await ann.config.setClusterWide('mode', 'alone', { mode: 'eventual' });
  expect(ann.config.get('mode')).toBe('alone');
}, 60_000);
