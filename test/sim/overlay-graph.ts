/** What a graph of links is worth: reach, hops, clustering. Nodes are numbers, links are lists of them. */

import { createRandom } from '../../src/kernel/random.ts';
import type { OverlayMesh } from './overlay-mesh.ts';

/** For each node its neighbours; empty for one that is down. */
export type Graph = readonly (readonly number[])[];

/** The links as the nodes were told of them; dead ends are left out. */
export function graphOf(mesh: OverlayMesh): Graph {
  return mesh.nodes.map(({ neighbours }) =>
    neighbours.map((node) => mesh.numberOf(node)).filter((at) => mesh.node(at).isUp),
  );
}

/** Breadth first from one node: how many it reaches (itself too), how far the last one is, and the sum of all hops. */
export function flood(
  graph: Graph,
  from: number,
): { readonly reached: number; readonly hopsMax: number; readonly hopsSum: number } {
  const hops = new Int16Array(graph.length).fill(-1);
  const queue = new Int32Array(graph.length);
  hops[from] = 0;
  queue[0] = from;
  let end = 1;
  let hopsSum = 0;
  let hopsMax = 0;
  for (let head = 0; head < end; head += 1) {
    const node = queue[head] as number;
    const next = (hops[node] as number) + 1;
    for (const peer of graph[node] as readonly number[]) {
      if (hops[peer] !== -1) continue;
      hops[peer] = next;
      queue[end] = peer;
      end += 1;
      hopsSum += next;
      hopsMax = next;
    }
  }
  return { reached: end, hopsMax, hopsSum };
}

/** Mean path, mean of the longest path of a sender, and mean share of `live` nodes reached, over random senders. */
export function measure(
  graph: Graph,
  live: readonly number[],
  senders: number,
  seed: number,
): { readonly path: number; readonly hopsMax: number; readonly reach: number } {
  const random = createRandom(seed);
  let path = 0;
  let hopsMax = 0;
  let reach = 0;
  for (let count = 0; count < senders; count += 1) {
    const found = flood(graph, live[random.below(live.length)] as number);
    path += found.hopsSum / Math.max(1, found.reached - 1);
    hopsMax += found.hopsMax;
    reach += found.reached / live.length;
  }
  return { path: path / senders, hopsMax: hopsMax / senders, reach: reach / senders };
}

/** The share of pairs of a node's neighbours that are linked, averaged over the nodes (Watts and Strogatz 1998). */
export function clustering(graph: Graph): number {
  let sum = 0;
  for (const neighbours of graph) {
    const pairs = (neighbours.length * (neighbours.length - 1)) / 2;
    if (pairs === 0) continue;
    let linked = 0;
    for (const [at, left] of neighbours.entries()) {
      for (const right of neighbours.slice(at + 1)) {
        if (graph[left]?.includes(right) === true) linked += 1;
      }
    }
    sum += linked / pairs;
  }
  return sum / graph.length;
}

/** Whether every live node reaches every other one. */
export function isWhole(mesh: OverlayMesh): boolean {
  const live = mesh.live();
  const [first] = live;
  return first === undefined || flood(graphOf(mesh), first).reached === live.length;
}
