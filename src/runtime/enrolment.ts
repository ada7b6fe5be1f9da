/** How a life takes part in membership: what the membership floor is given, and where its words go. */

import type { SwimMember } from '../protocol/membership/swim-types.ts';
import type { LifeWorld } from './life-world.ts';
import { startMembership } from './membership.ts';
import type { Membership } from './membership.ts';
import type { Peering } from './peering.ts';
import { twinText } from './porter.ts';
import type { Porter } from './porter.ts';
import type { Trust } from './trust.ts';

/** Rooms of a life that membership speaks with. */
interface Neighbours {
  readonly trust: Trust;
  readonly peering: Peering;
  readonly porter: Porter;
  /** Membership changed its mind about somebody. */
  announced(member: SwimMember): void;
}

/** Starts the membership of a life. @throws when no datagram socket can be opened */
export function enrol(world: LifeWorld, rooms: Neighbours): Promise<Membership> {
  const { adapters, identity, log, metrics, random, store } = world;
  const { trust, peering } = rooms;
  return startMembership(
    {
      identity,
      boot: world.boot,
      meshId: trust.meshId,
      profile: world.profile,
      clock: adapters.clock,
      random: random.split(),
      log,
      metrics,
      datagrams: adapters.datagrams,
      stalls: adapters,
      keys: () => trust.keys(),
      addresses: () => world.addresses(),
      meta: () => world.meta(trust.certificate().roles),
      announced: (member) => rooms.announced(member),
      cloned(node, isSelf) {
        const text = isSelf
          ? twinText
          : `Two devices run with the identity ${node} (a copied card?).`;
        world.alert(isSelf ? 'clone-self' : 'clone', text);
        if (isSelf) world.expelled(text);
        else rooms.porter.twinsHeard(node);
      },
      viaLink: (node, bytes) => peering.links.control(node, { kind: 'swim', bytes }),
      pingViaLink: (node, answered) => peering.links.ping(node, answered),
      riderSeen: (node, rider) => trust.riderSeen(node, rider),
      persistBoot(boot) {
        adapters.raiseBoot(store, boot).catch((error: unknown) => {
          log.error({ error, boot }, 'the boot counter could not be raised');
        });
      },
    },
    { host: world.datagramHost, port: world.ground().port },
  );
}
