/** Routers that relay along trees, on the graphs that overlays make: what it saves, and that nothing is lost by it. */

import { describe, expect, test } from 'vitest';
import { graphOf } from './overlay-graph.ts';
import { OverlayMesh } from './overlay-mesh.ts';
import { RoutingMesh } from './routing-mesh.ts';
import type { Edge } from './routing-mesh.ts';
import { createHyparview } from '../../src/protocol/overlay/hyparview.ts';

const seeds = Math.max(1, Number(process.env['SIM_SEEDS'] ?? 40) / 40);

function hyparviewEdges(count: number, seed: number): Edge[] {
  const mesh = new OverlayMesh({
    seed,
    create: (self, _boot, random) => createHyparview({ self }, random),
  });
  for (let at = 0; at < count; at += 1) {
    mesh.add();
    if (at > 0) mesh.sight(at, mesh.random.below(at));
    mesh.drain();
    mesh.now += 1;
  }
  for (let cycle = 0; cycle < 6; cycle += 1) mesh.cycle(12_000, 4);
  return graphOf(mesh).flatMap((peers, at) =>
    peers.filter((peer) => peer > at).map((peer): Edge => [at, peer]),
  );
}

function wrongOf(mesh: RoutingMesh): string[] {
  const wrong: string[] = [];
  for (const node of mesh.nodes) {
    if (node.log.gaps > 0) wrong.push(`${node.log.gaps} gaps at ${node.id}`);
    for (const origin of mesh.nodes) {
      if (origin === node) continue;
      const got = node.log.events.get(origin.id) ?? [];
      if (got.length !== origin.published || !got.every((seq, at) => seq === at + 1)) {
        wrong.push(`${got.length} of ${origin.published} from ${origin.id} at ${node.id}`);
      }
    }
  }
  return wrong;
}

/** Four nodes publish so many events each, evenly over ten seconds; gives the copies per event of the second half. */
function run(count: number, seed: number, isTree: boolean, flapMs = 0): number {
  const mesh = new RoutingMesh({ seed, count, edges: hyparviewEdges(count, seed), isTree });
  mesh.start();
  mesh.runUntil(1_000);
  const each = 100;
  for (const at of [0, 7, 13, count - 1]) {
    for (let sent = 0; sent < each; sent += 1) {
      mesh.at(1_000 + sent * 100 + mesh.random.below(50), () => mesh.publishEvent(at));
    }
  }
  const flap = (): void => {
    const link = mesh.links[mesh.random.below(mesh.links.length)];
    if (link === undefined || mesh.now > 11_000) return;
    mesh.cut(link, 20);
    mesh.at(mesh.now + 300, () => mesh.open(link));
    mesh.at(mesh.now + flapMs, flap);
  };
  if (flapMs > 0) mesh.at(1_500, flap);
  mesh.runUntil(6_000);
  const before = mesh.crossings.size;
  mesh.runUntil(60_000);
  expect(wrongOf(mesh), `seed ${seed}`).toEqual([]);
  return (mesh.crossings.size - before) / (each * 2);
}

describe('routers that relay along trees', () => {
  test('send each event little more than once to each node, where a flood sends it four times', () => {
    const count = 40;
    const [tree, flood] = [run(count, 1, true), run(count, 1, false)];
    console.info(
      `${tree.toFixed(1)} copies by trees, ${flood.toFixed(1)} by flood, ${count - 1} needed`,
    );
    expect(tree).toBeGreaterThanOrEqual(count - 1);
    expect(tree).toBeLessThan((count - 1) * 1.3);
    expect(flood).toBeGreaterThan((count - 1) * 2.5);
  });

  test('deliver each event once and in order while links are cut all the time', () => {
    for (let seed = 1; seed <= seeds; seed += 1) run(24, seed, true, 100);
  });

  test('flood in a small mesh', () => {
    const mesh = new RoutingMesh({
      seed: 1,
      count: 12,
      edges: hyparviewEdges(12, 1),
      isTree: true,
    });
    mesh.start();
    for (let at = 0; at < 100; at += 1) mesh.at(1_000 + at * 20, () => mesh.publishEvent(3));
    mesh.runUntil(20_000);
    expect(wrongOf(mesh)).toEqual([]);
    expect(mesh.broadcastCount).toBe(0);
  });
});
