/** Every kind of auction between real nodes: who wins, at what price, and what people are told. */

import { expect, test } from 'vitest';
import type { AgentHandles } from '../../../src/agent/furniture.ts';
import type { MycelError } from '../../../src/kernel/errors.ts';
import { createRandom } from '../../../src/kernel/random.ts';
import { createAdaptiveShade, createCostBidder } from '../../../src/index.ts';
import type { MeshNode } from '../../../src/runtime/mesh-node.ts';
import { startMesh, startNode, until } from '../loopback.ts';

type Node = MeshNode & AgentHandles;

const auctionOf = (node: Node, id: string) => node.tasks.auctions().find((one) => one.task === id);

/** Nodes that take `job` at these costs: by name of the node, or by input and what it has in hand. */
async function market(
  cost: (node: string, input: number, held: number) => number,
): Promise<Node[]> {
  const nodes = (await startMesh('ann', 'bob', 'cyd')) as Node[];
  for (const node of nodes) {
    node.tasks.handle<number>('job', {
      bid: ({ input, held }) => cost(node.name, input as number, held.length),
      run: ({ input, fence }) => ({ by: node.name, input, fence }),
    });
  }
  await until(() => nodes.every(({ tasks }) => tasks.kinds()[0]?.nodes.length === 3));
  return nodes;
}

test('English and Dutch: the price moves by words over the mesh until one is left, and people see how', async () => {
  const price = new Map([
    ['ann', 62],
    ['bob', 41],
    ['cyd', 20],
  ]);
  const nodes = await market((name) => price.get(name) ?? 0);
  const [ann, bob] = nodes as [Node, Node];
  const cyd = nodes[2] as Node;
  const slow = { costMax: 100, priceStep: 5, biddingMs: 2_000 };

  const english = await ann.tasks.submit({ kind: 'job', input: 1, rule: 'english', ...slow });
  expect(await english.result()).toEqual({ by: 'cyd', input: 1, fence: 1 });
  const seen = auctionOf(ann, english.id);
  expect(seen).toMatchObject({ rule: 'english', winner: cyd.id });
  // The second drops out between 45 and 40; one step below is the price, or the one before when it was cyd's already.
  expect([40, 45]).toContain(seen?.price);
  expect(seen?.reason).toMatch(/^the price fell from 100 to 4[05] in 1[23] bids of \d, and nobody/);
  expect(seen?.bids[0]).toMatchObject({ bidder: cyd.id, parts: {} });

  const dutch = await bob.tasks.submit({
    kind: 'job',
    input: 2,
    rule: 'dutch',
    priceStepMs: 250,
    ...slow,
  });
  expect(await dutch.result()).toEqual({ by: 'cyd', input: 2, fence: 1 });
  expect(auctionOf(bob, dutch.id)).toMatchObject({ rule: 'dutch', winner: cyd.id, price: 20 });
  expect(auctionOf(bob, dutch.id)?.reason).toMatch(/20, price 4 of the rising ones, was taken/);

  // Too dear for everybody: the deadline ends the waiting, in both.
  for (const rule of ['english', 'dutch'] as const) {
    const task = await ann.tasks.submit({
      kind: 'job',
      input: 3,
      rule,
      costMax: 10,
      deadlineMs: 900,
    });
    await expect(task.result()).rejects.toThrow(/not done within 900 ms/);
  }
  // The one who leads is gone before it is awarded, or after: somebody else does it.
  await cyd.stop();
  const again = await ann.tasks.submit({ kind: 'job', input: 4, rule: 'english', ...slow });
  expect(await again.result()).toMatchObject({ by: 'bob' });
}, 60_000);

