/** Five hosts change their overlay under traffic: each mosquitto client gets each message once and in order. */

import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createLab, type Lab } from './lab.ts';
import { startMesh, startNode, type LabMesh, type MeshHost } from './lab-mesh.ts';
import { difference, heardFrom, listen, numbered, speak, type Listener } from './traffic.ts';

const count = 5;
const pace = ['--profile', 'loopback'];
/** Time for a late second copy to come. */
const extraMs = 500;

let lab: Lab;
let mesh: LabMesh;

beforeAll(async () => {
  lab = await createLab({ hosts: count });
  mesh = await startMesh(lab, count, { flags: pace });
  await mesh.viewsComplete(count, 30_000);
});
afterAll(() => lab.stop());

interface Report {
  readonly kind: string;
  readonly epoch: number;
  readonly leaving: string | null;
  readonly neighbours: readonly string[];
  readonly waitMs: number;
  readonly history: readonly { readonly what: string; readonly kind: string }[];
}

async function topologyOf(node: MeshHost): Promise<Report> {
  const { code, json, stderr } = await node.host.cli('topology', '--json');
  if (code !== 0) throw new Error(`mycel topology: exit ${code} ${stderr}`);
  return json as Report;
}

/** Waits until these nodes run this overlay alone. */
async function settled(
  nodes: readonly MeshHost[],
  kind: string,
  ms: number,
  links?: number,
): Promise<Report[]> {
  const end = performance.now() + ms;
  for (;;) {
    const reports = await Promise.all(nodes.map(topologyOf));
    const isDone = reports.every(
      (one) => one.kind === kind && one.leaving === null && one.neighbours.length > 0,
    );
    // A link that one end alone shows is about to come or to go.
    const ends = reports.reduce((sum, { neighbours }) => sum + neighbours.length, 0);
    if (isDone && (links === undefined || ends === 2 * links)) return reports;
    if (performance.now() > end) throw new Error(`not ${kind}: ${JSON.stringify(reports)}`);
    await sleep(1_000);
  }
}

/** Sets it as soon as the mesh takes it. */
async function setTopology(node: MeshHost, kind: string): Promise<void> {
  const { waitMs } = await topologyOf(node);
  await sleep(waitMs);
  const { code, stderr } = await node.host.cli('topology', 'set', kind, '--reason', 'a test');
  expect(code, stderr).toBe(0);
}

/** Lets every node publish numbered events until told to end; then expects each of them once and in order everywhere. */
function traffic(nodes: readonly MeshHost[], ears: readonly Listener[]) {
  let isOver = false;
  const counts = nodes.map(() => 0);
  const speaking = nodes.map(async (node, at) => {
    const publisher = `p${node.host.at}`;
    while (!isOver) {
      const from = counts[at] ?? 0;
      const lines = numbered(publisher, from + 20).slice(from);
      await speak(node, lines, '-q', '1', '-t', `t/${publisher}`);
      counts[at] = from + lines.length;
      await sleep(200);
    }
  });
  return {
    async end(): Promise<number> {
      isOver = true;
      await Promise.all(speaking);
      const isComplete = (): boolean =>
        ears.every((ear) =>
          nodes.every((node, at) => heardFrom(ear, `p${node.host.at}`).length >= (counts[at] ?? 0)),
        );
      const end = performance.now() + 30_000;
      while (!isComplete() && performance.now() < end) await sleep(50);
      await sleep(extraMs);
      for (const [index, ear] of ears.entries()) {
        for (const [at, node] of nodes.entries()) {
          const publisher = `p${node.host.at}`;
          const problem = difference(
            numbered(publisher, counts[at] ?? 0),
            heardFrom(ear, publisher),
          );
          expect(problem, `${publisher} at ${nodes[index]?.name}`).toBe('');
        }
      }
      return counts.reduce((sum, one) => sum + one, 0);
    },
  };
}

test('a topology that does not exist is refused with those that do, and nothing changes', async () => {
  const before = await topologyOf(mesh.node(0));
  const { code, stderr } = await mesh.node(0).host.cli('topology', 'set', 'nonsense');
  expect(code).toBe(2);
  expect(stderr).toContain('full-mesh, hyparview, client-server or pub-sub');
  expect(stderr.trim().split('\n')).toHaveLength(1);
  expect(await topologyOf(mesh.node(0))).toMatchObject({
    kind: before.kind,
    epoch: before.epoch,
    history: [],
  });
});

test('four switches under traffic lose no message and deliver none twice', async () => {
  const ears = await Promise.all(mesh.nodes.map((node) => listen(node, '-q', '1', '-t', 't/#')));
  const talk = traffic(mesh.nodes, ears);
  try {
    await switchThroughAll();
  } finally {
    console.info(`${await talk.end()} events of ${count} publishers`);
  }
});

async function switchThroughAll(): Promise<void> {
  await sleep(500);
  for (const [by, kind] of [
    [1, 'hyparview'],
    [3, 'client-server'],
    [2, 'pub-sub'],
    [0, 'full-mesh'],
  ] as const) {
    await setTopology(mesh.node(by), kind);
    const since = performance.now();
    // Two hubs linked with each other, three nodes with two parents each.
    const reports = await settled(
      mesh.nodes,
      kind,
      60_000,
      kind === 'client-server' ? 7 : undefined,
    );
    const links = reports.reduce((sum, { neighbours }) => sum + neighbours.length, 0) / 2;
    console.info(`${kind} after ${Math.round(performance.now() - since)} ms, ${links} links`);
    expect(reports.every(({ history }) => history.every(({ what }) => what !== 'rolledBack'))).toBe(
      true,
    );
  }
}

test('a node that was off during a switch learns of it when it is back, and remembers it', async () => {
  const away = mesh.node(4);
  await away.host.kill();
  const rest = mesh.nodes.slice(0, 4);
  await setTopology(mesh.node(0), 'hyparview');
  await settled(rest, 'hyparview', 60_000);
  const back = await startNode(away.host, pace);
  await settled([...rest, back], 'hyparview', 60_000);
  await back.host.kill();
  const again = await startNode(back.host, pace);
  expect(await topologyOf(again)).toMatchObject({ kind: 'hyparview' });
});
