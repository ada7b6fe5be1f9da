/** The passive view of HyParView: peers known by address to fall back on, a random sample of the mesh. */

import type { NodeId } from '../../kernel/ids.ts';
import { sample } from '../../kernel/random.ts';
import type { Random } from '../../kernel/random.ts';
import type { Contacts } from './contacts.ts';
import { RandomSet } from './random-set.ts';

/** The view. */
export interface PassiveView {
  has(node: NodeId): boolean;
  size(): number;
  nodes(): readonly NodeId[];
  isFull(): boolean;
  /** Takes a peer with a known address; `replaceable` ones make room first, then a random one. */
  add(node: NodeId, replaceable?: readonly NodeId[]): void;
  remove(node: NodeId): void;
  sample(count: number): NodeId[];
  find(fits: (node: NodeId) => boolean): NodeId | undefined;
}

/** Builds an empty view. `isLinked` peers are not taken. */
export function createPassiveView(
  sizeMax: number,
  random: Random,
  contacts: Contacts,
  isLinked: (node: NodeId) => boolean,
): PassiveView {
  const view = new RandomSet<NodeId>();

  function remove(node: NodeId): void {
    if (view.delete(node)) contacts.release(node);
  }

  function makeRoom(replaceable: readonly NodeId[]): void {
    const given = replaceable.find((node) => view.has(node));
    const victim = given ?? view.items()[random.below(view.size)];
    if (victim !== undefined) remove(victim);
  }

  return {
    has: (node) => view.has(node),
    size: () => view.size,
    nodes: () => view.items(),
    isFull: () => view.size >= sizeMax,
    add(node, replaceable = []) {
      if (view.has(node) || isLinked(node)) return;
      const contact = contacts.get(node);
      if (contact === undefined || contact.addresses.length === 0) return;
      if (view.size >= sizeMax) makeRoom(replaceable);
      view.add(node);
    },
    remove,
    sample: (count) => sample(random, view.items(), count),
    find: (fits) => view.find(random, fits),
  };
}
