/**
 * The paper's figures from the production core: HyParView, TR-07-13, tables and figures of section 5, at its own size.
 *
 * SIM_CYCLES=50 runs as many periods as the paper; what is asserted holds from the tenth on and hardly moves after that.
 */

import { beforeAll, describe, expect, test } from 'vitest';
import { createHyparview } from '../../src/protocol/overlay/hyparview.ts';
import { clustering, graphOf, measure } from './overlay-graph.ts';
import type { Graph } from './overlay-graph.ts';
import { OverlayMesh } from './overlay-mesh.ts';
import type { OverlayFactory, Views } from './overlay-mesh.ts';
import { describePlumtree } from './plumtree-claims.ts';

const count = 10_000;
const periodMs = 12_000;
const ticks = 8;
const cycles = Number(process.env['SIM_CYCLES'] ?? 14);

/** The paper tries one candidate after the other in one period; 8 of them are tried here. */
const create: OverlayFactory = (self, _boot, random) =>
  createHyparview({ self, promotionMs: 1_000 }, random);

let mesh: OverlayMesh;
let graph: Graph;
let live: readonly number[];
let views: Views[];

beforeAll(() => {
  mesh = new OverlayMesh({ seed: Number(process.env['SIM_SEED'] ?? 1), create });
  for (let at = 0; at < count; at += 1) {
    mesh.add();
    if (at > 0) mesh.sight(at, mesh.random.below(at));
    mesh.drain();
    mesh.now += 1;
  }
  for (let cycle = 0; cycle < cycles; cycle += 1) mesh.cycle(periodMs, ticks);
  graph = graphOf(mesh);
  live = mesh.live();
  views = mesh.nodes.map(({ core }) => {
    const { neighbours, passive } = core.view();
    return {
      active: neighbours.map(({ node }) => mesh.numberOf(node)),
      passive: passive.map((node) => mesh.numberOf(node)),
    };
  });
}, 240_000);

const percent = (share: number): string => `${(share * 100).toFixed(2)} %`;

describe('HyParView with 10 000 nodes', () => {
  test('has the paths, the clustering and the hops of Table 1', () => {
    const { path, hopsMax, reach } = measure(graph, live, 50, 1);
    const clusters = clustering(graph);
    console.info(`path ${path.toFixed(3)}, hops ${hopsMax}, clustering ${clusters.toFixed(5)}`);
    expect(reach).toBe(1);
    expect(Math.abs(path - 6.38)).toBeLessThanOrEqual(0.05);
    expect(clusters).toBeLessThan(0.0015);
    expect(hopsMax).toBeGreaterThanOrEqual(8);
    expect(hopsMax).toBeLessThanOrEqual(9);
  });

  test('is in the active view of five nodes each, Figure 5, and both ends hold every link', () => {
    const five = graph.filter((neighbours) => neighbours.length === 5).length;
    console.info(`${five} of ${count} nodes have 5 links`);
    expect(five / count).toBeGreaterThanOrEqual(0.995);
    expect(mesh.links()).toEqual({ mutual: graph.flat().length / 2, oneSided: 0 });
  });

  test('knows about thirty more nodes each', () => {
    const sizes = views.map(({ passive }) => passive.length);
    expect(Math.min(...sizes)).toBeGreaterThanOrEqual(25);
    expect(Math.max(...sizes)).toBe(30);
  });
});

/** The same mesh again, with this share of it gone at once and nothing noticed yet. */
function survivors(share: number): OverlayMesh {
  const copy = new OverlayMesh({ seed: 5, create });
  copy.now = mesh.now;
  const gone = views.map(() => copy.random.unit() < share);
  copy.restore(views, (at) => gone[at] === false);
  return copy;
}

const reachOf = (copy: OverlayMesh): number => measure(graphOf(copy), copy.live(), 100, 2).reach;

/** Those who lack neighbours and know nobody to ask are found by discovery, as when they first came. */
function discover(copy: OverlayMesh): number {
  const live = copy.live();
  const lost = live.filter((at) => {
    const { neighbours, passive } = copy.node(at).core.view();
    return neighbours.length < 5 && passive.length === 0;
  });
  for (const at of lost) copy.sight(at, live[copy.random.below(live.length)] ?? at);
  copy.drain();
  return lost.length;
}

describe('HyParView after failures', () => {
  test.each([
    { share: 0.5, least: 0.999, cyclesMax: 2 },
    { share: 0.8, least: 0.999, cyclesMax: 2 },
    { share: 0.9, least: 0.98, cyclesMax: 4 },
    { share: 0.95, least: 0.85, cyclesMax: 4 },
  ])('of $share of all reaches $least of the others, Figures 2 and 4', (row) => {
    const copy = survivors(row.share);
    const broken = reachOf(copy);
    copy.noticeDead();
    copy.drain();
    const repaired = reachOf(copy);
    let lost = 0;
    let healed = 0;
    while (reachOf(copy) < 1 && healed < row.cyclesMax) {
      lost = Math.max(lost, discover(copy));
      copy.cycle(periodMs, ticks);
      healed += 1;
    }
    console.info(
      `${percent(row.share)} gone: ${percent(broken)} before repair, ${percent(repaired)} after; ` +
        `${lost} knew nobody, all reached ${healed} cycles later`,
    );
    expect(repaired).toBeGreaterThanOrEqual(row.least);
    expect(repaired).toBeGreaterThan(broken);
    expect(reachOf(copy)).toBe(1);
    expect(copy.links().oneSided).toBe(0);
  });
});

describePlumtree(
  () => graph,
  (share) => {
    const copy = survivors(share);
    copy.noticeDead();
    copy.drain();
    discover(copy);
    copy.cycle(periodMs, ticks);
    return graphOf(copy).map((neighbours, at) => (copy.node(at).isUp ? neighbours : []));
  },
);
