/** A thousand nodes: a broadcast reaches all, costs each node the same whatever their number, and survives the loss of 30 %. */

import { describe, expect, test } from 'vitest';
import { createHyparview } from '../../src/protocol/overlay/hyparview.ts';
import { graphOf, isWhole } from './overlay-graph.ts';
import type { Graph } from './overlay-graph.ts';
import { OverlayMesh } from './overlay-mesh.ts';
import { PlumtreeMesh } from './plumtree-mesh.ts';

/** Heartbeat and death of a link on a wired network. */
const heartbeatMs = 5_000;
const silentMsMax = 15_000;
/** Once noticed, a repair takes a dial and an answer. */
const repairMs = 1_000;

function overlayOf(count: number, seed: number): OverlayMesh {
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
  return mesh;
}

/** Means of a few broadcasts of different nodes, the tree of each being grown. */
function cost(graph: Graph): { readonly perNode: number; readonly sentMax: number } {
  const mesh = new PlumtreeMesh({ seed: 1, graph });
  let sent = 0;
  let sentMax = 0;
  const senders = [1, Math.floor(graph.length / 2), graph.length - 1];
  for (const from of senders) {
    mesh.broadcast(from);
    const { reached, payloads, announced, grafts, prunes, sentMax: most } = mesh.broadcast(from);
    expect(reached).toBe(graph.length);
    sent += payloads + announced + grafts + prunes;
    sentMax = Math.max(sentMax, most);
  }
  return { perNode: sent / senders.length / graph.length, sentMax };
}

describe('a broadcast in a thousand nodes', () => {
  test('reaches all, and no node sends more than in a mesh of 125', () => {
    const [small, large] = [125, 1_000].map((count) => cost(graphOf(overlayOf(count, 7))));
    console.info('125 nodes', small, '1000 nodes', large);
    expect(large?.perNode).toBeLessThanOrEqual((small?.perNode ?? 0) * 1.1);
    // A node has five links: over each it sends the message or its name, and answers for what went wrong.
    expect(large?.sentMax).toBeLessThanOrEqual(10);
  });

  test('reaches all the others one heartbeat and one repair after 30 % have failed at once', () => {
    const overlay = overlayOf(1_000, 8);
    const mesh = new PlumtreeMesh({ seed: 2, graph: graphOf(overlay) });
    const dead = overlay.live().filter(() => overlay.random.unit() < 0.3);
    const from = overlay.live().find((at) => !dead.includes(at)) ?? 0;
    mesh.broadcast(from);
    // A board without power says nothing: membership, or what is said to it in vain, tells its neighbours by then.
    for (const at of dead) overlay.kill(at, silentMsMax + heartbeatMs);
    overlay.runUntil(overlay.now + silentMsMax + heartbeatMs + repairMs);
    expect(isWhole(overlay)).toBe(true);
    mesh.setGraph(graphOf(overlay).map((links, at) => (overlay.node(at).isUp ? links : [])));
    const { reached, grafts } = mesh.broadcast(from);
    console.info(`${dead.length} gone, ${reached} reached, ${grafts} grafts`);
    expect(reached).toBe(1_000 - dead.length);
  });

  test.each(['simple', 'gossip', 'staged', 'tree'] as const)(
    'spread as %s reaches all although one message in twenty is lost',
    (way) => {
      const graph = graphOf(overlayOf(200, 9));
      const isLost = ({ unit }: { unit(): number }): boolean => unit() < 0.05;
      const mesh = new PlumtreeMesh({ seed: 3, graph, isLost });
      const rounds = Array.from({ length: 10 }, () => mesh.broadcast(5, way));
      console.info(
        way,
        rounds
          .map(({ reached, payloads, announced }) => [reached, payloads, announced].join('/'))
          .join(' '),
      );
      // A flood has no second chance, its copies are its safety.
      const least = way === 'simple' ? 199 : 200;
      for (const { reached } of rounds) expect(reached).toBeGreaterThanOrEqual(least);
      if (way === 'staged') for (const { rmr } of rounds) expect(rmr).toBeLessThan(0.2);
    },
  );
});
