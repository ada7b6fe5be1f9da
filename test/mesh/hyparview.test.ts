import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { MessageExplanation, TopicExplanation } from '../../src/index.ts';
import type { Lab } from './lab.ts';
import { createMesh, startMesh, startNode, type LabMesh, type MeshHost } from './lab-mesh.ts';
import { shareLab } from './share-lab.ts';
import { difference, heardFrom, listen, numbered, speak, type Listener } from './traffic.ts';

/** With `HOSTS=17` or more they relay along trees; of 8 a flood reaches all. */
const count = Number(process.env['HOSTS'] ?? 8);
/** Links of a node in the profile `loopback`. */
const activeMax = 4;
const pace = ['--profile', 'loopback'];
/** Time for a late second copy to come. */
const extraMs = 500;

let lab: Lab;
let mesh: LabMesh;
let listeners: Listener[];

let wholeMs: number;

shareLab({ hosts: count }, async (fresh) => {
  lab = fresh;
  mesh = await startMesh(lab, count, { flags: [...pace, '--overlay', 'hyparview'] });
  wholeMs = await mesh.viewsComplete(count, 30_000 + count * 2_000);
  await linked(mesh.nodes, activeMax - 1, 20_000 + count * 1_000);
  listeners = await Promise.all(mesh.nodes.map((node) => listen(node, '-q', '1', '-t', 'all/#')));
});

interface Report {
  readonly overlay: {
    readonly name: string;
    readonly active: number;
    readonly activeMax?: number;
    readonly passive: number;
  };
  readonly links: readonly { readonly peer: string }[];
  readonly metrics: { readonly counters: Readonly<Record<string, number>> };
}

async function reportOf(node: MeshHost): Promise<Report> {
  const { code, json, stderr } = await node.host.cli('status', '--json');
  if (code !== 0) throw new Error(`mycel status: exit ${code} ${stderr}`);
  return json as Report;
}

/** Waits until each of these nodes has so many links or more, and none with anybody else; gives the reports. */
async function linked(
  nodes: readonly MeshHost[],
  least: number,
  ms: number,
): Promise<readonly Report[]> {
  const ids = new Set(nodes.map(({ id }) => id));
  const end = performance.now() + ms;
  for (;;) {
    const reports = await Promise.all(nodes.map(reportOf));
    const isDone = reports.every(
      ({ overlay, links }) => overlay.active >= least && links.every(({ peer }) => ids.has(peer)),
    );
    if (isDone) return reports;
    if (performance.now() > end) {
      throw new Error(`links: ${JSON.stringify(reports.map(({ overlay }) => overlay))}`);
    }
    await sleep(250);
  }
}

/** Lets every node publish numbered events, and expects each of them once and in order at every node. */
async function exchange(nodes: readonly MeshHost[], name: string): Promise<void> {
  const since = performance.now();
  const each = 25;
  const publishers = nodes.map((node) => `${name}-${node.host.at}`);
  await Promise.all(
    nodes.map((node, at) =>
      speak(node, numbered(publishers[at] ?? '', each), '-q', '1', '-t', `all/${name}`),
    ),
  );
  const ears = nodes.map((node) => listeners[node.host.at] as Listener);
  const isComplete = (): boolean =>
    ears.every((ear) => publishers.every((one) => heardFrom(ear, one).length >= each));
  while (!isComplete() && performance.now() < since + 25_000) await sleep(50);
  const ms = performance.now() - since;
  await sleep(extraMs);
  for (const [at, ear] of ears.entries()) {
    for (const publisher of publishers) {
      const problem = difference(numbered(publisher, each), heardFrom(ear, publisher));
      expect(problem, `${publisher} at ${nodes[at]?.name}`).toBe('');
    }
  }
  console.info(
    `${name}: ${nodes.length} x ${nodes.length} x ${each} events in ${Math.round(ms)} ms`,
  );
}

test(`${count} nodes with four links at most all see each other as members`, async () => {
  const reports = await linked(mesh.nodes, activeMax - 1, 20_000);
  const most = (count * activeMax) / 2;
  const links = reports.reduce((sum, { overlay }) => sum + overlay.active, 0) / 2;
  console.info(
    `complete views after ${Math.round(wholeMs)} ms, ${links} links instead of ${(count * (count - 1)) / 2}`,
  );
  for (const { overlay } of reports) {
    expect(overlay).toMatchObject({ name: 'hyparview', activeMax });
    expect(overlay.active).toBeLessThanOrEqual(activeMax);
    expect(overlay.passive).toBeGreaterThanOrEqual(1);
  }
  expect(links).toBeLessThanOrEqual(most);
});

test('an event of any node comes to every other one once and in order', async () => {
  await exchange(mesh.nodes, 'whole');
  if (count <= 16) return;
  // They relay along trees where they hear enough from each other: what comes once is not sent twice.
  await exchange(mesh.nodes, 'again');
  const counts = await Promise.all(mesh.nodes.map(reportOf));
  const spared = counts.reduce(
    (sum, { metrics }) => sum + (metrics.counters['broadcast.spared'] ?? 0),
    0,
  );
  console.info(`trees spared ${spared} copies`);
  expect(spared).toBeGreaterThan(0);
});

