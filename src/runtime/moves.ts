/** Follows members that move: a link to an address that is theirs no more (a new DHCP lease) is hung up, and dialled anew. */

import type { Address } from '../kernel/address.ts';
import { BoundedMap } from '../kernel/bounded-map.ts';
import type { NodeId } from '../kernel/ids.ts';
import type { Links } from './link-wires.ts';

/** Members whose last word about their addresses is remembered; beyond it the oldest word is forgotten. */
const movesMax = 4096;

/** Builds the follower. It takes a member's newest word about its addresses, after the overlay has heard it. */
export function createMoves(
  links: () => Pick<Links, 'current' | 'hangUp'>,
): (node: NodeId, addresses: readonly Address[]) => void {
  const words = new BoundedMap<NodeId, readonly Address[]>(movesMax);
  return (node, addresses) => {
    const before = words.get(node) ?? [];
    words.set(node, addresses);
    const link = links().current(node);
    if (link === undefined) return;
    const { host } = link.session.remote;
    // A host that it never named (behind a port forward, say) is none of its business.
    const names = (word: readonly Address[]): boolean => word.some((one) => one.host === host);
    if (names(before) && !names(addresses))
      links().hangUp(link.id, 'the member has another address');
  };
}
