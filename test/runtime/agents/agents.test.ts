/** Agents on real nodes: deployed, isolated, supervised, moved, and taken over when their node is gone. */

import { readFile } from 'node:fs/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { AgentHandles } from '../../../src/agent/furniture.ts';
import type { MycelError } from '../../../src/kernel/errors.ts';
import type { MeshNode } from '../../../src/runtime/mesh-node.ts';
import { createLoopback, startMesh, textOf, until } from '../loopback.ts';

type Node = MeshNode & AgentHandles;
const mesh = async (...names: string[]): Promise<Node[]> => (await startMesh(...names)) as Node[];

/** What an agent has published, as numbers. */
function numbers(node: MeshNode, topic: string): number[] {
  const seen: number[] = [];
  node.subscribe(topic, (message) => void seen.push(Number(textOf(message))));
  return seen;
}

const failure = (promise: Promise<unknown>): Promise<MycelError> =>
  promise.then(
    () => {
      throw new Error('it did not fail');
    },
    (error: unknown) => error as MycelError,
  );

/** An agent that counts fast. */
const counter = (more = ''): string => `
import { defineAgent } from 'mycel';
export const agent = defineAgent({
  name: 'counter',
  ${more}
  init(self, saved = { count: 0 }) {
    const state = { count: saved.count };
    self.every(30, async () => {
      state.count += 1;
      await self.publish('count/out', String(state.count));
      await self.checkpoint(state);
    });
    return state;
  },
  handle(state, message, self) {
    if (message.type === 'mail' && message.body === 'die') throw new Error('told to');
    if (message.type === 'mail' && message.body === 'spin') for (;;) {}
    if (message.type === 'mail' && message.body === 'hoard') {
      const all = [];
      for (;;) all.push(new Array(100_000).fill(Math.random()));
    }
  },
});`;

const states = (node: Node): string[] =>
  node.agents.list().map(({ instance, state }) => `${instance} ${state}`);

test('the example of the docs counts, and goes on where it was on another node', async () => {
  const [ann, bob] = (await mesh('ann', 'bob')) as [Node, Node];
  const source = await readFile(
    new URL('../../../docs/examples/beat-agent.ts', import.meta.url),
    'utf8',
  );
  const seen = numbers(ann, 'beat/out');
  await ann.agents.deploy(source);
  await until(() => seen.length >= 3);
  expect(seen.slice(0, 3)).toEqual([1, 2, 3]);
  const [first] = ann.agents.list();
  expect(first).toMatchObject({ agent: 'beat', instance: 'beat#0', state: 'running', restarts: 0 });
  const other = first?.node === ann.id ? bob : ann;
  await bob.agents.migrate('beat#0', other.id);
  await until(() => ann.agents.list()[0]?.node === other.id);
  const before = seen.at(-1) ?? 0;
  await until(() => (seen.at(-1) ?? 0) >= before + 2);
  // It went on: no number begins anew, at most the one of the move comes twice.
  for (const [at, number] of seen.entries()) {
    if (at > 0) expect(number - (seen[at - 1] ?? 0)).toBeLessThanOrEqual(1);
    expect(number).toBeGreaterThanOrEqual(at);
  }
  await ann.agents.undeploy('beat');
  await until(() => bob.agents.list().length === 0);
});

describe.each(['thread', 'process'] as const)('a %s', (isolation) => {
  test('that spins or hoards or throws hurts only itself, is ended and begins again with its state', async () => {
    const [ann] = (await mesh('ann')) as [Node];
    const seen = numbers(ann, 'count/out');
    await ann.agents.deploy(counter(`isolation: '${isolation}', heapMb: 24,`));
    await ann.agents.deploy(counter(`isolation: 'in-process',`), { name: 'calm' });
    for (const [at, what] of ['die', 'spin', 'hoard'].entries()) {
      await until(() => states(ann).every((state) => state.endsWith('running')));
      await until(() => seen.length > 3);
      await ann.agents.send('counter#0', what);
      await until(
        () => (ann.agents.list().find(({ agent }) => agent === 'counter')?.restarts ?? 0) > at,
        30_000,
      );
      // The node is alive all the while.
      expect(await ann.call('$SRV.ping')).toMatchObject({ node: ann.id });
    }
    await until(() => states(ann).every((state) => state.endsWith('running')));
    expect(ann.agents.list().find(({ agent }) => agent === 'calm')?.restarts).toBe(0);
  }, 60_000);
});

