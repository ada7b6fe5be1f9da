/** How a newcomer meets the mesh that let it in: what members tell it of one another, and what it does with that. */

import type { Address } from '../kernel/address.ts';
import type { NodeId } from '../kernel/ids.ts';
import type { Clock } from '../ports/clock.ts';
import type { SwimMember } from '../protocol/membership/swim-types.ts';
import { grantPeersMax } from '../wire/join-messages.ts';
import type { Membership } from './membership.ts';
import type { Peering } from './peering.ts';

/** Addresses of a grant that are used; any one of them leads to all the others. */
const introductionsMax = 8;

/** Addresses told of one member. */
const toldAddressesMax = 4;

/** A newcomer without a link after so long dials the addresses blindly: datagrams do not get through here. In ms. */
const blindDialMs = 2_000;

/** Where the members that are alive answer. */
export function addressesOf(members: readonly SwimMember[]): readonly Address[] {
  return members
    .filter((one) => one.state === 'alive')
    .flatMap(({ address }) => (address === undefined ? [] : [address]))
    .slice(0, grantPeersMax);
}

/** What a peer is told about the others. */
export function peersFor(
  node: NodeId,
  members: readonly SwimMember[],
): readonly { readonly node: NodeId; readonly addresses: readonly Address[] }[] {
  return members
    .filter((one) => one.state === 'alive' && one.node !== node && one.address !== undefined)
    .slice(0, grantPeersMax)
    .map((one) => ({ node: one.node, addresses: one.addresses.slice(0, toldAddressesMax) }));
}

/**
 * Turns to the members at these addresses, by datagram: one exchange makes everybody known to everybody, long before the
 * first link is open. Returns the function that gives it up.
 */
export function introduce(
  addresses: readonly Address[],
  rooms: {
    readonly clock: Clock;
    readonly peering: Peering;
    readonly membership: Membership | undefined;
  },
): () => void {
  const { clock, peering, membership } = rooms;
  const used = addresses.slice(0, introductionsMax);
  membership?.introduced(used);
  return clock.alarm(clock.now() + blindDialMs, () => {
    if (peering.view().neighbours.length > 0) return;
    for (const one of used) peering.feed({ type: 'sighted', node: undefined, addresses: [one] });
  });
}
