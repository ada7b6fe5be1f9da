/** Where a node can be reached: on its LAN, and in the rooms of its mesh on a backbone. */

import type { Address } from '../kernel/address.ts';
import type { MeshId } from '../kernel/ids.ts';
import type { Backbone } from '../ports/backbone.ts';
import { meshTagOf } from '../wire/authority-entry.ts';
import type { Ground } from './adapters.ts';
import type { Identity } from './identity.ts';
import type { Life } from './life-world.ts';
import { addressesOf, loopbackHost } from './reach.ts';

/** What it looks at. */
export interface WhereaboutsWorld {
  readonly identity: Identity;
  readonly backbone: Backbone | undefined;
  hosts(): readonly string[];
  /** What is open now. */
  readonly rooms: { readonly ground?: Ground; readonly life?: Life };
}

/** The whereabouts of one node. */
export interface Whereabouts {
  addresses(): readonly Address[];
  /** Enters the rooms of this mesh, as a member or with an invite to it. */
  enter(mesh: MeshId, isVisitor: boolean): void;
  /** Is in no mesh that others are in. */
  leave(): void;
}

/** Builds them. */
export function createWhereabouts(world: WhereaboutsWorld): Whereabouts {
  const { backbone, identity } = world;
  const { node } = identity;
  return {
    addresses() {
      const { ground, life } = world.rooms;
      const port = ground?.port ?? 0;
      const isReal = life !== undefined && !life.trust.isProvisional();
      const far = isReal ? backbone?.addressOf(life.trust.meshId, node, port) : undefined;
      return addressesOf(world.hosts(), port, far);
    },
    enter(mesh, isVisitor) {
      const port = world.rooms.ground?.port ?? 0;
      const hosts = (): readonly string[] => world.hosts().filter((one) => one !== loopbackHost);
      backbone?.enter({ mesh, meshTag: meshTagOf(mesh), node, port, hosts, isVisitor });
    },
    leave: () => backbone?.enter(undefined),
  };
}