test('replicas are spread, a node that goes leaves its agents and their state to the others, once each', async () => {
  const nodes = await mesh('ann', 'bob', 'cyd');
  const [ann] = nodes as [Node];
  await ann.agents.deploy(counter(`isolation: 'in-process',`), { replicas: 6 });
  await until(() => states(ann).filter((state) => state.endsWith('running')).length === 6);
  const perNode = new Map<string, number>();
  for (const { node } of ann.agents.list()) perNode.set(node, (perNode.get(node) ?? 0) + 1);
  expect([...perNode.values()]).toEqual([2, 2, 2]);
  const gone = nodes[2] as Node;
  await until(() => gone.agents.list().length === 6);
  await gone.stop();
  await until(
    () =>
      ann.agents.list().length === 6 &&
      ann.agents.list().every(({ node, state }) => node !== gone.id && state === 'running'),
  );
  const bob = nodes[1] as Node;
  await until(() => bob.agents.list().length === 6);
  expect(
    bob.agents
      .list()
      .map(({ instance, node }) => `${instance} ${node}`)
      .toSorted(),
  ).toEqual(
    ann.agents
      .list()
      .map(({ instance, node }) => `${instance} ${node}`)
      .toSorted(),
  );
});

test('a node that is drained gives everything away and takes nothing, until it may again', async () => {
  const [ann, bob] = (await mesh('ann', 'bob')) as [Node, Node];
  await ann.agents.deploy(counter(`isolation: 'in-process',`), { replicas: 4 });
  await until(() => states(bob).filter((state) => state.endsWith('running')).length === 4);
  const moved = await ann.agents.drain(bob.id);
  expect(moved).toEqual({ moved: 2 });
  await until(() => ann.agents.list().every(({ node }) => node === ann.id));
  await ann.agents.deploy(counter(`isolation: 'in-process',`), { name: 'later', replicas: 2 });
  await until(() => ann.agents.list().length === 6);
  expect(new Set(ann.agents.list().map(({ node }) => node))).toEqual(new Set([ann.id]));
  await ann.agents.drain(bob.id, false);
  await ann.agents.deploy(counter(`isolation: 'in-process',`), { name: 'after', replicas: 2 });
  await until(() => ann.agents.list().some(({ node }) => node === bob.id));
});

test('what cannot be deployed is refused with the reason, and nothing of it stays', async () => {
  const [ann] = (await mesh('ann')) as [Node];
  const code = async (source: string, options = {}) => {
    const error = await failure(ann.agents.deploy(source, options));
    return `${error.code} ${error.message} ${error.fix}`;
  };
  expect(await code('throw new Error("no way")')).toMatch(/MYCEL_BAD_AGENT.*no way/);
  expect(await code('export const nothing = 1')).toMatch(/MYCEL_BAD_AGENT.*exports no agent/);
  expect(await code('for (;;) {')).toMatch(/MYCEL_BAD_AGENT/);
  expect(await code(`import x from 'left-pad';\n${counter()}`)).toMatch(
    /MYCEL_BAD_AGENT.*'left-pad'/,
  );
  expect(await code(counter(`needs: ['camera'],`))).toMatch(/MYCEL_NO_SITE.*camera/);
  expect(await code(counter(), { name: 'No Name' })).toMatch(/MYCEL_BAD_OPTION/);
  expect((await failure(ann.agents.undeploy('beet'))).code).toBe('MYCEL_UNKNOWN_AGENT');
  expect((await failure(ann.agents.send('beet', 1))).code).toBe('MYCEL_UNKNOWN_AGENT');
  expect((await failure(ann.agents.migrate('beet#0', ann.id))).code).toBe('MYCEL_UNKNOWN_AGENT');
  expect(ann.agents.list()).toEqual([]);
});

test('an agent that keeps failing is given up, and the reason is told', async () => {
  const [ann] = (await mesh('ann')) as [Node];
  await ann.agents.deploy(
    `export const agent = { name: 'ill', isolation: 'in-process', init() { throw new Error('always'); } };`,
  );
  await until(() => states(ann)[0] === 'ill#0 failed', 30_000);
});

