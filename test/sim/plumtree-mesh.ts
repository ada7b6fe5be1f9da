/** A simulated mesh of production Plumtrees on a fixed graph: what each broadcast costs, whom it reaches and how far it goes. */

import type { Millis } from '../../src/kernel/core.ts';
import type { NodeId } from '../../src/kernel/ids.ts';
import { createRandom } from '../../src/kernel/random.ts';
import type { Random } from '../../src/kernel/random.ts';
import type { BroadcastWay } from '../../src/protocol/broadcast/broadcast-way.ts';
import { keyOf } from '../../src/protocol/broadcast/piece.ts';
import type { Piece } from '../../src/protocol/broadcast/piece.ts';
import { createPlumtree } from '../../src/protocol/broadcast/plumtree.ts';
import type { Plumtree, PlumtreeEffect } from '../../src/protocol/broadcast/plumtree.ts';
import { createDedupWindow } from '../../src/protocol/routing/dedup-window.ts';
import type { DedupWindow } from '../../src/protocol/routing/dedup-window.ts';
import { EventHeap } from './event-heap.ts';
import type { Graph } from './overlay-graph.ts';
import { simNodeId } from './routing-mesh.ts';

/** Knobs of the simulation. */
export interface PlumtreeMeshOptions {
  readonly seed: number;
  readonly graph: Graph;
  readonly latencyMs?: (random: Random) => Millis;
  /** Whether a message on the way from one node to another is lost. */
  readonly isLost?: (random: Random) => boolean;
  readonly optimiseHops?: number;
}

/** What one broadcast did. */
export interface Broadcast {
  /** Nodes that have it, the origin too. */
  readonly reached: number;
  /** Whole copies received. */
  readonly payloads: number;
  /** Announced names received, and grafts and prunes. */
  readonly announced: number;
  readonly grafts: number;
  readonly prunes: number;
  /** Relative message redundancy: payloads / (reached - 1) - 1. */
  readonly rmr: number;
  /** Hops of the last delivery. */
  readonly hopsMax: number;
  /** The most that one node sent of anything. */
  readonly sentMax: number;
  readonly ms: Millis;
}

interface Node {
  readonly core: Plumtree;
  readonly seen: DedupWindow;
  links: Set<number>;
  sent: number;
}

/** Time for timers to do what they have to after a broadcast. */
const settleMs = 10_000;

/** A mesh of Plumtrees in virtual time. Same options and calls: same run. */
export class PlumtreeMesh {
  readonly nodes: Node[];
  readonly random: Random;
  now: Millis = 0;
  readonly #ids: NodeId[];
  readonly #numbers: Map<NodeId, number>;
  readonly #options: PlumtreeMeshOptions;
  readonly #agenda = new EventHeap();
  readonly #seqOf = new Map<number, number>();
  /** Hops of the pieces that a node holds, to answer a graft with. */
  readonly #held = new Map<string, Map<number, number>>();
  readonly #due = new Map<number, Millis>();
  #count = { payloads: 0, announced: 0, grafts: 0, prunes: 0, hopsMax: 0, lastAt: 0 };
  #way: BroadcastWay = 'tree';

