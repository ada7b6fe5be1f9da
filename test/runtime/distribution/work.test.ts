/** Work spread over real nodes of one process: everybody helps, nothing is lost, and a slow reader holds all back. */

import { performance } from 'node:perf_hooks';
import { expect, test } from 'vitest';
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

const numbers = (count: number): number[] => Array.from({ length: count }, (_, at) => at);
const done = (node: Node): number => node.status().metrics.counters['work.done'] ?? 0;

test('thousands of items: all nodes work, results are whole and in order', async () => {
  const nodes = (await startMesh('ann', 'bob', 'cyd')) as Node[];
  const [ann] = nodes as [Node];
  const squares = await ann.work.map(
    numbers(3_000),
    (item: number, shared: { plus: number }) => item * item + shared.plus,
    { shared: { plus: 1 }, threads: 1 },
  );
  expect(squares).toEqual(numbers(3_000).map((item) => item * item + 1));
  await until(() => nodes.reduce((sum, node) => sum + done(node), 0) >= 3_000);
  for (const node of nodes) expect(done(node), node.name).toBeGreaterThan(0);

  const sum = await ann.work.mapReduce(
    (function* source() {
      yield* numbers(500);
    })(),
    async (item: number) => item * 2,
    (total: number, result: number) => total + result,
    0,
    { inOrder: false, threads: 1 },
  );
  expect(sum).toBe(499 * 500);
}, 60_000);

test('a reader that stops reading stops the source; breaking out ends the work everywhere', async () => {
  const [ann, bob] = (await startMesh('ann', 'bob')) as [Node, Node];
  let begun = 0;
  let isEnded = false;
  async function* source(): AsyncGenerator<number> {
    try {
      for (;;) yield begun++;
    } finally {
      isEnded = true;
    }
  }
  const seen: number[] = [];
  const stream = ann.work.stream(source(), (item: number) => item, {
    windowMax: 50,
    isolation: 'in-process',
  });
  for await (const value of stream) {
    seen.push(value);
    if (seen.length === 20) {
      await until(() => begun >= 70);
      // Twenty were read: no more than the window is begun beyond them.
      await ann.call('$SRV.ping', {}, { node: bob.id });
      expect(begun).toBeLessThanOrEqual(72);
    }
    if (seen.length === 200) break;
  }
  expect(seen).toEqual(numbers(200));
  await until(() => isEnded);
}, 60_000);

test('a node that goes in the middle loses nothing, and its items are done by the others', async () => {
  const [ann, bob] = (await startMesh('ann', 'bob', 'cyd')) as [Node, Node];
  const seen = new Set<number>();
  const working = ann.work.mapReduce(
    numbers(150),
    (item: number) => new Promise<number>((go) => setTimeout(() => go(item), 25)),
    (count: number, result: number) => (seen.add(result), count + 1),
    0,
    { threads: 1, leaseMs: 2_000, inOrder: false },
  );
  await until(() => seen.size >= 30);
  await bob.stop();
  expect(await working).toBe(150);
  expect([...seen].toSorted((one, other) => one - other)).toEqual(numbers(150));
  expect(ann.status().metrics.counters['work.regiven']).toBeGreaterThan(0);
}, 60_000);

test('a slow run does not hold up the end: an idle node overtakes it', async () => {
  const [ann] = (await startMesh('ann', 'bob')) as [Node];
  const from = performance.now();
  const results = await ann.work.map(
    numbers(30),
    async (item: number) => {
      // Both nodes are in this process: whoever begins with the first item hangs, its copy does not.
      const shared = globalThis as { begun?: boolean };
      const hangs = item === 0 && shared.begun === undefined;
      if (item === 0) shared.begun = true;
      const waitMs = hangs ? 20_000 : 5;
      await new Promise((go) => setTimeout(go, waitMs));
      return item;
    },
    { isolation: 'in-process', atOnce: 2 },
  );
  expect(results).toEqual(numbers(30));
  expect(performance.now() - from).toBeLessThan(10_000);
  await until(() => (ann.status().metrics.counters['work.copies'] ?? 0) >= 1);
}, 60_000);

test('work in this process gives the event loop its turn', async () => {
  const ann = (await startNode('ann')) as Node;
  let turns = 0;
  let isOver = false;
  const look = (): void => {
    turns += 1;
    if (!isOver) setImmediate(look);
  };
  let longest = 0;
  const from = performance.now();
  const sums = ann.work.here(numbers(400), (item) => {
    const since = performance.now();
    let sum = item;
    for (let round = 0; round < 400_000; round += 1) sum = (sum * 31 + round) % 1_000_003;
    longest = Math.max(longest, performance.now() - since);
    return sum;
  });
  setImmediate(look);
  expect(await sums).toHaveLength(400);
  const tookMs = performance.now() - from;
  isOver = true;
  // No turn is further off than a slice of 10 ms and an item; half of them may be late on a busy machine.
  expect(turns).toBeGreaterThanOrEqual(Math.floor(tookMs / (10 + longest) / 2));
  expect(turns).toBeGreaterThan(5);
}, 60_000);

test('what is wrong is told, and what fails ends the work or is kept, as wished', async () => {
  const ann = (await startNode('ann')) as Node;
  const run = (item: number): number => {
    if (item === 3) throw new Error('not three');
    return item;
  };
  const error = await failure(ann.work.map(numbers(6), run));
  expect(error.code).toBe('MYCEL_WORK_FAILED');
  expect(error.message).toMatch(/Item 3: not three/);
  const kept = await ann.work.map(numbers(6), run, { onError: 'keep' });
  expect(kept.map((one) => (typeof one === 'number' ? one : (one as MycelError).code))).toEqual([
    0,
    1,
    2,
    'MYCEL_WORK_FAILED',
    4,
    5,
  ]);
  const outside = 1;
  const closing = await failure(ann.work.map([1], (item: number) => item + outside));
  expect(closing.message).toMatch(/outside is not defined/);
  const method = {
    run(item: number) {
      return item;
    },
  }.run;
  expect((await failure(ann.work.map([1], method))).code).toBe('MYCEL_BAD_OPTION');
  const native = await failure(ann.work.map([1], Math.abs));
  expect(native.message).toMatch(/not written in JavaScript/);
  const nowhere = await failure(ann.work.map([1], run, { needs: ['wings'] }));
  expect(nowhere.code).toBe('MYCEL_NO_SITE');
  const large = await failure(ann.work.map(['x'.repeat(2_000_000)], (item: string) => item.length));
  expect(large.code).toBe('MYCEL_TOO_LARGE');
  const broken = async function* (): AsyncGenerator<number> {
    yield 1;
    throw new Error('the source broke');
  };
  expect((await failure(ann.work.map(broken(), run))).message).toBe('the source broke');
  const control = new AbortController();
  const waiting = ann.work.map([1], () => new Promise(() => {}), { signal: control.signal });
  control.abort(new Error('enough'));
  expect((await failure(waiting)).message).toBe('enough');
  expect(await ann.work.map([], run)).toEqual([]);
}, 60_000);
