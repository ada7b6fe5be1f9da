/**
 * The figures of Plumtree's paper from the production core: TR-07-14, Table 1 and Figures 2 and 5, on the HyParView mesh of 10 000
 * nodes that its caller has made.
 */

import { describe, expect, test } from 'vitest';
import type { Graph } from './overlay-graph.ts';
import { PlumtreeMesh } from './plumtree-mesh.ts';

/** Links of the graph, each counted once. */
function edgesOf(graph: Graph): number {
  return graph.reduce((sum, neighbours) => sum + neighbours.length, 0) / 2;
}

/** Registers the tests. `healed` gives the survivors' links after this share has failed and the overlay has healed. */
export function describePlumtree(graphOf: () => Graph, healed: (share: number) => Graph): void {
  describe('Plumtree with 10 000 nodes and one sender', () => {
    test('floods once, then sends n - 1 copies and two announcements per other link (Table 1, Figure 2)', () => {
      const graph = graphOf();
      const n = graph.length;
      const edges = edgesOf(graph);
      const mesh = new PlumtreeMesh({ seed: 3, graph });
      const rounds = Array.from({ length: 5 }, () => mesh.broadcast(0));
      const [first, , third] = rounds;
      const last = rounds[4];
      console.info(
        `${edges} links; payloads ${rounds.map(({ payloads }) => payloads).join(' ')}; ` +
          `announced ${rounds.map(({ announced }) => announced).join(' ')}; ` +
          `hops ${rounds.map(({ hopsMax }) => hopsMax).join(' ')}`,
      );
      for (const { reached } of rounds) expect(reached).toBe(n);
      // V-P1
      expect(first?.payloads).toBe(2 * edges - (n - 1));
      expect(first?.payloads).toBeGreaterThanOrEqual(39_950);
      expect(first?.payloads).toBeLessThanOrEqual(40_001);
      expect(last?.payloads).toBe(n - 1);
      expect(last?.announced).toBe(2 * edges - 2 * (n - 1));
      expect([last?.grafts, last?.prunes]).toEqual([0, 0]);
      // V-P2
      expect(first?.rmr).toBeGreaterThan(2.9);
      for (const { rmr } of rounds.slice(2)) expect(rmr).toBeLessThanOrEqual(0.01);
      expect(third?.rmr).toBeLessThanOrEqual(0.01);
      // V-P3
      for (const { hopsMax } of rounds) {
        expect(hopsMax).toBeGreaterThanOrEqual(8);
        expect(hopsMax).toBeLessThanOrEqual(10);
      }
    }, 120_000);

    test.each([0.4, 0.6, 0.8])(
      'has its tree back within three broadcasts after %d of all have failed (V-P5)',
      (share) => {
        const graph = graphOf();
        const rest = healed(share);
        const mesh = new PlumtreeMesh({ seed: 4, graph });
        const from = rest.findIndex((neighbours) => neighbours.length > 0);
        const live = rest.filter((neighbours) => neighbours.length > 0).length;
        mesh.broadcast(from);
        mesh.broadcast(from);
        mesh.setGraph(rest);
        const rounds = Array.from({ length: 4 }, () => mesh.broadcast(from));
        console.info(
          `${share} gone: RMR ${rounds.map(({ rmr }) => rmr.toFixed(3)).join(' ')}, ` +
            `grafts ${rounds.map(({ grafts }) => grafts).join(' ')}`,
        );
        for (const { reached } of rounds) expect(reached).toBe(live);
        expect(rounds[3]?.rmr).toBeLessThanOrEqual(0.01);
        expect(rounds[3]?.grafts).toBe(0);
      },
      120_000,
    );
  });
}