test('one that pauses in a minority runs under a lock: its fence is the token, and a move gives it on', async () => {
  const [ann, bob] = (await mesh('ann', 'bob')) as [Node, Node];
  const fences: number[] = [];
  ann.subscribe('fence/out', (message) => void fences.push(Number(textOf(message))));
  await ann.agents.deploy(`
import { defineAgent } from 'mycel';
export const agent = defineAgent({
  name: 'one', partition: 'pause-minority', isolation: 'in-process',
  init(self) {
    self.every(30, () => self.publish('fence/out', String(self.fence)));
  },
});`);
  await until(() => fences.length > 2);
  const [row] = ann.agents.list();
  await expect(ann.lock('agent/one#0', { wait: 0 })).rejects.toMatchObject({
    code: 'MYCEL_LOCK_BUSY',
  });
  const to = row?.node === ann.id ? bob : ann;
  await ann.agents.migrate('one#0', to.id);
  await until(() => ann.agents.list()[0]?.node === to.id);
  const before = fences[0] ?? 0;
  await until(() => (fences.at(-1) ?? 0) > before);
  expect(fences).toEqual(fences.toSorted((one, other) => one - other));
  await ann.agents.undeploy('one');
  await until(() => bob.agents.list().length === 0);
  await (await ann.lock('agent/one#0', { wait: 10_000 })).release();
}, 40_000);

test('one that is at home on a node waits for it, and moves with a migration only', async () => {
  const nodes = await mesh('ann', 'bob', 'cyd');
  const [ann] = nodes as [Node];
  await ann.agents.deploy(counter(`isolation: 'in-process', partition: 'sticky-home',`));
  await until(() => states(ann)[0] === 'counter#0 running');
  const [row] = ann.agents.list();
  const away = nodes.find((node) => node !== ann && node.id !== row?.node) as Node;
  await ann.agents.migrate('counter#0', away.id);
  await until(() => nodes.every((node) => node.agents.list()[0]?.node === away.id));
  await ann.agents.deploy(counter(`isolation: 'in-process',`), { name: 'free', replicas: 3 });
  await until(() => ann.agents.list().filter(({ state }) => state === 'running').length === 4);
  await away.stop();
  // The free ones go on elsewhere; the one that is at home there does not.
  await until(() => {
    const rows = ann.agents.list().filter(({ state }) => state === 'running');
    return rows.length === 3 && rows.every(({ agent }) => agent === 'free');
  });
}, 40_000);

test('placed by auction: whoever hosts less gets more, and what has to move later goes where there is room', async () => {
  const nodes = await mesh('ann', 'bob', 'cyd');
  const [ann, bob, cyd] = nodes as [Node, Node, Node];
  const plain = `export const agent = { name: 'plain', isolation: 'in-process', init: () => ({}) };`;
  const where = (name: string): string[] =>
    ann.agents
      .list()
      .flatMap(({ agent, node, state }) => (agent === name && state === 'running' ? [node] : []));
  // All boards are this one, so that only what they host tells them apart.
  await ann.agents.deploy(plain, { name: 'heavy', replicas: 8, node: bob.id });
  await until(() => where('heavy').length === 8);
  const deployed = await cyd.agents.deploy(plain, { replicas: 8, placement: 'auction' });
  const won = deployed.hosts?.map(({ node }) => node) ?? [];
  await until(() => where('plain').length === 8);
  expect(where('plain').sort()).toEqual([...won].sort());
  // 8 on one, 8 more over the two others: as few as that are not worth a node that has 8 already.
  expect(won.filter((node) => node === bob.id).length).toBeLessThanOrEqual(1);
  expect(won.filter((node) => node === ann.id).length).toBeGreaterThanOrEqual(3);
  await cyd.stop();
  await until(() => where('plain').length === 8 && !where('plain').includes(cyd.id));

  const said = async (options: object): Promise<string> =>
    (await failure(ann.agents.deploy(plain, { name: 'no', ...options }))).message;
  expect(await said({ placement: 'lottery' })).toContain("no placement 'lottery'");
  expect(await said({ placement: 'auction', replicas: 'auto' })).toContain('nothing to auction');
  expect(await said({ placement: 'auction', spread: 'room' })).toContain('not by a label');
  expect(ann.agents.list().some(({ agent }) => agent === 'no')).toBe(false);
}, 60_000);

