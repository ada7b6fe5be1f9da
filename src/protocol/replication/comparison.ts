/** One step of comparing two replicas: from fingerprints to branches, to lists, to the facts that differ (protocols 3.4). */

import type { Random } from '../../kernel/random.ts';
import type { Dot, Intervals, ReplicaId } from './causal-context.ts';
import type { CellAddress } from './cell.ts';
import { digestDepth, digestFanout } from './digest-tree.ts';
import type { Fingerprint } from './digest-tree.ts';
import { contextIntervalsMax, messageBytesMax } from './messages.ts';
import type { Listed, StateMessage } from './messages.ts';
import { isSame } from './replica-state.ts';
import type { CellFact, ReplicaState } from './replica-state.ts';
import { dotBytes, FactBasket, weighAddress } from './weight.ts';

/** Cells up to which the whole list is sent instead of fingerprints. */
const shortListMax = 64;

/** Nodes of the tree looked into at once; the rest comes with the next round. */
const nodesMax = 16;

/** Leaves listed at once. */
const leavesMax = 64;

type Answer = StateMessage | undefined;

/** Whether two fingerprints are equal. */
export function isEqualPrint(left: Fingerprint, right: Fingerprint): boolean {
  return left[0] === right[0] && left[1] === right[1];
}

/** The message that begins a comparison. */
export function rootOf(state: ReplicaState): StateMessage & { readonly kind: 'root' } {
  return {
    kind: 'root',
    root: state.digest.root(),
    context: state.contextPrint(),
    size: state.size,
  };
}

/** Answers a root. */
export function answerRoot(
  state: ReplicaState,
  theirs: StateMessage & { readonly kind: 'root' },
  random: Random,
): StateMessage {
  const own = rootOf(state);
  if (isEqualPrint(own.root, theirs.root)) {
    if (isEqualPrint(own.context, theirs.context)) return { kind: 'same' };
    return contextOf(state, random, false);
  }
  if (state.size <= shortListMax) return listing(state, 'all');
  // The other one's list is the short one: it answers this root with it.
  if (theirs.size <= shortListMax) return own;
  return {
    kind: 'branches',
    level: 0,
    nodes: [{ index: 0, children: state.digest.children(0, 0) }],
  };
}

/** The context, or a part of it that fits a message. */
export function contextOf(
  state: ReplicaState,
  random: Random,
  isReply: boolean,
): StateMessage & { readonly kind: 'context' } {
  const root = state.digest.root();
  const all = state.told();
  const intervals = all.reduce((sum, [, spans]) => sum + spans.length / 2, 0);
  if (intervals <= contextIntervalsMax) {
    return { kind: 'context', root, known: all, isReply };
  }
  const start = random.below(all.length);
  const known: (readonly [ReplicaId, Intervals])[] = [];
  let room = contextIntervalsMax;
  for (let at = 0; at < all.length && room > 0; at += 1) {
    const [replica, spans] = all[(start + at) % all.length] as [ReplicaId, Intervals];
    const part = spans.slice(0, 2 * room);
    room -= part.length / 2;
    known.push([replica, part]);
  }
  return { kind: 'context', root, known, isReply };
}

/** Follows the branches that differ; undefined when none does any more. */
export function answerBranches(
  state: ReplicaState,
  { level, nodes }: StateMessage & { readonly kind: 'branches' },
): Answer {
  if (!Number.isSafeInteger(level) || level < 0 || level >= digestDepth) return undefined;
  const differing: number[] = [];
  for (const { index, children } of nodes.slice(0, nodesMax)) {
    const isNode = Number.isSafeInteger(index) && index >= 0 && index < digestFanout ** level;
    if (!isNode) continue;
    const own = state.digest.children(level, index);
    for (const [at, print] of own.entries()) {
      const other = children[at];
      if (other !== undefined && !isEqualPrint(print, other)) {
        differing.push(index * digestFanout + at);
      }
    }
  }
  if (differing.length === 0) return undefined;
  if (level + 1 === digestDepth) return listing(state, differing.slice(0, leavesMax));
  return {
    kind: 'branches',
    level: level + 1,
    nodes: differing.slice(0, nodesMax).map((index) => ({
      index,
      children: state.digest.children(level + 1, index),
    })),
  };
}