test('batches: one at a time, one each at least total cost, in bundles; each task has its own record', async () => {
  // What ann does best everybody does worse; greedy would give ann both.
  const costs: Record<string, readonly number[]> = {
    ann: [10, 12, 90],
    bob: [60, 20, 80],
    cyd: [70, 65, 30],
  };
  const nodes = await market((name, input, held) => (costs[name]?.[input] ?? 99) + held * 50);
  const [ann, bob, cyd] = nodes as [Node, Node, Node];
  const tasks = [0, 1, 2].map((input) => ({ kind: 'job', input, biddingMs: 5_000 }));

  const assigned = await bob.tasks.submitBatch({ auction: 'assignment', tasks });
  expect(await Promise.all(assigned.map((task) => task.result()))).toEqual([
    { by: 'ann', input: 0, fence: 1 },
    { by: 'bob', input: 1, fence: 1 },
    { by: 'cyd', input: 2, fence: 1 },
  ]);
  const [first] = assigned.map(({ id }) => auctionOf(bob, id));
  expect(first).toMatchObject({ rule: 'assignment', winner: ann.id, price: 10 });
  expect(first?.bids.map(({ cost }) => cost)).toEqual([10, 60, 70]);
  expect(first?.reason).toContain('in a batch that costs 60, the least of all ways');
  const batch = first?.batch;
  expect(batch).toMatch(/^[0-9a-f]{16}$/);
  expect(assigned.map(({ id }) => auctionOf(bob, id)?.batch)).toEqual([batch, batch, batch]);
  // Copies say the same.
  await until(() => auctionOf(cyd, assigned[0]?.id ?? '')?.reason === first?.reason);

  const singly = await ann.tasks.submitBatch({ tasks });
  const done = await Promise.all(singly.map((task) => task.result()));
  expect(done).toMatchObject([{ by: 'ann' }, { by: 'bob' }, { by: 'cyd' }]);
  expect(auctionOf(ann, singly[0]?.id ?? '')).toMatchObject({ rule: 'single-item', price: 10 });
  expect(auctionOf(ann, singly[2]?.id ?? '')?.reason).toMatch(/^round 3: 30 is the lowest/);

  // Without a word about bundles they are priced one after the other: alone each is cheaper here.
  const apart = await cyd.tasks.submitBatch({ auction: 'combinatorial', tasks });
  expect(await Promise.all(apart.map((task) => task.result()))).toMatchObject([
    { by: 'ann' },
    { by: 'bob' },
    { by: 'cyd' },
  ]);
  expect(ann.tasks.figures()).toMatchObject({
    welfare: { batchMs: 60, batchBoundMs: 52, costMs: 0, share: undefined },
  });
}, 60_000);

