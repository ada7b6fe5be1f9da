import { expect, test } from 'vitest';
import { createPartitionLog } from '../../src/runtime/state/partition-log.ts';
import type { MergeReport } from '../../src/runtime/state/partition-log.ts';
import { simNodeId } from '../sim/routing-mesh.ts';
import { createTable } from './state-world.ts';

test('a split that heals is reported once: what merged, what gave way, what stayed; also after a restart', async () => {
  const table = createTable();
  const [annId, bobId] = [simNodeId(1), simNodeId(2)];
  const ann = await table.sit(1);
  const bob = await table.sit(2);
  const log = createPartitionLog(ann.world, ann.room);
  await log.part.start();
  // Before the split: none of its business.
  ann.world.metrics.count('singleton.stopped');
  const told: MergeReport[] = [];
  log.onReport((report) => told.push(report));
  await ann.state.register('mode').set('old');
  await ann.state.register('name').set('old');
  await table.settle();
  expect(log.reports()).toEqual([]);

  table.mesh.cut(annId, bobId);
  table.mesh.tell(annId, { kind: 'down', node: bobId, reason: 'dead' });
  table.mesh.tell(bobId, { kind: 'down', node: annId, reason: 'dead' });
  expect(log.missing()).toEqual([{ node: bobId, sinceMs: ann.clock.wallMs() }]);
  ann.world.metrics.count('singleton.stopped');
  await bob.state.register('name').set('bob');
  await ann.state.register('mode').set('ann');
  await table.settle();
  await ann.state.register('name').set('ann');
  await bob.state.register('mode').set('bob');
  await bob.state.set('tags').add('new');
  await table.settle();

  table.mesh.mend(annId, bobId);
  table.mesh.tell(annId, { kind: 'up', node: bobId });
  table.mesh.tell(bobId, { kind: 'up', node: annId });
  await table.settle();
  expect(log.missing()).toEqual([]);
  expect(told).toHaveLength(1);
  expect(told[0]).toMatchObject({
    peers: [bobId],
    keysMerged: 3,
    valuesOverridden: ['mode'],
    valuesKept: ['name'],
    messagesReplayed: 0,
    singletonsStopped: 1,
  });
  expect(told[0]?.mergedMs).toBeLessThan(3_000);
  expect((told[0]?.healedAt ?? 0) - (told[0]?.splitAt ?? 0)).toBe(6_000);
  expect(ann.state.fingerprint()).toBe(bob.state.fingerprint());

  const again = createPartitionLog(ann.world, ann.room);
  await again.part.start();
  expect(again.reports()).toEqual(told);
  await again.part.stop();
});

test('one that never becomes equal is reported as such after half a minute', async () => {
  const table = createTable();
  const ann = await table.sit(1);
  await table.sit(2);
  const log = createPartitionLog(ann.world, ann.room);
  await log.part.start();
  table.mesh.tell(simNodeId(1), { kind: 'down', node: simNodeId(2), reason: 'dead' });
  table.mesh.cut(simNodeId(1), simNodeId(2));
  table.mesh.tell(simNodeId(1), { kind: 'up', node: simNodeId(2) });
  await table.settle(30_010);
  expect(log.reports()).toMatchObject([{ mergedMs: undefined, keysMerged: 0 }]);
});
