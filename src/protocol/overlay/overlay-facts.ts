/** What an overlay that starts on a running node has to be told first: who is there, where, and how to find others. */

import type { Address } from '../../kernel/address.ts';
import { BoundedMap } from '../../kernel/bounded-map.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { OverlayInput, OverlayRole } from './overlay.ts';
import { seedKey } from './overlay.ts';

/** Members, strangers seen by discovery and bare seeds that are remembered. */
const membersMax = 4096;
const strangersMax = 1024;
const seedsMax = 64;

/** The memory. */
export interface OverlayFacts {
  note(input: OverlayInput): void;
  /** The same again, as inputs for a fresh overlay. */
  told(): readonly OverlayInput[];
  members(): ReadonlyMap<NodeId, Member>;
}

interface Member {
  readonly addresses: readonly Address[];
  readonly role: OverlayRole;
}

/** Builds an empty memory. */
export function createOverlayFacts(): OverlayFacts {
  const members = new Map<NodeId, Member>();
  const strangers = new BoundedMap<NodeId, readonly Address[]>(strangersMax);
  const seeds = new BoundedMap<string, readonly Address[]>(seedsMax);
  const evicted = new BoundedMap<NodeId, true>(strangersMax);
  let own: readonly Address[] = [];

  return {
    note(input) {
      switch (input.type) {
        case 'memberUp': {
          const { node, addresses, role = 'any' } = input;
          strangers.delete(node);
          if (members.has(node) || members.size < membersMax)
            members.set(node, { addresses, role });
          return;
        }
        case 'memberGone':
          members.delete(input.node);
          if (input.reason === 'evicted') evicted.set(input.node, true);
          return;
        case 'memberSlept':
          members.delete(input.node);
          return;
        case 'sighted':
          if (input.node === undefined) seeds.set(seedKey(input.addresses), input.addresses);
          else if (!members.has(input.node)) strangers.set(input.node, input.addresses);
          return;
        case 'selfMoved':
          own = input.addresses;
          return;
        default:
          return;
      }
    },
    told() {
      const inputs: OverlayInput[] = [{ type: 'selfMoved', addresses: own }];
      for (const [node] of evicted) inputs.push({ type: 'memberGone', node, reason: 'evicted' });
      for (const [node, member] of members) inputs.push({ type: 'memberUp', node, ...member });
      for (const [node, addresses] of strangers) {
        if (!evicted.has(node)) inputs.push({ type: 'sighted', node, addresses });
      }
      for (const addresses of seeds.values()) {
        inputs.push({ type: 'sighted', node: undefined, addresses });
      }
      return inputs;
    },
    members: () => members,
  };
}
