/**
 * The consensus-based bundle algorithm (Choi, Brunet, How 2009): nodes allot tasks among themselves by gossip alone,
 * without an auctioneer. Conflict-free when it has settled, and worth at least half of the optimum when every further
 * task is worth less than the one before. Departures: docs/divergences.md.
 */

import type { Core, Millis } from '../../kernel/core.ts';
import { unreachable } from '../../kernel/invariant.ts';
import { judgeWord } from './bundle-rules.ts';
import type { Belief, Word } from './bundle-rules.ts';

/** Tasks of one allotment; more are ignored. */
export const bundleTasksMax = 512;

/** Nodes of one allotment; more are ignored. */
export const bundlePeersMax = 128;

/** How one node takes part. */
export interface BundleConfig {
  readonly self: string;
  /** Tasks it takes at most. */
  readonly bundleMax: number;
  /** What this task adds to a bundle, in the order it was built; 0 or less: not wanted. */
  worth(bundle: readonly string[], task: string): number;
  /** Time between two tellings, in ms. @default 50 */
  readonly periodMs?: Millis;
}

/** Facts for a node. */
export type BundleInput =
  | { readonly type: 'tick' }
  | { readonly type: 'peers'; readonly ids: readonly string[] }
  | { readonly type: 'tasks'; readonly ids: readonly string[] }
  /** A node, neighbour or not, is gone for good: what it won is open again. */
  | { readonly type: 'gone'; readonly id: string }
  | { readonly type: 'told'; readonly from: string; readonly word: Word };

/** Orders of a node. */
export type BundleEffect =
  | { readonly type: 'tell'; readonly to: string; readonly word: Word }
  /** What this node holds has changed. */
  | { readonly type: 'hold'; readonly tasks: readonly string[] };

/** What a node believes. */
export interface BundleView {
  readonly bundle: readonly string[];
  readonly winners: ReadonlyMap<string, string>;
  /** Whether it has nothing new to tell. */
  readonly isQuiet: boolean;
}

