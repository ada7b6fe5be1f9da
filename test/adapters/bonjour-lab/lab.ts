/** A LAN of network namespaces on one bridge: real kernels' sockets, cables that can be pulled, no default route. */

import { execFileSync } from 'node:child_process';

/** One host of the lab. */
export interface LabHost {
  /** Network namespace. */
  readonly ns: string;
  /** The cable's end on the bridge. */
  readonly port: string;
  /** The address given at the start. */
  readonly address: string;
}

/** The lab. */
export interface Lab {
  /** Adds a host with `eth0` at this address of the /24. */
  host(address: string): LabHost;
  /** Plugs another adapter of a host of another lab into this one. */
  attach(host: LabHost, name: string, address: string): void;
  /** Runs a command inside of a host's namespace. */
  within(host: LabHost, ...command: string[]): string;
  linkDown(host: LabHost): void;
  linkUp(host: LabHost): void;
  /** Takes the adapter out of the host and puts in a new one with the same name and address. */
  replug(host: LabHost): void;
  readdress(host: LabHost, from: string, to: string): void;
  close(): void;
}

let labCount = 0;

/** Builds an empty lab. Throws, with the reason, on a machine that cannot: these tests are never skipped. */
export function createLab(): Lab {
  if (process.getuid?.() !== 0) {
    throw new Error('Tests of discovery build network namespaces: run them as root.');
  }
  labCount += 1;
  const tag = `${(process.pid % 46_656).toString(36)}${labCount.toString(36)}`;
  const bridge = `mcb${tag}`;
  const hosts: LabHost[] = [];
  ip('link', 'add', bridge, 'type', 'bridge', 'mcast_snooping', '0');
  ip('link', 'set', bridge, 'up');

  function plug(ns: string, port: string, name: string, address: string): void {
    ip('link', 'add', port, 'type', 'veth', 'peer', 'name', name, 'netns', ns);
    ip('link', 'set', port, 'master', bridge, 'up');
    ip('-n', ns, 'addr', 'add', `${address}/24`, 'brd', '+', 'dev', name);
    ip('-n', ns, 'link', 'set', name, 'up');
  }

  return {
    host(address) {
      const host = { ns: `mc${tag}n${hosts.length}`, port: `mc${tag}p${hosts.length}`, address };
      ip('netns', 'add', host.ns);
      hosts.push(host);
      ip('-n', host.ns, 'link', 'set', 'lo', 'up');
      plug(host.ns, host.port, 'eth0', address);
      return host;
    },
    attach: (host, name, address) => plug(host.ns, `${host.port}${name}`, name, address),
    within: (host, ...command) => ip('netns', 'exec', host.ns, ...command),
    linkDown: (host) => ip('-n', host.ns, 'link', 'set', 'eth0', 'down'),
    linkUp: (host) => ip('-n', host.ns, 'link', 'set', 'eth0', 'up'),
    replug(host) {
      ip('link', 'del', host.port);
      plug(host.ns, host.port, 'eth0', host.address);
    },
    readdress(host, from, to) {
      ip('-n', host.ns, 'addr', 'del', `${from}/24`, 'dev', 'eth0');
      ip('-n', host.ns, 'addr', 'add', `${to}/24`, 'brd', '+', 'dev', 'eth0');
    },
    close() {
      for (const host of hosts) ip('netns', 'del', host.ns);
      ip('link', 'del', bridge);
    },
  };
}

function ip(...args: string[]): string {
  try {
    return execFileSync('ip', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  } catch (error) {
    throw new Error(`Tests of discovery need iproute2 and root: "ip ${args.join(' ')}" failed.`, {
      cause: error,
    });
  }
}
