/** From where a node can be reached: loopback alone, or the addresses of the interfaces it uses. */

import type { Address } from '../kernel/address.ts';
import type { Interfaces } from './adapters.ts';
import type { NodeOptions } from './mesh-node.ts';

/** Addresses that one node offers to its peers. */
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

/** What a node offers to its peers. */
export function addressesOf(hosts: readonly string[], port: number): readonly Address[] {
  return hosts
    .filter((host) => !host.includes(':'))
    .slice(0, addressesMax)
    .map((host) => ({ host, port }));
}
