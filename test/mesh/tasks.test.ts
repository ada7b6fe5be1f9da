/** Tasks on four hosts: winners and auctioneers are killed, and each task has one effect behind its fence. */

import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { createTaskFence } from '../../src/index.ts';
import { startMesh, startNode, type MeshHost } from './lab-mesh.ts';
import { listen } from './traffic.ts';
import { createLab } from './lab.ts';

const source = fileURLToPath(new URL('./acting-agent.mjs', import.meta.url));

interface Task {
  readonly id: string;
  readonly state: string;
  readonly winner: string;
  readonly auctioneer: string;
  readonly attempts: number;
  readonly isDecided: boolean;
}

async function json(node: MeshHost, ...args: readonly string[]): Promise<unknown> {
  const { code, json: value, stderr } = await node.host.cli(...args, '--json');
  if (code !== 0) throw new Error(`mycel ${args.join(' ')}: exit ${code} ${stderr}`);
  return value;
}

const tasksOf = async (node: MeshHost): Promise<readonly Task[]> =>
  (await json(node, 'tasks')) as readonly Task[];

async function within<Result>(
  ms: number,
  what: string,
  look: () => Promise<Result | undefined>,
): Promise<Result> {
  const until = performance.now() + ms;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() > until) throw new Error(`${what}: not within ${ms} ms`);
    await sleep(100);
  }
}

/** Submits so many, one after the other; gives their ids. */
async function submit(node: MeshHost, name: string, count: number): Promise<string[]> {
  const ids: string[] = [];
  for (let at = 0; at < count; at += 1) {
    const task = { kind: 'act', id: `${name}-${at}`, effect: 'fenced', leaseMs: 2_000 };
    await json(node, 'task', 'submit', JSON.stringify(task));
    ids.push(task.id);
  }
  return ids;
}

test('auctioneer and winner killed: every task is done, and has one effect at the sink', async () => {
  await using lab = await createLab({ hosts: 4 });
  const mesh = await startMesh(lab, 4, { flags: ['--profile', 'fast'] });
  await mesh.viewsComplete();
  const [sink, second, third, victim] = mesh.nodes as [MeshHost, MeshHost, MeshHost, MeshHost];
  await json(sink, 'deploy', source, '--replicas', '4');
  await within(20_000, 'all agents run', async () => {
    const rows = (await json(sink, 'agents')) as { state: string; node: string }[];
    const isReady = rows.length === 4 && rows.every(({ state }) => state === 'running');
    return isReady ? rows : undefined;
  });
  await within(20_000, 'a decided task', async () => {
    const { isDecided } = (await json(
      sink,
      'task',
      'submit',
      '--wait',
      '10s',
      JSON.stringify({ kind: 'act', effect: 'fenced' }),
    )) as Task;
    return isDecided ? true : undefined;
  });
  const listener = await listen(sink, '-t', 'acted/#', '-q', '1');

  const submitted = await Promise.all([
    submit(second, 'second', 12),
    submit(third, 'third', 12),
    submit(victim, 'victim', 12),
  ]);
  const atKill = await tasksOf(sink);
  await victim.host.kill();
  const ids = submitted.flat();
  const involved = atKill.filter(({ auctioneer, winner }) =>
    [auctioneer, winner].includes(victim.id),
  );
  console.info(
    `killed with ${involved.filter(({ state }) => state !== 'done').length} of its tasks not over`,
  );
  const more = await submit(second, 'later', 6);

  const isOver = async (): Promise<readonly Task[] | undefined> => {
    const known = await tasksOf(sink);
    const mine = known.filter(({ id }) => [...ids, ...more].includes(id));
    const isDone = mine.length === 42 && mine.every(({ state }) => state === 'done');
    return isDone ? mine : undefined;
  };
  const over = await within(60_000, 'all tasks done', isOver);
  // What the dead node did before it died is in its outbox: it comes when the node does.
  await startNode(lab.host(3), ['--profile', 'fast']);
  const effects = await within(40_000, 'all effects', async () => {
    const seen = new Set(listener.messages().map(({ topic }) => topic));
    return seen.size >= 42 ? listener.messages() : undefined;
  });
  await sleep(2_000);
  await listener.stop();

  const fence = createTaskFence();
  const accepted = new Map<string, number>();
  let refused = 0;
  for (const { payload } of [...effects, ...listener.messages().slice(effects.length)]) {
    const effect = JSON.parse(payload) as { task: string; fence: number };
    if (fence.finish(effect.task, effect.fence) === 'accepted') {
      accepted.set(effect.task, (accepted.get(effect.task) ?? 0) + 1);
    } else refused += 1;
  }
  expect([...accepted.keys()].sort()).toEqual([...ids, ...more].sort());
  expect([...accepted.values()].every((times) => times === 1)).toBe(true);
  const takenOver = over.filter(
    ({ id, auctioneer }) => id.startsWith('victim') && auctioneer !== victim.id,
  );
  expect(takenOver.length).toBeGreaterThan(0);
  expect(over.some(({ attempts }) => attempts > 1)).toBe(true);
  console.info(
    `42 tasks: ${takenOver.length} taken over, ${over.filter(({ attempts }) => attempts > 1).length} awarded again, ${refused} effects refused by the fence`,
  );
}, 240_000);
