import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import type { MessageExplanation, TopicExplanation } from '../../src/index.ts';
import { startMesh, type LabMesh, type MeshHost } from './lab-mesh.ts';
import { shareLab } from './share-lab.ts';
import { linkedAs } from './traffic.ts';

const flags = ['--profile', 'fast'];

async function cli<Answer>(node: MeshHost, ...args: readonly string[]): Promise<Answer> {
  const { code, json, stdout, stderr } = await node.host.cli(...args, '--json');
  if (code !== 0) throw new Error(`mycel ${args.join(' ')}: exit ${code} ${stdout}${stderr}`);
  return json as Answer;
}

const explainMessage = (node: MeshHost, id: string): Promise<MessageExplanation> =>
  cli(node, 'explain', '--message', id);

const stepsAt = (told: MessageExplanation, name: string): string[] =>
  told.stations
    .filter((one) => one.name === name)
    .flatMap(({ steps }) =>
      steps.map(({ fate, peer }) => [fate, peer?.name].filter(Boolean).join(' ')),
    );

describe('explanations on four hosts of which one relays for the others', () => {
  let mesh: LabMesh;
  shareLab({ hosts: 4 }, async (lab) => {
    mesh = await startMesh(lab, 4, { flags });
    await linkedAs(mesh, (at) => [0, 1, 2, 3].filter((other) => other !== at), 20_000);
    await cli(mesh.node(0), 'topology', 'set', 'client-server', '--hub', 'node-1');
    await linkedAs(mesh, (at) => (at === 1 ? [0, 2, 3] : [1]), 60_000);
  });

  test('tell the way of a message before and after it was sent, hop by hop', async () => {
    const [asker, , listener, other] = mesh.nodes;
    if (asker === undefined || listener === undefined || other === undefined) throw new Error();
    const sub = listener.host.spawn(['sub', 'door/+', '--json']);
    const topic = (): Promise<TopicExplanation> => cli(asker, 'explain', 'door/front');
    await expect.poll(async () => (await topic()).receivers.length, { timeout: 15_000 }).toBe(1);
    const before = await topic();
    expect(before.receivers).toMatchObject([
      { name: 'node-2', why: 'filter', filters: ['door/+'], way: 'relayed' },
    ]);
    expect(before.receivers[0]?.hops.map(({ from, to }) => [from.name, to.name])).toEqual([
      ['node-0', 'node-1'],
      ['node-1', 'node-2'],
    ]);
    expect(before.receivers[0]?.hops[0]?.rttMs).toBeGreaterThan(0);
    expect(before.others.map(({ name, why }) => `${name} ${why}`).toSorted()).toEqual(
      ['node-0', 'node-1', 'node-3'].map((name) => `${name} no-interest`),
    );

    const { id } = await cli<{ id: string }>(asker, 'pub', 'door/front', 'open');
    const heard = await sub.waitForEvent((event) => event['topic'] === 'door/front', 10_000);
    expect(heard['id']).toBe(id);
    const after = await explainMessage(other, id);
    expect(after.stations.map(({ name, hop }) => [name, hop])).toEqual([
      ['node-0', 0],
      ['node-1', 1],
      ['node-2', 2],
    ]);
    expect(stepsAt(after, 'node-0')).toEqual(['published', 'sent node-1']);
    expect(stepsAt(after, 'node-1')).toEqual(['received node-0', 'sent node-2']);
    expect(stepsAt(after, 'node-2')).toEqual(['received node-1', 'delivered']);
    expect(after.without).toMatchObject([{ name: 'node-3', why: 'no-interest' }]);
    expect([after.owed, after.silent]).toEqual([[], []]);
    const text = await other.host.cli('explain', '--message', id);
    expect(text.stdout).toContain('received from node-1');
    sub.child.kill('SIGTERM');
    await sub.ended;
  });

  test('name a frozen member as silent and owed, and what it did once it thaws', async () => {
    const [asker, , frozen] = mesh.nodes;
    if (asker === undefined || frozen === undefined) throw new Error();
    const sub = frozen.host.spawn(['sub', 'door/+', '--json']);
    await expect
      .poll(
        async () => (await cli<TopicExplanation>(asker, 'explain', 'door/back')).receivers.length,
        { timeout: 15_000 },
      )
      .toBe(1);
    frozen.host.freeze();
    const { id } = await cli<{ id: string }>(asker, 'pub', 'door/back', 'open');
    const told = await explainMessage(asker, id);
    expect(told.owed.map(({ name }) => name)).toEqual(['node-2']);
    expect(told.stations.map(({ name }) => name)).not.toContain('node-2');
    await sleep(200);
    frozen.host.thaw();
    await expect
      .poll(async () => stepsAt(await explainMessage(asker, id), 'node-2').includes('delivered'), {
        timeout: 30_000,
        interval: 500,
      })
      .toBe(true);
    await expect
      .poll(async () => (await explainMessage(asker, id)).owed, { timeout: 15_000 })
      .toEqual([]);
    sub.child.kill('SIGTERM');
    await sub.ended;
  });
});
