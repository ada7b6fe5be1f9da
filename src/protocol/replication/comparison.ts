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
import { FactBasket, MessageRoom, weighAddress } from './weight.ts';

/** Cells up to which the whole list is sent instead of fingerprints. */
const shortListMax = 64;

/** Nodes of the tree looked into at once; the rest comes with the next round. */
const nodesMax = 16;

/** Longer lists begin anywhere, each time. */
const rotatedMin = 64;

/** Bytes of an interval of counters. */
const intervalBytes = 18;

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
  if (state.size <= shortListMax) return listing(state, 'all', random);
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
  const known: (readonly [ReplicaId, Intervals])[] = [];
  const room = new MessageRoom(messageBytesMax);
  let left = contextIntervalsMax;
  for (const [replica, spans] of fromAnywhere(state.told(), random)) {
    if (!room.takeDot({ replica, count: 1 })) break;
    const part: number[] = [];
    for (let at = 0; at + 1 < spans.length && left > 0; at += 2) {
      const [first, last] = [spans[at] as number, spans[at + 1] as number];
      if (!room.take(intervalBytes)) break;
      part.push(first, last);
      left -= 1;
    }
    if (part.length > 0) known.push([replica, part]);
  }
  return { kind: 'context', root, known, isReply };
}

/** Follows the branches that differ; undefined when none does any more. */
export function answerBranches(
  state: ReplicaState,
  { level, nodes }: StateMessage & { readonly kind: 'branches' },
  random: Random,
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
  if (level + 1 === digestDepth) {
    return listing(state, differing.slice(0, leavesMax), random);
  }
  return {
    kind: 'branches',
    level: level + 1,
    nodes: differing.slice(0, nodesMax).map((index) => ({
      index,
      children: state.digest.children(level + 1, index),
    })),
  };
}

/** All of them, beginning at any of them: what does not fit one message then comes with one of the next. */
function fromAnywhere<Item>(items: readonly Item[], random: Random): readonly Item[] {
  if (items.length <= rotatedMin) return items;
  const start = random.below(items.length);
  return [...items.slice(start), ...items.slice(0, start)];
}

/** Those that are not among the others. */
function without<One extends Dot>(dots: readonly One[], others: readonly Dot[]): readonly One[] {
  if (others.length <= rotatedMin) {
    return dots.filter((dot) => !others.some((one) => isSame(one, dot)));
  }
  const names = new Set(others.map(({ replica, count }) => `${count} ${replica}`));
  return dots.filter(({ replica, count }) => !names.has(`${count} ${replica}`));
}

/** Lists what is live in these leaves: as many leaves as fit a message, each whole, but of one that never fits a part. */
function listing(
  state: ReplicaState,
  wanted: readonly number[] | 'all',
  random: Random,
): StateMessage {
  const byLeaf = new Map<number, CellAddress[]>();
  if (wanted === 'all') byLeaf.set(0, [...state.addresses()]);
  else {
    for (const leaf of wanted) byLeaf.set(leaf, []);
    for (const [address, leaf] of state.inLeaves(new Set(wanted))) byLeaf.get(leaf)?.push(address);
  }
  const cells: Listed[] = [];
  const leaves: number[] = [];
  const room = new MessageRoom(messageBytesMax);
  for (const [leaf, addresses] of byLeaf) {
    const lists: Listed[] = [];
    let isWhole = true;
    for (const address of addresses) {
      const dots = dotsOf(state, address);
      const isRoom: boolean = isWhole && room.take(weighAddress(address));
      const listed: readonly Dot[] = fromAnywhere(dots, random).filter(
        (dot) => isRoom && room.takeDot(dot),
      );
      if (listed.length > 0) lists.push([address, listed]);
      isWhole = isRoom && listed.length === dots.length;
    }
    // One leaf at least: what a list leaves out is only sent once more.
    if (leaves.length > 0 && !isWhole) break;
    leaves.push(leaf);
    cells.push(...lists);
    if (!isWhole) break;
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
  random: Random,
): StateMessage & { readonly kind: 'repair' } {
  const basket = new FactBasket(messageBytesMax);
  const wants: Listed[] = [];
  const wantRoom = new MessageRoom(messageBytesMax / 4);
  let areAllWanted = true;
  const listed = new Map(cells);
  const mine =
    leaves === 'all'
      ? state.addresses()
      : [...state.inLeaves(new Set(leaves))].map(([address]) => address);
  const addresses = new Set([...listed.keys(), ...mine]);
  for (const address of addresses) {
    const theirs = listed.get(address) ?? [];
    const own = state.entries(address);
    const live = fromAnywhere(without(own, theirs), random);
    const missing = without(theirs, own);
    const dead = missing.filter(({ replica, count }) => state.context.has(replica, count));
    basket.put({ address, live, dead });
    const lacking = missing.filter(({ replica, count }) => !state.context.has(replica, count));
    if (lacking.length === 0) continue;
    const isRoom = wantRoom.take(weighAddress(address));
    const wanted = lacking.filter((dot) => isRoom && wantRoom.takeDot(dot));
    if (wanted.length > 0) wants.push([address, wanted]);
    areAllWanted &&= wanted.length === lacking.length;
    if (basket.isFull && !areAllWanted) break;
  }
  return { kind: 'repair', facts: basket.facts, wants, isPart: basket.isFull || !areAllWanted };
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