  constructor(options: PlumtreeMeshOptions) {
    this.#options = options;
    this.random = createRandom(options.seed);
    this.#ids = options.graph.map((_, at) => simNodeId(at));
    this.#numbers = new Map(this.#ids.map((id, at) => [id, at]));
    const { optimiseHops = 0 } = options;
    this.nodes = this.#ids.map((self) => ({
      core: createPlumtree({ self, optimiseHops }, this.random.split()),
      seen: createDedupWindow(),
      links: new Set(),
      sent: 0,
    }));
    this.setGraph(options.graph);
  }

  /** Links that are gone are noticed by both ends, and so are new ones. */
  setGraph(graph: Graph): void {
    for (const [at, node] of this.nodes.entries()) {
      const links = new Set(graph[at]);
      for (const peer of node.links) {
        if (!links.has(peer)) this.#step(at, { type: 'neighbourDown', node: this.#id(peer) });
      }
      for (const peer of links) {
        if (!node.links.has(peer)) this.#step(at, { type: 'neighbourUp', node: this.#id(peer) });
      }
      node.links = links;
    }
  }

  broadcast(from: number, way: BroadcastWay = 'tree'): Broadcast {
    this.#count = { payloads: 0, announced: 0, grafts: 0, prunes: 0, hopsMax: 0, lastAt: this.now };
    this.#way = way;
    for (const node of this.nodes) node.sent = 0;
    const began = this.now;
    const seq = (this.#seqOf.get(from) ?? 0) + 1;
    this.#seqOf.set(from, seq);
    const piece: Piece = { origin: this.#id(from), boot: 1, seq, stream: 1 };
    this.#held.clear();
    this.#held.set(keyOf(piece), new Map([[from, 0]]));
    this.#step(from, { type: 'published', piece, way });
    this.#runUntil(began + settleMs);
    const reached = this.#held.get(keyOf(piece))?.size ?? 0;
    const { lastAt, ...count } = this.#count;
    return {
      ...count,
      reached,
      rmr: count.payloads / Math.max(1, reached - 1) - 1,
      sentMax: Math.max(...this.nodes.map(({ sent }) => sent)),
      ms: lastAt - began,
    };
  }

  #id(at: number): NodeId {
    return this.#ids[at] as NodeId;
  }

  #step(at: number, input: Parameters<Plumtree['step']>[1]): void {
    const node = this.nodes[at] as Node;
    for (const effect of node.core.step(this.now, input)) this.#run(at, effect);
    const due = node.core.deadline();
    if (due === Infinity || this.#due.get(at) === due) return;
    this.#due.set(at, due);
    this.#agenda.push(due, 0, () => {
      if (this.#due.get(at) !== due) return;
      this.#due.delete(at);
      this.#step(at, { type: 'tick' });
    });
  }

  #run(at: number, effect: PlumtreeEffect): void {
    const node = this.nodes[at] as Node;
    switch (effect.type) {
      case 'forward':
        for (const to of effect.to) this.#payload(at, to, effect.piece);
        return;
      case 'repeat':
        return this.#payload(at, effect.to, effect.piece);
      case 'send': {
        const { message } = effect;
        const from = this.#id(at);
        node.sent += message.kind === 'have' ? message.pieces.length : 1;
        return this.#pass(effect.to, (to) => {
          if (message.kind === 'have') {
            this.#count.announced += message.pieces.length;
            const pieces = message.pieces.map((piece) => ({
              ...piece,
              isHeld: this.#held.get(keyOf(piece))?.has(to) !== false,
            }));
            this.#step(to, { type: 'announced', from, pieces });
          } else if (message.kind === 'graft') {
            this.#count.grafts += 1;
            this.#step(to, { type: 'grafted', from, root: message.root, pieces: message.pieces });
          } else {
            this.#count.prunes += 1;
            this.#step(to, { type: 'pruned', from, root: message.root });
          }
        });
      }
    }
  }

  #payload(at: number, peer: NodeId, piece: Piece): void {
    const holders = this.#held.get(keyOf(piece));
    const hops = holders?.get(at);
    if (holders === undefined || hops === undefined) return;
    const from = this.#id(at);
    (this.nodes[at] as Node).sent += 1;
    this.#pass(peer, (to) => {
      const { seen } = this.nodes[to] as Node;
      const isNew =
        seen.admit(piece.origin, piece.boot, piece.seq) === 'new' &&
        to !== this.#numbers.get(piece.origin);
      this.#count.payloads += 1;
      if (isNew) {
        holders.set(to, hops + 1);
        this.#count.hopsMax = Math.max(this.#count.hopsMax, hops + 1);
        this.#count.lastAt = this.now;
      }
      this.#step(to, { type: 'received', from, piece, hops: hops + 1, isNew, way: this.#way });
    });
  }

  #pass(peer: NodeId, arrive: (to: number) => void): void {
    const to = this.#numbers.get(peer) ?? -1;
    if (this.#options.isLost?.(this.random) === true) return;
    const latencyMs = this.#options.latencyMs?.(this.random) ?? 1;
    this.#agenda.push(this.now + latencyMs, 0, () => {
      if ((this.nodes[to] as Node).links.size > 0) arrive(to);
    });
  }

  #runUntil(end: Millis): void {
    while (this.#agenda.nextAt() <= end) {
      this.now = Math.max(this.now, this.#agenda.nextAt());
      this.#agenda.pop()?.();
    }
    this.now = end;
  }
}
