/** Tasks on real nodes of one mesh: auctioned, decided, done once, whoever is gone meanwhile. */

import { setTimeout } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { createTaskFence } from '../../../src/index.ts';
import type { AgentHandles } from '../../../src/agent/furniture.ts';
import type { MycelError } from '../../../src/kernel/errors.ts';
import type { MeshNode } from '../../../src/runtime/mesh-node.ts';
import { startMesh, startNode, until } from '../loopback.ts';

type Node = MeshNode & AgentHandles;

const failure = (promise: Promise<unknown>): Promise<MycelError> =>
  promise.then(
    () => {
      throw new Error('it did not fail');
    },
    (error: unknown) => error as MycelError,
  );

/** An auction closes when all have answered; on a busy machine that may take a while. */
const patient = { biddingMs: 5_000 };

/** Waits until every node knows that so many take the kind. */
const known = (nodes: readonly Node[], kind: string, takers: number): Promise<void> =>
  until(() =>
    nodes.every(({ tasks }) => {
      const taken = tasks.kinds().find((one) => one.kind === kind);
      return taken?.nodes.length === takers;
    }),
  );

test('the lowest bid wins, and every node can tell who bid, who won and why', async () => {
  const nodes = (await startMesh('ann', 'bob', 'cyd')) as Node[];
  const [ann, bob, cyd] = nodes as [Node, Node, Node];
  const price = new Map([
    [ann, 30],
    [bob, 20],
    [cyd, 10],
  ]);
  for (const node of nodes) {
    node.tasks.handle<{ a: number; b: number }>('add', {
      bid: () => price.get(node),
      run: ({ input }) => ({ sum: input.a + input.b, by: node.name }),
    });
  }
  await known(nodes, 'add', 3);
  const task = await ann.tasks.submit({ kind: 'add', input: { a: 2, b: 3 }, ...patient });
  expect(await task.result()).toEqual({ sum: 5, by: 'cyd' });
  await until(() => bob.tasks.list()[0]?.state === 'done');
  for (const node of nodes) {
    await until(() => node.tasks.list()[0]?.state === 'done');
    expect(node.tasks.list()[0]).toMatchObject({
      id: task.id,
      state: 'done',
      winner: cyd.id,
      fence: 1,
      isDecided: true,
    });
    const [auction] = node.tasks.auctions();
    expect(auction?.bids.map(({ bidder, cost }) => [bidder, cost])).toEqual([
      [cyd.id, 10],
      [bob.id, 20],
      [ann.id, 30],
    ]);
    expect(auction).toMatchObject({ winner: cyd.id, price: 10 });
    expect(auction?.reason).toMatch(/10 is the lowest of 3 bids, the next is 20/);
  }

  expect(ann.status().metrics.counters).toMatchObject({
    'tasks.submitted': 1,
    'tasks.auctions': 1,
    'tasks.bids': 3,
    'tasks.awards': 1,
    'tasks.started': 1,
    'tasks.done': 1,
    'tasks.cost_won_ms': 10,
  });
  expect(cyd.status().metrics.counters).toMatchObject({ 'tasks.bids_made': 1, 'tasks.wins': 1 });
  expect(bob.status().metrics.counters['tasks.wins']).toBeUndefined();

  // Under the second price the winner is the same and gets what the next one asked.
  const second = await bob.tasks.submit({
    kind: 'add',
    input: { a: 1, b: 1 },
    rule: 'vickrey',
    ...patient,
  });
  expect(await second.result()).toMatchObject({ by: 'cyd' });
  expect(bob.tasks.auctions().find(({ task: id }) => id === second.id)).toMatchObject({
    rule: 'vickrey',
    price: 20,
  });

  // The same id is the same task, on whatever node it is asked for.
  const again = await cyd.tasks.submit({ kind: 'add', input: { a: 9, b: 9 }, id: second.id });
  expect(await again.result()).toMatchObject({ sum: 2 });

  // A bid above what is offered is none; the deadline ends the wait.
  const dear = await ann.tasks.submit({ kind: 'add', costMax: 5, deadlineMs: 700 });
  const error = await failure(dear.result());
  expect(error.code).toBe('MYCEL_TASK_FAILED');
  expect(error.message).toContain('not done within 700 ms');
}, 30_000);

