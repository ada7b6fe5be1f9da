import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { startMesh, startNode, type MeshHost } from './lab-mesh.ts';
import type { Host } from './lab-host.ts';
import type { Lab } from './lab.ts';
import { shareLab } from './share-lab.ts';
import { heals, saidBy, spread, wronged } from './views.ts';

/** The tests follow one another on one mesh of ten hosts, as a bad day would have it; none needs those before it. */
const count = 10;

let lab: Lab;
/** Those that run. */
let nodes: readonly MeshHost[];
/** Hosts whose node left the mesh for good. */
let leavers: readonly Host[];

const node = (at: number): MeshHost => {
  const found = nodes.find(({ host }) => host.at === at);
  if (found === undefined) throw new Error(`no node on host ${at}`);
  return found;
};
const othersThan = (...left: readonly MeshHost[]): readonly MeshHost[] =>
  nodes.filter((one) => !left.includes(one));

shareLab({ hosts: count }, async (fresh) => {
  lab = fresh;
  leavers = [];
  const mesh = await startMesh(lab, count);
  nodes = mesh.nodes;
  await mesh.viewsComplete();
  // A mesh of some age: the bursts of the start are over.
  await sleep(5_000);
});

test('a frozen node is out of every view within 10 s and back within 1 s', async () => {
  const victim = node(9);
  const others = othersThan(victim);
  const frozenAt = performance.now();
  victim.host.freeze();
  const gone = await saidBy(others, victim.id, 'dead', frozenAt, 15_000);
  const thawedAt = performance.now();
  victim.host.thaw();
  const back = await saidBy(others, victim.id, 'alive', thawedAt, 15_000);
  console.info(`frozen: dead ${spread(gone)}; back ${spread(back)}`);
  expect(Math.max(...gone)).toBeLessThan(10_000);
  expect(Math.max(...back)).toBeLessThan(1_000);
  // Whoever slept must not bury those it did not hear.
  await sleep(3_000);
  expect(wronged(nodes, thawedAt)).toEqual([]);
});

test('a node that is stopped, and one that leaves, have left; nobody thinks them dead', async () => {
  const [stopped, leaver] = [node(9), node(8)];
  leavers = [leaver.host];
  const others = othersThan(stopped, leaver);
  const since = performance.now();
  expect((await stopped.host.cli('down')).code).toBe(0);
  expect((await leaver.host.cli('leave')).code).toBe(0);
  expect(await stopped.process.ended).toBe(0);
  const left = await Promise.all(
    [stopped, leaver].map(({ id }) => saidBy(others, id, 'left', since, 5_000)),
  );
  await sleep(6_000);
  for (const { id } of [stopped, leaver]) await saidBy(others, id, 'left', since, 100);
  console.info(`down and leave: left ${spread(left.flat())}`);
  expect(wronged(nodes, since)).toEqual([]);
  nodes = others;
});

test('a killed node is out of every view within 10 s', async () => {
  const victim = node(7);
  const others = othersThan(victim);
  const since = performance.now();
  await victim.host.kill();
  const gone = await saidBy(others, victim.id, 'dead', since, 15_000);
  console.info(`killed: dead ${spread(gone)}`);
  expect(Math.max(...gone)).toBeLessThan(10_000);
});

test('a mesh whose power was cut heals within 15 s of its boards being back', async () => {
  await Promise.all(nodes.map(({ host }) => host.kill()));
  // The stopped one and the killed one come back as well, each from its own card.
  const boards = lab.hosts.filter((host) => !leavers.includes(host));
  nodes = await Promise.all(boards.map((host) => startNode(host, [])));
  const readyAt = Math.max(...nodes.map((one) => one.readyAt));
  console.info(`power cut: ${await heals(nodes, readyAt)}`);
});

test('a node whose address changes is reached at the new one within 15 s', async () => {
  const since = performance.now();
  // One that dials most of the others and one that most others dial: ids decide who dials.
  const [first, second] = nodes.toSorted((left, right) => (left.id < right.id ? -1 : 1));
  const last = nodes.toSorted((left, right) => (left.id < right.id ? 1 : -1))[0];
  const movers = [first, second, last].filter((one) => one !== undefined);
  for (const [at, mover] of movers.entries()) mover.host.setAddress(`10.77.9.${at + 1}`);
  await sleep(100);
  console.info(`new addresses: ${await heals(nodes, since)}`);
});