/** Lists what is live in these leaves: as many leaves as fit a message, each whole. */
function listing(state: ReplicaState, wanted: readonly number[] | 'all'): StateMessage {
  const byLeaf = new Map<number, CellAddress[]>();
  if (wanted === 'all') byLeaf.set(0, [...state.addresses()]);
  else {
    for (const leaf of wanted) byLeaf.set(leaf, []);
    for (const [address, leaf] of state.inLeaves(new Set(wanted))) byLeaf.get(leaf)?.push(address);
  }
  const cells: Listed[] = [];
  const leaves: number[] = [];
  let room = messageBytesMax;
  for (const [leaf, addresses] of byLeaf) {
    const lists = addresses.map((address) => [address, dotsOf(state, address)] as const);
    const bytes = lists.reduce(
      (sum, [address, dots]) => sum + weighAddress(address) + dots.length * dotBytes,
      0,
    );
    // One leaf at least: what a list leaves out is only sent once more.
    if (leaves.length > 0 && bytes > room) break;
    leaves.push(leaf);
    for (const list of lists) {
      room -= weighAddress(list[0]) + list[1].length * dotBytes;
      if (room >= 0) cells.push(list);
    }
  }
  return { kind: 'leaves', leaves: wanted === 'all' ? 'all' : leaves, cells };
}

function dotsOf(state: ReplicaState, address: CellAddress): readonly Dot[] {
  return state.entries(address).map(({ replica, count }) => ({ replica, count }));
}

/** Compares lists with what is live here. */
export function answerLeaves(
  state: ReplicaState,
  { leaves, cells }: StateMessage & { readonly kind: 'leaves' },
): StateMessage & { readonly kind: 'repair' } {
  const basket = new FactBasket(messageBytesMax);
  const wants: Listed[] = [];
  let wantRoom = messageBytesMax / 4;
  const listed = new Map(cells);
  const mine =
    leaves === 'all'
      ? state.addresses()
      : [...state.inLeaves(new Set(leaves))].map(([address]) => address);
  const addresses = new Set([...listed.keys(), ...mine]);
  for (const address of addresses) {
    const theirs = listed.get(address) ?? [];
    const own = state.entries(address);
    const live = own.filter((entry) => !theirs.some((dot) => isSame(dot, entry)));
    const missing = theirs.filter((dot) => !own.some((entry) => isSame(dot, entry)));
    const dead = missing.filter(({ replica, count }) => state.context.has(replica, count));
    basket.put({ address, live, dead });
    const wanted = missing.filter(({ replica, count }) => !state.context.has(replica, count));
    if (wanted.length === 0) continue;
    wantRoom -= weighAddress(address) + wanted.length * dotBytes;
    if (wantRoom >= 0) wants.push([address, wanted]);
    if (basket.isFull && wantRoom < 0) break;
  }
  return { kind: 'repair', facts: basket.facts, wants, isPart: basket.isFull || wantRoom < 0 };
}

/** The facts that answer wishes, and the deaths that the other one had missed. */
export function answerWishes(
  state: ReplicaState,
  wants: readonly Listed[],
  outdated: readonly CellFact[],
): StateMessage & { readonly kind: 'rest' } {
  const basket = new FactBasket(messageBytesMax);
  for (const fact of outdated) basket.put(fact);
  for (const [address, dots] of wants) {
    const live = state.entries(address).filter((entry) => dots.some((dot) => isSame(dot, entry)));
    const dead = dots.filter(
      (dot) =>
        !live.some((entry) => isSame(entry, dot)) && state.context.has(dot.replica, dot.count),
    );
    basket.put({ address, live, dead });
  }
  return { kind: 'rest', facts: basket.facts, isPart: basket.isFull };
}
