/** Who is linked with whom, as far as this node knows: decides who is relayed to, and which way an address lies. */

import { BoundedMap } from '../../kernel/bounded-map.ts';
import type { NodeId } from '../../kernel/ids.ts';

/** Members remembered as reachable through a neighbour; the least recently learned goes first. */
const routesMax = 4096;

/** Arrivals for which relay targets are remembered; all are forgotten with any change of a link. */
const targetsMax = 4096;

/** Neighbours whose own neighbours are heard of, and ids taken from one of them. */
const neighboursMax = 1024;

/** This node's links and what its neighbours say about theirs. */
export interface Neighbourhood {
  /** @returns false when the peer was linked already. */
  add(peer: NodeId): boolean;
  /** @returns false when the peer was not linked. */
  remove(peer: NodeId): boolean;
  isLinked(node: NodeId): boolean;
  peers(): IterableIterator<NodeId>;
  count(): number;
  /** A peer says whom it is linked with. @returns whether it has lost a neighbour since it last said so. */
  heard(peer: NodeId, neighbours: readonly NodeId[]): boolean;
  /**
   * To whom a message of `origin` that came from `arrival` goes on: the own neighbours that have no link with the
   * origin (or did not say so yet), but never back.
   */
  relayTargets(origin: NodeId, arrival: NodeId): readonly NodeId[];
  /** Something of `node` came first through `via`: the way back is known. */
  learn(node: NodeId, via: NodeId): void;
  /** The links to try for an address; empty when there is none. `isFlood`: all but the arrival. */
  ways(to: NodeId, arrival: NodeId | undefined, isFlood: boolean): readonly NodeId[];
}

/** Builds the neighbourhood of one node. */
export function createNeighbourhood(self: NodeId): Neighbourhood {
  const peers = new Map<NodeId, ReadonlySet<NodeId> | undefined>();
  const routes = new BoundedMap<NodeId, NodeId>(routesMax);
  const targets = new Map<NodeId, { arrival: NodeId; to: readonly NodeId[] }>();

  function knowsLink(peer: NodeId, origin: NodeId): boolean {
    return (peers.get(peer)?.has(origin) ?? false) || (peers.get(origin)?.has(peer) ?? false);
  }

  function allBut(arrival: NodeId | undefined): NodeId[] {
    return [...peers.keys()].filter((peer) => peer !== arrival);
  }

  function wayTo(to: NodeId, arrival: NodeId | undefined): NodeId | undefined {
    for (const [peer, neighbours] of peers) {
      if (peer !== arrival && neighbours?.has(to) === true) return peer;
    }
    const learned = routes.get(to);
    return learned !== undefined && learned !== arrival && peers.has(learned) ? learned : undefined;
  }

  return {
    add(peer) {
      if (peers.has(peer) || peer === self) return false;
      peers.set(peer, undefined);
      targets.clear();
      return true;
    },
    remove(peer) {
      if (!peers.delete(peer)) return false;
      targets.clear();
      for (const [node, via] of routes) if (via === peer) routes.delete(node);
      return true;
    },
    isLinked: (node) => peers.has(node),
    peers: () => peers.keys(),
    count: () => peers.size,
    heard(peer, neighbours) {
      if (!peers.has(peer)) return false;
      const before = peers.get(peer);
      const now = new Set(neighbours.slice(0, neighboursMax));
      peers.set(peer, now);
      targets.clear();
      for (const node of before ?? []) if (!now.has(node)) return true;
      return false;
    },
    relayTargets(origin, arrival) {
      const known = targets.get(origin);
      if (known?.arrival === arrival) return known.to;
      const to = allBut(arrival).filter((peer) => peer !== origin && !knowsLink(peer, origin));
      if (targets.size >= targetsMax) targets.clear();
      targets.set(origin, { arrival, to });
      return to;
    },
    learn(node, via) {
      if (node === via || peers.has(node) || routes.get(node) === via) return;
      routes.set(node, via);
    },
    ways(to, arrival, isFlood) {
      if (to === arrival) return [];
      if (peers.has(to)) return [to];
      if (isFlood) return allBut(arrival);
      const way = wayTo(to, arrival);
      return way === undefined ? allBut(arrival) : [way];
    },
  };
}