test('nodes bid from what they measure: the loaded one gets less', async () => {
  const nodes = (await startMesh('ann', 'bob')) as Node[];
  const [ann, bob] = nodes as [Node, Node];
  const done = new Map<string, number>();
  for (const node of nodes) {
    node.tasks.handle('nap', async ({ id }) => {
      await setTimeout(node === bob ? 160 : 20);
      done.set(node.name, (done.get(node.name) ?? 0) + 1);
      return id;
    });
  }
  await known(nodes, 'nap', 2);
  for (let round = 0; round < 8; round += 1) {
    const tasks = await Promise.all(
      Array.from({ length: 4 }, () => ann.tasks.submit({ kind: 'nap', effect: 'idempotent' })),
    );
    await Promise.all(tasks.map((task) => task.result()));
  }
  expect((done.get('ann') ?? 0) + (done.get('bob') ?? 0)).toBe(32);
  expect(done.get('ann') ?? 0).toBeGreaterThan(2 * (done.get('bob') ?? 0));
  const [bid] = ann.tasks.auctions().at(-1)?.bids ?? [];
  expect(Object.keys(bid?.parts ?? {}).sort()).toEqual([
    'battery',
    'busy',
    'heat',
    'missing',
    'rtt',
    'workMs',
  ]);
}, 30_000);

test('a winner that fails or is gone loses the task to another, and the sink lets one effect through', async () => {
  const nodes = (await startMesh('ann', 'bob', 'cyd')) as Node[];
  const [ann, bob, cyd] = nodes as [Node, Node, Node];
  const fence = createTaskFence();
  const effects: string[] = [];
  const refused: string[] = [];
  const began: string[] = [];
  let wake = (): void => {};
  for (const [at, node] of nodes.entries()) {
    node.tasks.handle('open', {
      bid: () => (node === ann ? undefined : 10 - at),
      async run({ id, fence: token }) {
        began.push(node.name);
        // The winner of the first round hangs, and acts after all when the task is long another node's.
        if (node === cyd) await new Promise<void>((resolve) => (wake = resolve));
        const verdict = fence.finish(id, token);
        if (verdict === 'accepted') effects.push(node.name);
        else refused.push(`${node.name} ${verdict}`);
      },
    });
  }
  await known(nodes, 'open', 3);
  const task = await ann.tasks.submit({
    kind: 'open',
    effect: 'fenced',
    leaseMs: 1_000,
    ...patient,
  });
  await until(() => began.length === 1);
  expect(began).toEqual(['cyd']);
  await cyd.stop();
  await task.result();
  expect(began).toEqual(['cyd', 'bob']);
  wake();
  await until(() => refused.length === 1);
  expect({ effects, refused }).toEqual({ effects: ['bob'], refused: ['cyd done'] });
  expect(task.info()).toMatchObject({ winner: bob.id, fence: 2, attempts: 2 });
}, 30_000);

test('an auctioneer that is gone leaves its tasks to another node, and the winner goes on', async () => {
  const nodes = (await startMesh('ann', 'bob', 'cyd')) as Node[];
  const [ann, bob, cyd] = nodes as [Node, Node, Node];
  let release = (): void => {};
  let runs = 0;
  for (const node of [bob, cyd]) {
    node.tasks.handle('long', {
      bid: () => (node === bob ? 1 : 2),
      async run() {
        runs += 1;
        await new Promise<void>((resolve) => (release = resolve));
        return 'kept on';
      },
    });
  }
  await known(nodes, 'long', 2);
  const { id } = await ann.tasks.submit({
    kind: 'long',
    effect: 'fenced',
    leaseMs: 20_000,
    ...patient,
  });
  await until(() => runs === 1 && cyd.tasks.list()[0]?.state === 'running');
  await ann.stop();
  await until(() => [bob, cyd].some((node) => node.tasks.list()[0]?.auctioneer === node.id));
  release();
  await until(() => [bob, cyd].every((node) => node.tasks.list()[0]?.state === 'done'));
  expect(runs).toBe(1);
  expect((await cyd.tasks.outcome(id)).result).toBe('kept on');
}, 40_000);

test('cancelled while it runs: the winner is told to stop; done wins over cancelled', async () => {
  const [ann, bob] = (await startMesh('ann', 'bob')) as [Node, Node];
  let isStopped = false;
  bob.tasks.handle('wait', async ({ signal }) => {
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
    isStopped = true;
  });
  bob.tasks.handle('quick', () => 'done');
  await known([ann, bob], 'quick', 1);
  const waiting = await ann.tasks.submit({ kind: 'wait' });
  await until(() => waiting.info()?.state === 'running');
  expect(await bob.tasks.cancel(waiting.id)).toBe(true);
  await until(() => isStopped);
  expect((await failure(waiting.result())).message).toContain('cancelled');
  const quick = await ann.tasks.submit({ kind: 'quick' });
  expect(await quick.result()).toBe('done');
  expect(await quick.cancel()).toBe(false);
  expect(quick.info()?.state).toBe('done');
}, 30_000);

