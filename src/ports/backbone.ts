/** An existing broker that carries links and datagrams between nodes that share no LAN. */

import type { Address } from '../kernel/address.ts';
import type { MeshId, NodeId } from '../kernel/ids.ts';

/** Ends the host of an address that is an inbox on a backbone. No DNS name ends so. */
export const backboneSuffix = '.backbone';

/** Whether the host is an inbox on a backbone: nothing else may ever become part of a topic. */
export function isBackboneHost(host: string): boolean {
  return /^[0-9a-f]{32}\.backbone$/.test(host);
}

/** Whose rooms a node is in. */
export interface BackboneStay {
  readonly mesh: MeshId;
  readonly meshTag: string;
  readonly node: NodeId;
  /** The port that the node has on its LAN; it goes with its address. */
  readonly port: number;
  /** The node's IPv4 addresses on its LAN: whoever is near needs no broker. Asked anew for every hello. */
  hosts(): readonly string[];
  /** A visitor has an invite, and is no member yet: it tells nobody that it is here. */
  readonly isVisitor: boolean;
}

/** The addresses in the order in which they are tried: a broker last. */
export function nearFirst(addresses: readonly Address[]): readonly Address[] {
  const isFar = ({ host }: Address): boolean => isBackboneHost(host);
  return [...addresses.filter((one) => !isFar(one)), ...addresses.filter(isFar)];
}

/** A node's way to a backbone. */
export interface Backbone {
  /** Where a node can be reached in a mesh. */
  addressOf(mesh: MeshId, node: NodeId, port: number): Address;
  /** Enters the rooms of a mesh, leaving those before; undefined: none. Entering where it is changes nothing. */
  enter(stay: BackboneStay | undefined): void;
  /** Called with every connection to the broker that was made. */
  onUp(listener: () => void): void;
  stop(): Promise<void>;
}