/** Builds a node that knows no task and no peer. */
export function createBundles(config: BundleConfig): Core<BundleInput, BundleEffect, BundleView> {
  const { self } = config;
  const bundleMax = Math.max(0, config.bundleMax);
  const periodMs = Math.max(1, config.periodMs ?? 50);
  let peers: readonly string[] = [];
  let tasks = new Set<string>();
  const beliefs = new Map<string, Belief>();
  /** The latest round of each node that this node has heard of, first- or second-hand. */
  const heard = new Map<string, number>();
  let bundle: string[] = [];
  let round = 0;
  let tellsLeft = 0;
  let tellAt: Millis = Infinity;

  function isOutbid(task: string, amount: number): boolean {
    const belief = beliefs.get(task);
    if (belief === undefined) return false;
    return belief.amount > amount || (belief.amount === amount && belief.winner < self);
  }

  /** Drops what is lost with all that was built on it, then takes what it can win. */
  function rebuild(): boolean {
    const before = bundle.join('\u0000');
    const lost = bundle.findIndex((task) => !tasks.has(task) || beliefs.get(task)?.winner !== self);
    if (lost >= 0) {
      for (const task of bundle.slice(lost)) {
        if (beliefs.get(task)?.winner === self) beliefs.delete(task);
      }
      bundle = bundle.slice(0, lost);
    }
    while (bundle.length < bundleMax) {
      let best: { task: string; amount: number } | undefined;
      for (const task of tasks) {
        if (bundle.includes(task)) continue;
        const amount = config.worth(bundle, task);
        if (!(amount > 0) || isOutbid(task, amount)) continue;
        if (best === undefined || amount > best.amount) best = { task, amount };
      }
      if (best === undefined) break;
      bundle.push(best.task);
      beliefs.set(best.task, { winner: self, amount: best.amount });
    }
    return bundle.join('\u0000') !== before;
  }

  function changed(now: Millis): BundleEffect[] {
    const isNew = rebuild();
    speakUp(now, 2);
    return isNew ? [{ type: 'hold', tasks: [...bundle] }] : [];
  }

  /** News is told twice, so that one lost telling is forgiven; a disagreement once, until it is over. */
  function speakUp(now: Millis, times: number): void {
    tellsLeft = Math.max(tellsLeft, times);
    if (tellAt === Infinity) tellAt = now + periodMs;
  }

  function tell(now: Millis): BundleEffect[] {
    if (now < tellAt) return [];
    round += 1;
    heard.set(self, round);
    tellsLeft -= 1;
    tellAt = tellsLeft > 0 ? now + periodMs : Infinity;
    const word: Word = {
      beliefs: [...beliefs].map(([task, belief]) => ({ task, ...belief })),
      heard: [...heard].map(([node, at]) => ({ node, at })),
    };
    return peers.map((to) => ({ type: 'tell', to, word }));
  }

  function hear(now: Millis, from: string, word: Word): BundleEffect[] {
    if (from === self || !peers.includes(from)) return [];
    if (word.beliefs.length > bundleTasksMax || word.heard.length > bundlePeersMax + 1) return [];
    const theirs = new Map<string, Belief>();
    for (const { task, winner, amount } of word.beliefs) {
      if (tasks.has(task) && Number.isFinite(amount)) theirs.set(task, { winner, amount });
    }
    const theirHeard = new Map(word.heard.map(({ node, at }) => [node, at]));
    let isNew = false;
    for (const task of tasks) {
      const mine = beliefs.get(task);
      const verdict = judgeWord({
        self,
        from,
        mine,
        theirs: theirs.get(task),
        isNewer: (node) => (theirHeard.get(node) ?? 0) > (heard.get(node) ?? 0),
        isOlder: (node) => (theirHeard.get(node) ?? 0) < (heard.get(node) ?? 0),
      });
      if (verdict === 'leave') continue;
      const next = verdict === 'update' ? theirs.get(task) : undefined;
      if (next?.winner === mine?.winner && next?.amount === mine?.amount) continue;
      isNew = true;
      if (next === undefined) beliefs.delete(task);
      else beliefs.set(task, next);
    }
    for (const [node, at] of theirHeard) {
      if (node === self || !Number.isSafeInteger(at) || at <= (heard.get(node) ?? 0)) continue;
      if (node === from || peers.includes(node) || heard.size < bundlePeersMax) heard.set(node, at);
    }
    const disagrees = [...tasks].some((task) => {
      const [mine, other] = [beliefs.get(task), theirs.get(task)];
      return mine?.winner !== other?.winner || mine?.amount !== other?.amount;
    });
    if (disagrees) speakUp(now, 1);
    return isNew ? changed(now) : [];
  }

  function take(now: Millis, input: BundleInput): BundleEffect[] {
    switch (input.type) {
      case 'tick':
        return [];
      case 'gone':
        if (input.id === self) return [];
        peers = peers.filter((id) => id !== input.id);
        for (const [task, { winner }] of beliefs) {
          if (winner === input.id) beliefs.delete(task);
        }
        return changed(now);
      case 'peers':
        peers = [...new Set(input.ids)].filter((id) => id !== self).slice(0, bundlePeersMax);
        return changed(now);
      case 'tasks':
        tasks = new Set(input.ids.slice(0, bundleTasksMax));
        for (const task of beliefs.keys()) if (!tasks.has(task)) beliefs.delete(task);
        return changed(now);
      case 'told':
        return hear(now, input.from, input.word);
      default:
        return unreachable(input);
    }
  }

  return {
    step: (now, input) => [...tell(now), ...take(now, input)],
    deadline: () => tellAt,
    view: () => ({
      bundle: [...bundle],
      winners: new Map([...beliefs].map(([task, { winner }]) => [task, winner])),
      isQuiet: tellAt === Infinity,
    }),
  };
}
