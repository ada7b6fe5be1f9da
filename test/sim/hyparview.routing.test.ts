/** Routers on the graphs that HyParView makes, at rest and while it changes its links: what arrives, and what it costs. */

import { describe, expect, test } from 'vitest';
import { createHyparview } from '../../src/protocol/overlay/hyparview.ts';
import { isWhole } from './overlay-graph.ts';
import { OverlayMesh } from './overlay-mesh.ts';
import { RoutingMesh } from './routing-mesh.ts';
import type { Edge } from './routing-mesh.ts';

const seeds = Number(process.env['SIM_SEEDS'] ?? 40) / 10;

/** A link between two nodes opened or closed, as both ends see it. */
interface Change {
  readonly at: number;
  readonly ends: Edge;
  readonly isOpen: boolean;
}

/** Lets an overlay form, and then its links be cut at random for a while; gives the links at rest and every change after. */
function record(
  seed: number,
  count: number,
  churnMs: number,
): { readonly links: readonly Edge[]; readonly changes: readonly Change[] } {
  const changes: Change[] = [];
  const halves = new Map<string, number>();
  const links = new Map<string, Edge>();
  const mesh = new OverlayMesh({
    seed,
    latencyMs: { min: 1, spread: 4 },
    create: (self, _boot, random) =>
      createHyparview({ self, shuffleMs: 1_000, promotionMs: 500 }, random),
    watch(at, effect) {
      if (effect.type !== 'announce' || effect.what === 'neighbourMoved') return;
      const other = mesh.numberOf(effect.node);
      const ends: Edge = [Math.min(at, other), Math.max(at, other)];
      const key = ends.join(' ');
      const before = halves.get(key) ?? 0;
      const after = before + (effect.what === 'neighbourUp' ? 1 : -1);
      halves.set(key, after);
      // Open while both ends hold it: what one of them sends earlier or later is lost, as on a real link.
      if (Math.max(before, after) !== 2) return;
      if (after === 2) links.set(key, ends);
      else links.delete(key);
      changes.push({ at: mesh.now, ends, isOpen: after === 2 });
    },
  });
  for (let at = 0; at < count; at += 1) mesh.add();
  for (let at = 1; at < count; at += 1) mesh.sight(at, mesh.random.below(at));
  for (let at = 0; at < count; at += 1) {
    for (const other of mesh.live()) if (other !== at) mesh.memberUp(at, other);
  }
  mesh.runUntil(20_000);
  if (!isWhole(mesh)) throw new Error(`in pieces, seed ${seed}`);
  const atRest = [...links.values()];
  changes.length = 0;
  const begin = mesh.now;
  const flap = (): void => {
    const at = mesh.random.below(count);
    const peers = mesh.node(at).neighbours;
    const peer = peers[mesh.random.below(peers.length)];
    if (peer !== undefined) mesh.cutLink(at, mesh.numberOf(peer));
    if (mesh.now < begin + churnMs) mesh.at(mesh.now + 50 + mesh.random.below(300), flap);
  };
  if (churnMs > 0) mesh.at(begin, flap);
  mesh.runUntil(begin + churnMs + 5_000);
  return {
    links: atRest,
    changes: changes.map((change) => ({ ...change, at: change.at - begin })),
  };
}

function expectExactlyOnce(mesh: RoutingMesh, seed: number): void {
  const wrong: string[] = [];
  for (const node of mesh.nodes) {
    if (node.log.gaps > 0) wrong.push(`${node.log.gaps} gaps at ${node.id}`);
    for (const origin of mesh.nodes) {
      if (origin === node) continue;
      const got = node.log.events.get(origin.id) ?? [];
      const isInOrder = got.every((seq, at) => seq === at + 1);
      if (!isInOrder || got.length !== origin.published) {
        wrong.push(`${got.length} of ${origin.published} from ${origin.id} at ${node.id}`);
      }
    }
  }
  expect(wrong, `seed ${seed}`).toEqual([]);
}

/** How often an event crosses a link until every node has it, and how often a plain flood would. */
function copiesPerEvent(
  seed: number,
  count: number,
  each: number,
): { readonly copies: number; readonly flood: number } {
  const { links } = record(seed, count, 0);
  const mesh = new RoutingMesh({ seed, count, edges: links });
  mesh.start();
  mesh.runUntil(1_000);
  for (let at = 0; at < count; at += 1) {
    for (let sent = 0; sent < each; sent += 1) {
      mesh.at(mesh.now + mesh.random.below(2_000), () => mesh.publishEvent(at));
    }
  }
  mesh.runUntil(10_000);
  expectExactlyOnce(mesh, seed);
  expect(Math.max(...mesh.crossings.values())).toBe(1);
  expect(mesh.addressedCount).toBe(0);
  // Each node sends to all its neighbours but the one it has it from.
  return { copies: mesh.crossings.size / (count * each), flood: 2 * links.length - (count - 1) };
}

describe('routers on a HyParView mesh', () => {
  test.each([
    { count: 8, each: 20, runs: 2 },
    { count: 20, each: 10, runs: 2 },
    { count: 60, each: 2, runs: 1 },
  ])('of $count deliver each event once and in order, and send no more than a flood', (row) => {
    for (let seed = 1; seed <= row.runs; seed += 1) {
      const { copies, flood } = copiesPerEvent(seed, row.count, row.each);
      const least = row.count - 1;
      console.info(`${row.count} nodes: ${copies.toFixed(1)} copies of ${least} needed`);
      expect(copies).toBeLessThanOrEqual(flood);
      expect(copies).toBeGreaterThanOrEqual(least);
    }
  });

  test('deliver each event once and in order while links are cut and the overlay replaces them', () => {
    for (let seed = 1; seed <= seeds; seed += 1) {
      const count = 12;
      const { links, changes } = record(seed, count, 4_000);
      const keyOf = (ends: Edge): string => ends.join(' ');
      const all = new Map([...links, ...changes.map(({ ends }) => ends)].map((e) => [keyOf(e), e]));
      const mesh = new RoutingMesh({ seed, count, edges: [...all.values()], duplication: 0.05 });
      const atRest = new Set(links.map(keyOf));
      mesh.start(mesh.links.filter(({ ends }) => atRest.has(keyOf(ends))));
      mesh.runUntil(1_000);
      const begin = mesh.now;
      for (const { at, ends, isOpen } of changes) {
        mesh.at(begin + at, () => {
          const link = mesh.links.find((one) => keyOf(one.ends) === keyOf(ends));
          if (link === undefined) throw new Error('a change of a link that never was');
          if (isOpen) mesh.open(link);
          else mesh.cut(link, 20);
        });
      }
      expect(changes.length).toBeGreaterThan(30);
      for (let at = 0; at < count; at += 1) {
        for (let sent = 0; sent < 20; sent += 1) {
          mesh.at(begin + mesh.random.below(5_000), () => mesh.publishEvent(at));
        }
      }
      mesh.runUntil(60_000);
      expectExactlyOnce(mesh, seed);
    }
  });
});
