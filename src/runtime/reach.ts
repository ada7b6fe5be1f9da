/** From where a node can be reached: loopback alone, or the addresses of the interfaces it uses. */

import type { Address } from '../kernel/address.ts';
import { isBackboneHost } from '../ports/backbone.ts';
import type { Interfaces } from './adapters.ts';
import type { NodeOptions } from './mesh-node.ts';

/** Addresses that one node offers to its peers, that of a backbone included. */
const addressesMax = 8;

/** The address that only this computer reaches. */
export const loopbackHost = '127.0.0.1';

/** An open mesh without a named interface stays on this computer; so does a node that names nothing but `lo`. */
export function isLoopbackOnly({ dev, interfaces }: NodeOptions): boolean {
  if (dev === true && interfaces === undefined) return true;
  return interfaces?.every((one) => one === 'lo') === true;
}

/** Addresses of this node's interfaces; loopback only when there is nothing else to offer. */
export function hostsOf(options: NodeOptions, interfaces: Interfaces): readonly string[] {
  if (isLoopbackOnly(options)) return [loopbackHost];
  const found = interfaces.current().flatMap((one) => one.hosts);
  return found.length > 0 ? found : [loopbackHost];
}

/** What a node offers to its peers: the LAN first, because addresses are tried in turn. */
export function addressesOf(
  hosts: readonly string[],
  port: number,
  backbone: Address | undefined,
): readonly Address[] {
  const others = backbone === undefined ? [] : [backbone];
  const near = hosts
    .filter((host) => !host.includes(':'))
    .slice(0, addressesMax - others.length)
    .map((host) => ({ host, port }));
  return [...near, ...others];
}

/** The few addresses that an invite has room for: one of each kind before a second one of any. */
export function invitable(addresses: readonly Address[], count: number): readonly Address[] {
  const far = addresses.filter(({ host }) => isBackboneHost(host));
  const near = addresses.filter(({ host }) => !isBackboneHost(host));
  return [...near.slice(0, count - far.length), ...far];
}