test('links and monitors reach across nodes: a failure there, a failure here, and a node that is gone', async () => {
  const [ann, bob, cyd] = (await mesh('ann', 'bob', 'cyd')) as [Node, Node, Node];
  const downs: { instance: string; reason: string }[] = [];
  ann.subscribe('ties/down', (message) => void downs.push(JSON.parse(textOf(message))));
  const plain = (name: string): string => `export const agent = { name: '${name}',
    isolation: 'in-process', init: () => ({}),
    async handle(state, message, self) {
      if (message.type === 'mail' && message.body === 'fail') throw new Error('told to');
      if (message.type === 'mail' && message.body.monitor) await self.monitor(message.body.monitor);
      if (message.type === 'mail' && message.body.link) await self.link(message.body.link);
      if (message.type === 'mail') await self.publish('ties/tied', self.instance);
      if (message.type === 'down') await self.publish('ties/down', JSON.stringify(message));
    } };`;
  let tied = 0;
  ann.subscribe('ties/tied', () => void (tied += 1));
  const all = [
    [ann, 'near'],
    [ann, 'eye'],
    [bob, 'far'],
    [cyd, 'lost'],
  ] as const;
  for (const [node, name] of all) await ann.agents.deploy(plain(name), { node: node.id });
  const restarts = (node: Node, name: string): number =>
    node.agents.list().find(({ agent }) => agent === name)?.restarts ?? -1;
  const isUp = (name: string): boolean =>
    [ann, bob, cyd].every((node) =>
      node.agents.list().some(({ agent, state }) => agent === name && state === 'running'),
    );
  await until(() => all.every(([, name]) => isUp(name)));

  // The one that asked for the link fails: so does the other, on its own node.
  await ann.agents.send('near#0', { link: 'far#0' });
  await until(() => tied === 1);
  await ann.agents.send('near#0', 'fail');
  await until(() => restarts(bob, 'far') === 1 && restarts(ann, 'near') === 1);
  await until(() => isUp('near') && isUp('far'));
  // And the other way round; a link is used up by the failure it passed on.
  await ann.agents.send('near#0', { link: 'far#0' });
  await until(() => tied === 2);
  await ann.agents.send('far#0', 'fail');
  await until(() => restarts(bob, 'far') === 2 && restarts(ann, 'near') === 2);
  await until(() => isUp('near') && isUp('far'));

  // A node that is gone counts as the end of what ran there, for monitors and for links.
  await ann.agents.send('near#0', { link: 'lost#0' });
  await until(() => tied === 3);
  await ann.agents.send('eye#0', { monitor: 'lost#0' });
  await until(() => tied === 4);
  await cyd.stop();
  await until(() => downs.length === 1 && restarts(ann, 'near') === 3);
  expect(downs).toMatchObject([{ instance: 'lost#0', reason: 'unreachable' }]);
  expect(restarts(ann, 'eye')).toBe(0);
  // A link with nobody is refused: the agent that asked for it fails by that, and alone.
  await until(() => isUp2());
  await ann.agents.send('near#0', { link: 'nobody#0' });
  await until(() => restarts(ann, 'near') === 4);
  expect(restarts(bob, 'far')).toBe(2);
  function isUp2(): boolean {
    return ann.agents.list().some(({ agent, state }) => agent === 'near' && state === 'running');
  }
}, 60_000);

test('replicas are spread over the values of a label first', async () => {
  const home = await createLoopback();
  onTestFinished(() => home[Symbol.asyncDispose]());
  const rack = (name: string) => ({ labels: { rack: name } });
  const ann = await home.up('ann', rack('a'));
  for (const [name, at] of [
    ['bob', 'a'],
    ['cyd', 'a'],
    ['dan', 'b'],
  ] as const) {
    const node = await home.up(name, rack(at));
    await node.join((await ann.invite()).invite);
  }
  await until(() => ann.members().filter(({ state }) => state === 'alive').length === 4);
  await until(() => ann.members().every(({ labels }) => labels['rack'] !== undefined));
  await ann.agents.deploy(counter(`isolation: 'in-process',`), { replicas: 4, spread: 'rack' });
  await until(() => states(ann).filter((state) => state.endsWith('running')).length === 4);
  const racks = ann.agents.list().map(({ node }) => {
    return ann.members().find(({ id }) => id === node)?.labels['rack'] ?? '';
  });
  expect(racks.sort()).toEqual(['a', 'a', 'b', 'b']);
}, 40_000);
