/**
 * Plumtree: messages follow a tree that the first of them finds, and what the tree loses is mended by announcements.
 *
 * Leitão, Pereira, Rodrigues: Epidemic Broadcast Trees, SRDS 2007 (TR-07-14, revised 2019). One tree per origin.
 * docs/protocols/broadcast.md; departures in docs/divergences.md.
 */

import { BoundedMap } from '../../kernel/bounded-map.ts';
import type { Core, Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Random } from '../../kernel/random.ts';
import { sample } from '../../kernel/random.ts';
import { fanout } from './broadcast-way.ts';
import type { BroadcastWay } from './broadcast-way.ts';
import { createMissing } from './missing.ts';
import { keyOf, piecesMax } from './piece.ts';
import type { Announced, Piece, PlumtreeMessage } from './piece.ts';

/** Knobs of a Plumtree. */
export interface PlumtreeConfig {
  readonly self: NodeId;
  /** Longest wait before announcements to lazy peers go out, in ms. @default 200 */
  readonly flushMs?: Millis;
  /** Least time from an announcement until the message is asked for (T1), in ms. @default 1_000 */
  readonly graftMsMin?: Millis;
  /** Least time until the next announcer is asked (T2), in ms. @default 200 */
  readonly retryMsMin?: Millis;
  /** An announcer this many hops nearer to the origin takes the parent's place; 0: never. @default 0 */
  readonly optimiseHops?: number;
  /** Origins with a tree of their own; the one unused the longest is flooded anew. @default 1024 */
  readonly treesMax?: number;
  /** Announced messages waited for; the oldest is given up. @default 4096 */
  readonly missingMax?: number;
  /** Messages of which parent and distance are remembered, for the optimisation. @default 1024 */
  readonly arrivalsMax?: number;
}

/** Facts. */
export type PlumtreeInput =
  | { readonly type: 'tick' }
  | { readonly type: 'neighbourUp'; readonly node: NodeId }
  | { readonly type: 'neighbourDown'; readonly node: NodeId }
  /** A round trip to a neighbour was measured. */
  | { readonly type: 'measured'; readonly node: NodeId; readonly rttMs: Millis }
  /** This node has something to tell. */
  | { readonly type: 'published'; readonly piece: Piece; readonly way: BroadcastWay }
  /** A whole message came. Whether it is the first copy is its caller's to know. */
  | {
      readonly type: 'received';
      readonly from: NodeId;
      readonly piece: Piece;
      /** Hops from the origin, 1 for its neighbours. */
      readonly hops: number;
      readonly isNew: boolean;
      readonly way: BroadcastWay;
    }
  /** A neighbour has these; `isHeld` tells which of them this node has, too. */
  | {
      readonly type: 'announced';
      readonly from: NodeId;
      readonly pieces: readonly (Announced & { readonly isHeld: boolean })[];
    }
  | {
      readonly type: 'grafted';
      readonly from: NodeId;
      readonly root: NodeId;
      readonly pieces: readonly Piece[];
    }
  | { readonly type: 'pruned'; readonly from: NodeId; readonly root: NodeId };

/** Orders. */
export type PlumtreeEffect =
  /** The whole message goes to these. */
  | { readonly type: 'forward'; readonly piece: Piece; readonly to: readonly NodeId[] }
  /** One neighbour missed this message and asks for it; it may be forgotten by now. */
  | { readonly type: 'repeat'; readonly piece: Piece; readonly to: NodeId }
  | { readonly type: 'send'; readonly to: NodeId; readonly message: PlumtreeMessage };

/** What people and tests see. */
export interface PlumtreeView {
  readonly neighbours: readonly NodeId[];
  readonly trees: readonly { readonly root: NodeId; readonly lazy: readonly NodeId[] }[];
  readonly missingCount: number;
  readonly pendingCount: number;
  /** Messages that lazy peers were not told of, because too many came at once. */
  readonly unannouncedCount: number;
  /** T1 as measured, in ms. */
  readonly graftMs: Millis;
}

/** A Plumtree: a core, and one question asked of it for each message, without an object made. */
export interface Plumtree extends Core<PlumtreeInput, PlumtreeEffect, PlumtreeView> {
  /**
   * Takes note of a first copy (`arrival`: who brought it, undefined: this node made it) and names those who get the
   * whole message; the other neighbours get an announcement later.
   */
  targets(
    now: Millis,
    piece: Piece,
    hops: number,
    arrival: NodeId | undefined,
    way: BroadcastWay,
  ): readonly NodeId[];
  /** Whether something that was announced has not come yet. */
  isWaiting(): boolean;
}

/** Announcements that wait for the next flush; what comes beyond is not announced, and counted. */
const pendingMax = 4096;

/** Neighbours; more are served by flooding elsewhere: an overlay with so many links is none. */
const neighboursMax = 1024;

/** T1 in hops: it must exceed the spread of arrival times of one message, not one round trip. */
const graftHops = 20;

