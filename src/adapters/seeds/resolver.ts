/** Asks the operating system and the DNS where a seed's name leads. */

import { lookup, Resolver } from 'node:dns/promises';

/** A target of an SRV record. */
interface ServiceTarget {
  readonly name: string;
  readonly port: number;
  readonly priority: number;
}

/** Resolves names; both promises reject with an error that has a `code` when there is no answer. */
export interface SeedResolver {
  /** IP addresses, in the order of the operating system (hosts file, mDNS and DNS as it is configured). */
  addresses(name: string): Promise<readonly string[]>;
  /** SRV records, best first (RFC 2782: priority, then weight). */
  services(name: string): Promise<readonly ServiceTarget[]>;
  /** Abandons what is under way. */
  cancel(): void;
}

/** Patience per DNS server and number of tries. */
const srvPatience = { timeout: 2_000, tries: 2 };

/** The resolver of this machine. `servers` replaces the configured DNS servers for SRV questions. */
export function createSystemResolver(servers?: readonly string[]): SeedResolver {
  const resolver = new Resolver(srvPatience);
  if (servers !== undefined) resolver.setServers(servers);
  return {
    async addresses(name) {
      const found = await lookup(name, { all: true });
      return found.map((entry) => entry.address);
    },
    async services(name) {
      const found = await resolver.resolveSrv(name);
      found.sort((left, right) => left.priority - right.priority || right.weight - left.weight);
      return found.map(({ name: target, port, priority }) => ({ name: target, port, priority }));
    },
    cancel: () => resolver.cancel(),
  };
}