test('who names bundles wins them whole, and what a batch leaves over is auctioned by itself', async () => {
  const nodes = (await startMesh('ann', 'bob')) as Node[];
  const [ann, bob] = nodes as [Node, Node];
  for (const node of nodes) {
    node.tasks.handle<number>('carry', {
      // Only later is anybody willing to do the third.
      bid: ({ input, held, rule }) =>
        input === 3 && rule !== 'first-price' && held.length === 0 && isFirst
          ? undefined
          : node === ann
            ? 10
            : 30,
      bundles: (tasks) =>
        node === bob ? [{ items: tasks.slice(0, 2).map(({ id }) => id), cost: 14 }] : [],
      run: ({ input }) => `${node.name} ${String(input)}`,
    });
  }
  let isFirst = true;
  await until(() => nodes.every(({ tasks }) => tasks.kinds()[0]?.nodes.length === 2));
  const tasks = [1, 2, 3].map((input) => ({ kind: 'carry', input, biddingMs: 5_000 }));
  const handles = await ann.tasks.submitBatch({ auction: 'combinatorial', tasks });
  await until(() => handles.slice(0, 2).every((task) => task.info()?.state === 'done'));
  isFirst = false;
  expect(await Promise.all(handles.map((task) => task.result()))).toEqual([
    'bob 1',
    'bob 2',
    'ann 3',
  ]);
  const won = auctionOf(ann, handles[0]?.id ?? '');
  expect(won).toMatchObject({ winner: bob.id, price: 7 });
  expect(won?.reason).toMatch(/^a bundle of 2 for 14 \(.*the least of all ways/);
  expect(auctionOf(ann, handles[2]?.id ?? '')?.reason).toMatch(/10 is the lowest of 2 bids/);
}, 60_000);

test('a bidder hears how its auctions ended, learns its shade from that, and gains what the truth does not', async () => {
  const nodes = (await startMesh('ann', 'bob')) as Node[];
  const [ann, bob] = nodes as [Node, Node];
  const shade = createAdaptiveShade();
  const learner = createCostBidder(shade, 100);
  const cost = new Map<string, number>();
  let gained = 0;
  let heard = 0;
  ann.tasks.handle('job', {
    bid({ id }, { settled = [] }) {
      for (const { task, asked, isWon } of settled) {
        heard += 1;
        if (isWon) gained += asked - (cost.get(task) ?? 0);
      }
      learner.hear(settled);
      return learner.bid(id, cost.get(id) ?? 0);
    },
    run: () => 'ann',
  });
  // Always the same: a shade of half, with which the learner begins, hardly ever wins against it.
  bob.tasks.handle('job', { bid: () => 50, run: () => 'bob' });
  await until(() => nodes.every(({ tasks }) => tasks.kinds()[0]?.nodes.length === 2));
  const random = createRandom(7);
  const first = shade.share();
  const rounds = 150;
  for (let round = 0; round < rounds; round += 1) {
    const id = `round-${round}`;
    cost.set(id, random.unit() * 100);
    const task = { kind: 'job', id, effect: 'idempotent', biddingMs: 5_000 } as const;
    await (await bob.tasks.submit(task)).result();
  }
  console.info(
    `shade ${first.toFixed(2)}, learned ${shade.share().toFixed(2)}; gained ${(gained / rounds).toFixed(1)} a task`,
  );
  // Each ending is told at the next asking: all but the last.
  expect(heard).toBe(rounds - 1);
  // The best share of all is 0.7, with 7.3 a task in the mean; half gains less than 1, and the truth nothing.
  expect(first).toBeLessThan(0.55);
  expect(Math.abs(shade.share() - 0.7)).toBeLessThan(0.08);
  expect(gained / rounds).toBeGreaterThan(3);

  const figures = bob.tasks.figures();
  expect(figures).toMatchObject({
    submitted: rounds,
    done: rounds,
    auctions: rounds,
    bids: 2 * rounds,
    reauctions: 0,
    bidsMade: rounds,
    welfare: { share: 1 },
  });
  expect(figures.winRate).toBeCloseTo(figures.wins / rounds);
  expect(figures.wins + ann.tasks.figures().wins).toBe(rounds);
  expect(figures.queueMs.p95).toBeGreaterThanOrEqual(figures.queueMs.p50 ?? Infinity);
}, 60_000);

test('a kind that is none is refused with those that there are; of a batch nothing is entered then', async () => {
  const ann = (await startNode('ann')) as Node;
  ann.tasks.handle('job', () => 1);
  const said = async (promise: Promise<unknown>): Promise<string> => {
    const error = (await promise.then(
      () => new Error('it did not fail'),
      (reason: unknown) => reason,
    )) as MycelError;
    return `${error.code} ${error.message} ${error.fix}`;
  };
  const task = (rule: string, more = {}) =>
    said(ann.tasks.submit({ kind: 'job', rule, ...more } as never));
  const batch = (request: unknown) => said(ann.tasks.submitBatch(request as never));
  const ofTasks = /first-price, vickrey, english, dutch/;
  const ofBatches = /single-item, assignment, combinatorial/;
  for (const text of [await task('japanese'), await batch({ auction: 'lottery', tasks: [] })]) {
    expect(text).toMatch(/MYCEL_BAD_OPTION.*There is no auction '(japanese|lottery)'/);
    expect(text).toMatch(ofTasks);
    expect(text).toMatch(ofBatches);
  }
  expect(await task('assignment')).toMatch(/'assignment' is for batches/);
  expect(await batch({ auction: 'dutch', tasks: [{ kind: 'job' }] })).toMatch(/is for one task/);
  expect(await task('english')).toMatch(/needs 'costMax'.*falls from/);
  expect(await task('dutch', { costMax: 0 })).toMatch(/needs 'costMax'.*rises to/);
  expect(await batch({ tasks: [] })).toMatch(/1 to 64 tasks, not of 0/);
  expect(await batch({ tasks: [{ kind: 'job', rule: 'vickrey' }] })).toMatch(
    /no 'rule' of its own/,
  );
  expect(
    await batch({
      tasks: [
        { kind: 'job', id: 'x' },
        { kind: 'job', id: 'x' },
      ],
    }),
  ).toMatch(/same id/);
  expect(await batch({ tasks: [{ kind: 'job' }, { kind: 'jib' }] })).toMatch(/MYCEL_UNKNOWN_TASK/);
  expect(ann.tasks.list()).toEqual([]);
});
