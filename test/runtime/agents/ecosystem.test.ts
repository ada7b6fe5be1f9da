/** Ecosystems: a coordinator and workers on every node, neighbours in a shape, health as one view, as nodes come and go. */

import { expect, test } from 'vitest';
import type { AgentHandles } from '../../../src/agent/furniture.ts';
import type { MeshNode } from '../../../src/runtime/mesh-node.ts';
import { startMesh, startNode, textOf, until } from '../loopback.ts';

type Node = MeshNode & AgentHandles;

/** Gathers what workers report. */
const coordinator = `
export const agent = { name: 'any', isolation: 'in-process',
  init: () => ({ reports: {} }),
  async handle(state, message, self) {
    if (message.type !== 'mail') return;
    state.reports[message.from] = message.body;
    await self.publish('colony/seen', JSON.stringify(state.reports));
  } };`;

/** Says who its neighbours are, and passes on what it is told. */
const worker = `
export const agent = { name: 'any', isolation: 'in-process',
  init(self) {
    self.every(50, async () => self.send('colony', await self.neighbours()).catch(() => {}));
    return { told: new Set() };
  },
  async handle(state, message, self) {
    if (message.type !== 'mail' || state.told.has(message.body)) return;
    state.told.add(message.body);
    await self.publish('colony/told', self.instance);
    await self.tellNeighbours(message.body);
  } };`;

test('a coordinator, a worker on every node, a ring of them, one view of their health', async () => {
  const nodes = (await startMesh('ann', 'bob', 'cyd')) as Node[];
  const [ann, bob] = nodes as [Node, Node];
  let seen: Record<string, string[]> = {};
  const told: string[] = [];
  ann.subscribe('colony/seen', (message) => void (seen = JSON.parse(textOf(message))));
  ann.subscribe('colony/told', (message) => void told.push(textOf(message)));
  const plan = { coordinator, workers: worker, society: 'ring' } as const;
  const colony = await ann.agents.ecosystem('colony', plan);
  await until(() => colony.health().isWhole);
  const workers = ann.agents.list().filter(({ agent }) => agent === 'colony-worker');
  expect(new Set(workers.map(({ node }) => node))).toEqual(new Set(nodes.map(({ id }) => id)));
  await until(() => Object.values(seen).filter((near) => near.length === 2).length === 3);
  expect(seen['colony-worker#0']).toEqual(['colony-worker#2', 'colony-worker#1']);

  // What one is told goes round the ring.
  await bob.agents.send('colony-worker#1', 'news');
  await until(() => new Set(told).size === 3);

  // A node comes, and there is a worker on it; it goes, and there is none too many.
  const dan = (await startNode('dan')) as Node;
  await dan.join((await ann.invite()).invite);
  await until(() => {
    const [, mine] = colony.health().agents;
    return mine?.wanted === 4 && mine.running === 4 && mine.nodes.includes(dan.id);
  }, 30_000);
  await dan.stop();
  await until(() => {
    const [, mine] = colony.health().agents;
    return mine?.wanted === 3 && mine.running === 3 && colony.health().isWhole;
  }, 30_000);
  expect(
    bob.agents
      .health()
      .map(({ agent, wanted }) => `${agent} ${wanted}`)
      .sort(),
  ).toEqual(['colony 1', 'colony-worker 3']);
  await colony.undeploy();
  await until(() => nodes.every((node) => node.agents.list().length === 0));
  expect(ann.agents.health()).toEqual([]);
}, 90_000);

test('one half that cannot be deployed leaves nothing of the other', async () => {
  const ann = (await startNode('ann')) as Node;
  const bad = ann.agents.ecosystem('colony', { coordinator, workers: 'export const no = 1;' });
  await expect(bad).rejects.toMatchObject({ code: 'MYCEL_BAD_AGENT' });
  await until(() => ann.agents.list().length === 0);
  const nowhere = ann.agents.ecosystem('colony', {
    coordinator,
    workers: worker,
    require: ['wings'],
  });
  await expect(nowhere).rejects.toMatchObject({ code: 'MYCEL_NO_SITE' });
  await until(() => ann.agents.list().length === 0);
}, 30_000);