test('an agent takes tasks: it bids, does them, and what it throws gives them to another', async () => {
  const [ann, bob] = (await startMesh('ann', 'bob')) as [Node, Node];
  const agent = (more: string): string => `
import { defineAgent } from 'mycel';
export const agent = defineAgent({
  name: 'worker', tasks: ['square', 'spoil'], ${more}
  init: () => ({ ran: 0 }),
  bid: (task, facts, state) => (task.input === 'no' ? undefined : 5 + state.ran),
  async run(task, state, self) {
    state.ran += 1;
    if (task.kind === 'spoil') throw new Error('spoilt by ' + self.instance);
    return { square: task.input * task.input, by: self.node, fence: task.fence };
  },
});`;
  for (const isolation of ['in-process', 'thread', 'process']) {
    await ann.agents.deploy(agent(`isolation: '${isolation}',`), { name: isolation, replicas: 2 });
    await known([ann, bob], 'square', 2);
    const tasks = await Promise.all(
      [1, 2, 3, 4].map((input) => ann.tasks.submit({ kind: 'square', input })),
    );
    const results = (await Promise.all(tasks.map((task) => task.result()))) as { square: number }[];
    expect(results.map(({ square }) => square)).toEqual([1, 4, 9, 16]);
    const spoilt = await ann.tasks.submit({ kind: 'spoil', attemptsMax: 2, deadlineMs: 20_000 });
    expect((await failure(spoilt.result())).message).toMatch(/spoilt by \S+#\d/);
    const refused = await ann.tasks.submit({ kind: 'square', input: 'no', deadlineMs: 600 });
    expect((await failure(refused.result())).code).toBe('MYCEL_TASK_FAILED');
    await ann.agents.undeploy(isolation);
    await until(() => ann.tasks.kinds().length === 0 && ann.agents.list().length === 0);
  }
}, 90_000);

describe('bad input', () => {
  test('is refused with the field, the reason and the nearest valid thing; nothing is entered', async () => {
    const ann = (await startNode('ann')) as Node;
    ann.tasks.handle('resize', () => 1);
    const said = async (task: unknown): Promise<string> => {
      const { code, message, fix } = await failure(ann.tasks.submit(task as never));
      return `${code} ${message} ${fix}`;
    };
    expect(await said({ kind: 'resise' })).toMatch(/MYCEL_UNKNOWN_TASK.*did you mean 'resize'/);
    expect(await said({ kind: 'resize', needs: ['wings'] })).toMatch(/MYCEL_UNKNOWN_TASK.*wings/);
    expect(await said({})).toMatch(/MYCEL_BAD_OPTION.*'kind'/);
    expect(await said({ kind: 'resize', color: 1 })).toMatch(/MYCEL_BAD_OPTION.*'color'/);
    expect(await said({ kind: 'resize', leaseMs: 1 })).toMatch(/MYCEL_BAD_OPTION.*'leaseMs'/);
    expect(await said({ kind: 'resize', select: ':x' })).toMatch(/MYCEL_BAD_OPTION.*selector/);
    expect(await said({ kind: 'resize', input: 'x'.repeat(7_000) })).toMatch(/MYCEL_TOO_LARGE/);
    expect(await said({ kind: 'resize', effect: 'maybe' })).toMatch(/MYCEL_BAD_OPTION.*'effect'/);
    expect((await failure(ann.tasks.cancel('nothing'))).code).toBe('MYCEL_UNKNOWN_TASK');
    expect((await failure(ann.tasks.outcome('nothing'))).code).toBe('MYCEL_UNKNOWN_TASK');
    expect(ann.tasks.list()).toEqual([]);
  });

  test('a result that is too large or nothing that JSON can say fails with the reason', async () => {
    const ann = (await startNode('ann')) as Node;
    ann.tasks.handle('large', () => 'x'.repeat(10_000));
    ann.tasks.handle('odd', () => 10n);
    for (const kind of ['large', 'odd']) {
      const task = await ann.tasks.submit({ kind, attemptsMax: 1 });
      expect((await failure(task.result())).message).toMatch(/larger than 6144/);
    }
  });
});

test('without a majority: what must be decided is refused, what is fenced or idempotent is done', async () => {
  const nodes = (await startMesh('ann', 'bob', 'cyd')) as Node[];
  const [ann, bob, cyd] = nodes as [Node, Node, Node];
  for (const node of nodes) node.tasks.handle('log', ({ fence }) => fence);
  await known(nodes, 'log', 3);
  await (await ann.tasks.submit({ kind: 'log' })).result();
  await until(() => ann.status().links.length === 2);
  await expect.poll(async () => (await ann.leader()).voters.length, { timeout: 20_000 }).toBe(3);
  await Promise.all([bob.stop(), cyd.stop()]);
  await until(() => ann.members().filter(({ state }) => state === 'alive').length === 1);
  expect((await failure(ann.tasks.submit({ kind: 'log' }))).code).toBe('MYCEL_NO_QUORUM');
  const fenced = await ann.tasks.submit({ kind: 'log', effect: 'fenced' });
  expect(await fenced.result()).toBe(1);
  expect(fenced.info()).toMatchObject({ isDecided: false });
  const harmless = await ann.tasks.submit({ kind: 'log', effect: 'idempotent' });
  expect(await harmless.result()).toBe(1);
}, 60_000);