async function explain<Answer>(node: MeshHost, ...args: readonly string[]): Promise<Answer> {
  const { code, json, stderr } = await node.host.cli(...args, '--json');
  if (code !== 0) throw new Error(`mycel ${args.join(' ')}: exit ${code} ${stderr}`);
  return json as Answer;
}

/** Every station has it from one that sent it there, back to the origin; gives how often it was sent in all. */
function transmissions({ origin, stations, silent }: MessageExplanation): number {
  expect(silent).toEqual([]);
  expect(stations.map(({ node }) => node).toSorted()).toEqual(
    mesh.nodes.map(({ id }) => id).toSorted(),
  );
  const sent = new Set<string>();
  for (const { node, steps } of stations) {
    for (const { fate, peer } of steps) if (fate === 'sent') sent.add(`${node} ${peer?.node}`);
  }
  for (const { node, hop, steps } of stations) {
    const fates = steps.map(({ fate }) => fate);
    if (node === origin.node) {
      expect([hop, fates.includes('published')]).toEqual([0, true]);
      continue;
    }
    expect(fates).toContain('delivered');
    const from = steps.find(({ fate }) => fate === 'received')?.peer?.node;
    expect(sent).toContain(`${from} ${node}`);
    // The way that it came first need not be the shortest that it came.
    const before = stations.filter((one) => sent.has(`${one.node} ${node}`));
    expect(hop).toBe(Math.min(...before.map((one) => one.hop ?? NaN)) + 1);
  }
  return sent.size;
}

test('an explanation follows a message from host to host over the active links', async () => {
  const [first, , , , , asker] = mesh.nodes;
  if (first === undefined || asker === undefined) throw new Error('too few nodes');
  const topic = await explain<TopicExplanation>(first, 'explain', 'all/why');
  expect([topic.silent, topic.others]).toEqual([[], []]);
  expect(topic.receivers.map(({ node }) => node).toSorted()).toEqual(
    mesh.nodes.map(({ id }) => id).toSorted(),
  );
  const near = (await reportOf(first)).links.map(({ peer }) => peer);
  for (const { node, way, hops } of topic.receivers) {
    const direct = node === first.id ? 'here' : near.includes(node as never) ? 'direct' : undefined;
    if (direct !== undefined) expect(way).toBe(direct);
    else expect(['relayed', 'flooded']).toContain(way);
    if (way === 'here') continue;
    expect(hops[0]?.from.node).toBe(first.id);
    if (way !== 'flooded') expect(hops.at(-1)?.to.node).toBe(node);
  }
  const { id } = await explain<{ id: string }>(first, 'pub', 'all/why', 'over the links');
  await sleep(extraMs);
  const told = await explain<MessageExplanation>(asker, 'explain', '--message', id);
  const sent = transmissions(told);
  const links = (await Promise.all(mesh.nodes.map(reportOf))).flatMap((one) => one.links).length;
  console.info(`sent ${sent} times over ${links / 2} links`);
  // Over no link more than once in each direction, also where it is a flood.
  expect(sent).toBeGreaterThanOrEqual(count - 1);
  expect(sent).toBeLessThanOrEqual(links);
});

test('those that are left heal their overlay when two hosts lose power, and go on', async () => {
  const survivors = mesh.nodes.slice(0, count - 2);
  for (const node of mesh.nodes.slice(count - 2)) {
    node.host.linkDown('cable');
    await node.host.kill();
  }
  const since = performance.now();
  const during = exchange(survivors, 'during');
  const reports = await linked(survivors, activeMax - 1, 20_000);
  console.info(`healed ${Math.round(performance.now() - since)} ms after the loss`);
  await during;
  for (const { overlay } of reports) expect(overlay.active).toBeLessThanOrEqual(activeMax);
  await exchange(survivors, 'after');
});

test('the two come back with a full mesh, and all work together', async () => {
  const two = [count - 2, count - 1];
  for (const at of two) await lab.host(at).kill();
  lab.heal();
  const back = await Promise.all(
    two.map((at) => startNode(lab.host(at), [...pace, '--overlay', 'full-mesh'])),
  );
  mesh = createMesh([...mesh.nodes.slice(0, count - 2), ...back]);
  await mesh.viewsComplete(count, 30_000);
  for (const node of back) {
    listeners[node.host.at] = await listen(node, '-q', '1', '-t', 'all/#');
  }
  const reports = await linked(mesh.nodes, 1, 10_000);
  for (const [at, { overlay }] of reports.entries()) {
    expect(overlay.name).toBe(at < count - 2 ? 'hyparview' : 'full-mesh');
    expect(overlay.activeMax).toBe(at < count - 2 ? activeMax : undefined);
    if (at < count - 2) expect(overlay.active).toBeLessThanOrEqual(activeMax);
  }
  await exchange(mesh.nodes, 'mixed');
});
