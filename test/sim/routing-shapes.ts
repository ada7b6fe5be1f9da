/** Shapes of simulated meshes, and the flapping of their links. */

import { createRandom } from '../../src/kernel/random.ts';
import { RoutingMesh } from './routing-mesh.ts';
import type { Edge, RoutingMeshOptions } from './routing-mesh.ts';

/** A chain. */
export const line = (count: number): Edge[] =>
  Array.from({ length: count - 1 }, (_, at): Edge => [at, at + 1]);
/** A closed chain. */
export const ring = (count: number): Edge[] => [...line(count), [count - 1, 0]];
/** Everybody linked with everybody. */
export const full = (count: number): Edge[] =>
  Array.from({ length: count }, (_, left) => left).flatMap((left) =>
    Array.from({ length: count - left - 1 }, (_, step): Edge => [left, left + step + 1]),
  );

/** A ring, so that one cut leaves it connected, and about `degree` links a node in all. */
export function randomGraph(count: number, degree: number, seed: number): Edge[] {
  const random = createRandom(seed);
  const edges = ring(count);
  const known = new Set(edges.map(([left, right]) => `${left} ${right}`));
  while (edges.length < (count * degree) / 2) {
    const left = random.below(count);
    const right = random.below(count);
    if (left === right || known.has(`${left} ${right}`) || known.has(`${right} ${left}`)) continue;
    known.add(`${left} ${right}`);
    edges.push([left, right]);
  }
  return edges;
}

/** Cuts random links for a while, never two at a time, so that the mesh of a ring and more stays whole. */
export function flapLinks(mesh: RoutingMesh, until: number): void {
  const link = mesh.links[mesh.random.below(mesh.links.length)];
  if (link === undefined || mesh.now >= until) return;
  mesh.cut(link, 20);
  mesh.at(mesh.now + 20 + mesh.random.below(600), () => {
    mesh.open(link);
    mesh.at(mesh.now + mesh.random.below(300), () => flapLinks(mesh, until));
  });
}

/** A mesh that has settled. */
export function quietMesh(options: RoutingMeshOptions): RoutingMesh {
  const mesh = new RoutingMesh(options);
  mesh.start();
  mesh.runUntil(200);
  return mesh;
}

/** Members hear of each other again, and the links of a node open. */
export function comeBack(mesh: RoutingMesh, at: number): void {
  const { id, boot, router } = mesh.node(at);
  for (const [other, node] of mesh.nodes.entries()) {
    if (other === at) continue;
    router.memberJoined(mesh.now, node.id, node.boot);
    node.router.memberJoined(mesh.now, id, boot);
  }
  for (const link of mesh.links) if (link.ends.includes(at)) mesh.open(link);
}

/** Meshes small enough for many seeds of each. */
export const smallMeshes = {
  mutual: { count: 2, edges: line(2) },
  line: { count: 3, edges: line(3) },
  triangle: { count: 3, edges: ring(3) },
  'full mesh of 5': { count: 5, edges: full(5) },
} as const;

/** All links of a node are gone. */
export function cutOff(mesh: RoutingMesh, at: number): void {
  for (const link of mesh.links) if (link.ends.includes(at)) mesh.cut(link);
}

/** What a node heard of another one. */
export function heardOf(mesh: RoutingMesh, at: number, origin: number): string[] {
  const heard = mesh.node(at).log.heard.get(mesh.node(origin).id) ?? [];
  return heard.map(({ text }) => text);
}
