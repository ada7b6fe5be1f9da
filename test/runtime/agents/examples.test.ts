/** The examples of the docs, deployed on real nodes as the docs show them. */

import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import type { AgentHandles } from '../../../src/agent/furniture.ts';
import type { MeshNode } from '../../../src/runtime/mesh-node.ts';
import { startMesh, textOf, until } from '../loopback.ts';

type Node = MeshNode & AgentHandles;

const example = (name: string): Promise<string> =>
  readFile(new URL(`../../../docs/examples/${name}-agent.ts`, import.meta.url), 'utf8');

const running = (node: Node, agent: string): boolean =>
  node.agents.list().some((one) => one.agent === agent && one.state === 'running');

test('the thermostat commands the heater by the mean of its sensors, and remembers its target when it moves', async () => {
  const [ann, bob] = (await startMesh('ann', 'bob')) as [Node, Node];
  const commands: { isOn: boolean; mean: number; fence: number }[] = [];
  bob.subscribe('room/heater', (message) => void commands.push(JSON.parse(textOf(message))));
  await ann.agents.deploy(await example('thermostat'));
  await until(() => running(ann, 'thermostat'));
  // Subscriptions of a node are known to others a moment after its agent runs.
  await until(() => {
    void bob.publish('room/temperature/window', '18');
    void ann.publish('room/temperature/door', '19');
    return commands.length >= 1;
  });
  expect(commands[0]).toMatchObject({ isOn: true });
  await bob.publish('room/target', '15');
  await until(() => commands.at(-1)?.isOn === false);
  const before = commands.at(-1)?.fence ?? 0;
  const [row] = ann.agents.list();
  await ann.agents.migrate('thermostat#0', row?.node === ann.id ? bob.id : ann.id);
  await until(() => ann.agents.list()[0]?.node !== row?.node && running(ann, 'thermostat'));
  await until(() => {
    void bob.publish('room/temperature/window', '10');
    void ann.publish('room/temperature/door', '11');
    return commands.at(-1)?.isOn === true;
  });
  // The target was 15 when it moved: 18.5 would be warm enough now, 10.5 is not; and its fence rose with the move.
  expect(commands.at(-1)?.fence).toBeGreaterThan(before);
}, 60_000);

test('the worker bids by size, does what it is awarded, and refuses what makes no sense', async () => {
  const [ann, bob] = (await startMesh('ann', 'bob')) as [Node, Node];
  await ann.agents.deploy(await example('resize'), { replicas: 2 });
  await until(() => [ann, bob].every(({ tasks }) => tasks.kinds()[0]?.nodes.length === 2));
  const input = { width: 4_000, height: 3_000, to: 400 };
  const task = await bob.tasks.submit({
    kind: 'resize',
    input,
    effect: 'idempotent',
    biddingMs: 5_000,
  });
  expect(await task.result()).toMatchObject({ width: 400, height: 300 });
  const bids = bob.tasks.auctions()[0]?.bids ?? [];
  expect(bids).toHaveLength(2);
  for (const { cost } of bids) expect(cost).toBeGreaterThanOrEqual(1_200);
  const bad = await bob.tasks.submit({ kind: 'resize', input: { width: 0 }, deadlineMs: 600 });
  await expect(bad.result()).rejects.toMatchObject({ code: 'MYCEL_TASK_FAILED' });
  const wrong = await bob.tasks.submit({
    kind: 'resize',
    input: { width: 1, height: 1 },
    attemptsMax: 1,
  });
  await expect(wrong.result()).rejects.toThrow(/"to" is no width/);
}, 60_000);

test('the watcher tells when an agent on another node ends, and when the next run of it does', async () => {
  const [ann, bob] = (await startMesh('ann', 'bob')) as [Node, Node];
  const alarms: { instance: string; reason: string }[] = [];
  let watching = '';
  ann.subscribe('watch/alarm', (message) => void alarms.push(JSON.parse(textOf(message))));
  ann.subscribe('watch/watching', (message) => void (watching = textOf(message)));
  await ann.agents.deploy(await example('watch'), { node: ann.id });
  const frail = `export const agent = { name: 'frail', isolation: 'in-process', init: () => ({}),
    handle(state, message) { if (message.type === 'mail') throw new Error('told to'); } };`;
  await ann.agents.deploy(frail, { node: bob.id });
  await until(() => running(ann, 'watch') && running(ann, 'frail') && running(bob, 'frail'));
  await ann.agents.send('watch', 'frail#0');
  await until(() => watching === 'frail#0');
  await ann.agents.send('frail#0', 'fail');
  await until(() => alarms.length === 1);
  expect(alarms[0]).toEqual({ instance: 'frail#0', reason: 'failure' });
  await until(() => running(ann, 'frail'));
  // It is watched again 100 ms after its alarm; failing sooner would be told as one.
  await until(
    () => (ann.agents.list().find(({ agent }) => agent === 'frail')?.restarts ?? 0) === 1,
  );
  await until(() => {
    if (alarms.length < 2 && running(ann, 'frail')) {
      ann.agents.send('frail#0', 'fail').catch(() => {});
    }
    return alarms.length >= 2;
  });
  await ann.agents.undeploy('frail');
  await until(() => alarms.some(({ reason }) => reason === 'stopped' || reason === 'unknown'));
}, 60_000);

test('code deployed again goes on with the state of the code before', async () => {
  const [ann, bob] = (await startMesh('ann', 'bob')) as [Node, Node];
  const seen: string[] = [];
  ann.subscribe('count/out', (message) => void seen.push(textOf(message)));
  const counter = (label: string): string => `
export const agent = { name: 'counter', isolation: 'in-process',
  init(self, saved = { count: 0 }) {
    const state = { count: saved.count };
    self.every(20, async () => {
      state.count += 1;
      await self.checkpoint(state);
      await self.publish('count/out', '${label} ' + state.count);
    });
    return state;
  } };`;
  await ann.agents.deploy(counter('old'));
  await until(() => seen.length >= 5);
  await bob.agents.deploy(counter('new'));
  await until(() => seen.some((text) => text.startsWith('new')));
  const last = Number(seen.findLast((text) => text.startsWith('old'))?.slice(4));
  const first = Number(seen.find((text) => text.startsWith('new'))?.slice(4));
  expect(last).toBeGreaterThanOrEqual(5);
  expect(first).toBeGreaterThanOrEqual(last);
  expect(first).toBeLessThanOrEqual(last + 2);
  expect(ann.agents.list().map(({ instance, restarts }) => `${instance} ${restarts}`)).toEqual([
    'counter#0 0',
  ]);
}, 60_000);