interface Tree {
  readonly lazy: Set<NodeId>;
  /** Who gets whole messages, by who brought it; forgotten with every change. */
  readonly eager: Map<NodeId, readonly NodeId[]>;
}

interface Pending extends Announced {
  readonly arrival: NodeId;
  /** Who was sent the whole message. */
  readonly sent: readonly NodeId[];
}

const nobody: readonly NodeId[] = [];

/** Builds a Plumtree without neighbours. */
export function createPlumtree(config: PlumtreeConfig, random: Random): Plumtree {
  const { self } = config;
  const flushMs = Math.max(1, config.flushMs ?? 200);
  const graftMsMin = Math.max(1, config.graftMsMin ?? 1_000);
  const retryMsMin = Math.max(1, config.retryMsMin ?? 200);
  const optimiseHops = config.optimiseHops ?? 0;
  /** Round trips by neighbour; 0 until measured. */
  const neighbours = new Map<NodeId, Millis>();
  const trees = new BoundedMap<NodeId, Tree>(config.treesMax ?? 1024);
  const arrivals = new BoundedMap<string, { from: NodeId; hops: number }>(
    config.arrivalsMax ?? 1024,
  );
  const missing = createMissing(config.missingMax ?? 4096);
  let pending: Pending[] = [];
  let flushAt: Millis = Infinity;
  let graftMs = graftMsMin;
  let unannounced = 0;
  let effects: PlumtreeEffect[] = [];

  function treeOf(root: NodeId): Tree {
    const known = trees.get(root);
    if (known !== undefined) return known;
    const fresh: Tree = { lazy: new Set(), eager: new Map() };
    trees.set(root, fresh);
    return fresh;
  }

  function makeLazy(root: NodeId, node: NodeId): void {
    if (!neighbours.has(node)) return;
    const tree = treeOf(root);
    if (!tree.lazy.has(node)) tree.eager.clear();
    tree.lazy.add(node);
  }

  function makeEager(root: NodeId, node: NodeId): void {
    const tree = treeOf(root);
    if (tree.lazy.delete(node)) tree.eager.clear();
  }

  function say(to: NodeId, message: PlumtreeMessage): void {
    effects.push({ type: 'send', to, message });
  }

  function branches(tree: Tree, arrival: NodeId): readonly NodeId[] {
    const cached = tree.eager.get(arrival);
    if (cached !== undefined) return cached;
    const to: NodeId[] = [];
    for (const node of neighbours.keys()) {
      if (node !== arrival && !tree.lazy.has(node)) to.push(node);
    }
    tree.eager.set(arrival, to);
    return to;
  }

  /** Whole messages go along the tree, to all, to a few at random or to nobody: the rest is told by announcements. */
  function chosen(
    tree: Tree,
    arrival: NodeId,
    origin: NodeId,
    way: BroadcastWay,
  ): readonly NodeId[] {
    if (way === 'tree') return branches(tree, arrival);
    if (way === 'staged') return nobody;
    const others = [...neighbours.keys()].filter((node) => node !== arrival && node !== origin);
    return way === 'gossip' ? sample(random, others, fanout) : others;
  }

  function targets(
    now: Millis,
    piece: Piece,
    hops: number,
    arrival: NodeId | undefined,
    way: BroadcastWay,
  ): readonly NodeId[] {
    const tree = treeOf(piece.origin);
    const via = arrival ?? self;
    const to = chosen(tree, via, piece.origin, way);
    if (missing.count() > 0) missing.found(piece);
    const others = neighbours.size - (neighbours.has(via) ? 1 : 0);
    if (to.length < others && way !== 'simple') {
      const { origin, boot, seq, stream } = piece;
      const isStaged = way === 'staged';
      const name = { origin, boot, seq, stream, hops: hops + 1, isStaged };
      if (pending.length >= pendingMax) unannounced += 1;
      else pending.push({ ...name, arrival: via, sent: to });
      flushAt = Math.min(flushAt, isStaged ? now + 1 : now + flushMs);
    }
    if (optimiseHops > 0 && arrival !== undefined) {
      arrivals.set(keyOf(piece), { from: arrival, hops });
    }
    return to;
  }

  function flush(): void {
    flushAt = Infinity;
    const due = pending;
    pending = [];
    for (const node of neighbours.keys()) {
      let pieces: Announced[] = [];
      for (const { arrival, sent, ...piece } of due) {
        if (arrival === node || piece.origin === node || sent.includes(node)) continue;
        pieces.push(piece);
        if (pieces.length < piecesMax) continue;
        say(node, { kind: 'have', pieces });
        pieces = [];
      }
      if (pieces.length > 0) say(node, { kind: 'have', pieces });
    }
  }

  function received(now: Millis, input: PlumtreeInput & { type: 'received' }): void {
    const { from, piece, hops, isNew, way } = input;
    if (!neighbours.has(from)) return;
    if (!isNew) {
      if (way !== 'tree') return;
      makeLazy(piece.origin, from);
      return say(from, { kind: 'prune', root: piece.origin });
    }
    // Whoever brought it first is the way to the origin.
    if (way === 'tree') makeEager(piece.origin, from);
    const to = targets(now, piece, hops, from, way);
    if (to.length > 0) effects.push({ type: 'forward', piece, to });
  }

  function announced(now: Millis, input: PlumtreeInput & { type: 'announced' }): void {
    const { from } = input;
    if (!neighbours.has(from)) return;
    for (const piece of input.pieces.slice(0, piecesMax)) {
      if (piece.origin === self) continue;
      if (!piece.isHeld) missing.announced(now, piece, from, graftMs);
      else if (optimiseHops > 0) optimise(piece, from);
    }
  }

  /** The announcer is much nearer to the origin than the parent: they change places. */
  function optimise(piece: Announced, from: NodeId): void {
    const arrival = arrivals.get(keyOf(piece));
    if (arrival === undefined || arrival.from === from) return;
    if (arrival.hops - piece.hops < optimiseHops || !neighbours.has(arrival.from)) return;
    const root = piece.origin;
    makeEager(root, from);
    say(from, { kind: 'graft', root, pieces: [] });
    makeLazy(root, arrival.from);
    say(arrival.from, { kind: 'prune', root });
    arrivals.delete(keyOf(piece));
  }

  function askForMissing(now: Millis): void {
    const asks = new Map<string, { from: NodeId; root: NodeId; pieces: Piece[] }>();
    for (const { piece, from } of missing.due(now, retryMs)) {
      if (!neighbours.has(from)) continue;
      const root = piece.origin;
      const key = `${from} ${root}`;
      const ask = asks.get(key);
      if (ask === undefined) asks.set(key, { from, root, pieces: [piece] });
      else ask.pieces.push(piece);
    }
    for (const { from, root, pieces } of asks.values()) {
      makeEager(root, from);
      for (let at = 0; at < pieces.length; at += piecesMax) {
        say(from, { kind: 'graft', root, pieces: pieces.slice(at, at + piecesMax) });
      }
    }
  }

  const retryMs = (node: NodeId): Millis => Math.max(retryMsMin, 2 * (neighbours.get(node) ?? 0));

  /** T1 follows the median of the measured round trips: one slow neighbour does not slow repair down. */
  function measured(node: NodeId, rttMs: Millis): void {
    if (!neighbours.has(node) || !(rttMs >= 0 && rttMs < 3_600_000)) return;
    neighbours.set(node, rttMs);
    const known = [...neighbours.values()].filter((rtt) => rtt > 0).toSorted((a, b) => a - b);
    const median = known[Math.floor(known.length / 2)] ?? 0;
    graftMs = Math.max(graftMsMin, (graftHops * median) / 2);
  }

  function down(node: NodeId): void {
    if (!neighbours.delete(node)) return;
    missing.gone(node);
    for (const [, tree] of trees) {
      tree.lazy.delete(node);
      tree.eager.clear();
    }
  }

  function up(node: NodeId): void {
    if (node === self || neighbours.has(node) || neighbours.size >= neighboursMax) return;
    neighbours.set(node, 0);
    for (const [, tree] of trees) tree.eager.clear();
  }

  function grafted({ from, root, pieces }: PlumtreeInput & { type: 'grafted' }): void {
    if (!neighbours.has(from)) return;
    makeEager(root, from);
    for (const piece of pieces.slice(0, piecesMax)) {
      effects.push({ type: 'repeat', piece, to: from });
    }
  }

  function take(now: Millis, input: PlumtreeInput): void {
    switch (input.type) {
      case 'tick':
        return;
      case 'neighbourUp':
        return up(input.node);
      case 'neighbourDown':
        return down(input.node);
      case 'measured':
        return measured(input.node, input.rttMs);
      case 'published': {
        const to = targets(now, input.piece, 0, undefined, input.way);
        if (to.length > 0) effects.push({ type: 'forward', piece: input.piece, to });
        return;
      }
      case 'received':
        return received(now, input);
      case 'announced':
        return announced(now, input);
      case 'grafted':
        return grafted(input);
      case 'pruned':
        return makeLazy(input.root, input.from);
    }
  }

  return {
    targets,
    isWaiting: () => missing.count() > 0,
    step(now, input) {
      take(now, input);
      if (now >= flushAt) flush();
      if (now >= missing.deadline()) askForMissing(now);
      const done = effects;
      effects = [];
      return done;
    },
    deadline: () => Math.min(flushAt, missing.deadline()),
    view: () => ({
      neighbours: [...neighbours.keys()],
      trees: [...trees].map(([root, { lazy }]) => ({ root, lazy: [...lazy] })),
      missingCount: missing.count(),
      pendingCount: pending.length,
      unannouncedCount: unannounced,
      graftMs,
    }),
  };
}
