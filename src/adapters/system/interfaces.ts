/** Watches the network interfaces of this machine and leaves out those that lead to no neighbour. */

import { readFileSync, readdirSync, existsSync } from 'node:fs';
import { networkInterfaces } from 'node:os';

import { broadcastOf, isLinkLocal } from '../discovery/lan-address.ts';

/** What an interface leads to. */
export type InterfaceKind = 'wired' | 'wifi' | 'loopback' | 'virtual' | 'tunnel' | 'unknown';

/** One address of an interface. */
interface InterfaceAddress {
  readonly host: string;
  readonly family: 'IPv4' | 'IPv6';
  /** Length of the network part in bits. */
  readonly prefix: number;
  /** IPv4 only, and not on loopback nor on a /31 or /32. */
  readonly broadcast?: string;
}

/** An interface that is up and has an address. */
export interface NetInterface {
  readonly name: string;
  /** The kernel's number, 0 where unknown: a cable adapter pulled and plugged in again gets a new one. */
  readonly index: number;
  readonly kind: InterfaceKind;
  /** Never empty. IPv4 first. No IPv6 link-local; IPv4 link-local (169.254/16) only when it is all there is. */
  readonly addresses: readonly InterfaceAddress[];
}

/** Tells which interfaces to use now and when that changes. */
export interface InterfaceWatch {
  /** Wired first, then Wi-Fi, then the others; by name within a kind. */
  current(): readonly NetInterface[];
  /** Names that were asked for and are not there, down, or without an address. */
  missing(): readonly string[];
  /** Looks now. Called by whoever got a network error. */
  refresh(): void;
  /** Listens for changes; returns the function that stops listening. */
  subscribe(changed: (current: readonly NetInterface[]) => void): () => void;
  /** Frees the timer; nobody is called any more. Idempotent. */
  stop(): void;
}

/** How to watch. */
export interface InterfaceWatchOptions {
  /** Use exactly these, whatever they are. @default all but loopback, containers, virtual machines and tunnels */
  readonly names?: readonly string[];
  /** How often to look, in ms; at most 1000 while there is no neighbour to reach. @default 5000 */
  readonly periodMs?: number;
  changed?(current: readonly NetInterface[]): void;
}

/** Interfaces used at once; the rest is ignored in the order of `current`. */
const interfacesMax = 16;

const virtualNames =
  /^(docker|br-|veth|virbr|vnet|vmnet|vboxnet|cni|flannel|cali|cilium|kube|podman|lxc|lxd|ifb|dummy|sit|bridge|awdl|llw|anpi)/;
const tunnelNames = /^(tun|tap|utun|wg|tailscale|zt|ppp|wwan|wwp|ipsec|gre|gif|stf|nebula)/;
const wiredNames = /^(eth|en|end|usb|bond|team|lan|wan)\d*/;
const wifiNames = /^(wl|wlan|wifi|ath|ra)\d*/;

/** ARPHRD_* numbers of /sys/class/net/<name>/type that are tunnels: none, ppp, tunnel, tunnel6, sit, ipgre. */
const tunnelTypes = new Set(['65534', '512', '768', '769', '776', '778']);

const kindOrder: readonly InterfaceKind[] = [
  'wired',
  'wifi',
  'unknown',
  'virtual',
  'tunnel',
  'loopback',
];

/** Begins to watch. The first look is taken before this returns. */
export function createInterfaceWatch(options: InterfaceWatchOptions = {}): InterfaceWatch {
  const periodMs = options.periodMs ?? 5_000;
  const listeners = new Set<(current: readonly NetInterface[]) => void>();
  if (options.changed !== undefined) listeners.add((current) => options.changed?.(current));
  let current = listInterfaces(options.names);
  let picture = JSON.stringify(current);
  let isStopped = false;
  let timer = schedule();

  function look(): void {
    if (isStopped) return;
    const next = listInterfaces(options.names);
    const nextPicture = JSON.stringify(next);
    if (nextPicture === picture) return;
    current = next;
    picture = nextPicture;
    for (const listener of listeners) listener(current);
  }

  function schedule(): NodeJS.Timeout {
    const isCutOff = current.every((net) => net.kind === 'loopback');
    const waitMs = isCutOff ? Math.min(periodMs, 1_000) : periodMs;
    const next = setTimeout(() => {
      look();
      if (!isStopped) timer = schedule();
    }, waitMs);
    // Watching alone is no reason to keep a process alive.
    return next.unref();
  }

  return {
    current: () => current,
    missing: () =>
      (options.names ?? []).filter((name) => !current.some((net) => net.name === name)),
    refresh: look,
    subscribe(changed) {
      listeners.add(changed);
      return () => listeners.delete(changed);
    },
    stop() {
      isStopped = true;
      clearTimeout(timer);
      listeners.clear();
    },
  };
}

/** One look at the machine's interfaces. An interface that vanishes meanwhile is simply not there. */
export function listInterfaces(names?: readonly string[]): readonly NetInterface[] {
  const all: NetInterface[] = [];
  for (const [name, infos] of Object.entries(readAddresses())) {
    const kind = kindOf(
      name,
      infos.some((info) => info.internal),
    );
    const addresses = usableAddresses(infos, kind);
    if (addresses.length > 0) all.push({ name, index: indexOf(name), kind, addresses });
  }
  all.sort(
    (left, right) =>
      kindOrder.indexOf(left.kind) - kindOrder.indexOf(right.kind) ||
      (left.name < right.name ? -1 : 1),
  );
  return choose(all, names).slice(0, interfacesMax);
}

/**
 * Tells whether an address belongs to this computer now, on whatever interface. While it has none but loopback every
 * address passes: a cable that is pulled for a moment takes no connection with it.
 */
export function lookUpOwnHosts(): (host: string) => boolean {
  const infos = Object.values(readAddresses()).flat();
  const isCutOff = infos.every((info) => info.internal);
  const hosts = new Set(infos.map((info) => info.address));
  return (host) => {
    const plain = host.replace(/^::ffff:/, '');
    return isCutOff || hosts.has(plain) || isLinkLocal(plain);
  };
}

function choose(
  all: readonly NetInterface[],
  names: readonly string[] | undefined,
): NetInterface[] {
  if (names !== undefined) return all.filter((net) => names.includes(net.name));
  const real = all.filter((net) => ['wired', 'wifi', 'unknown'].includes(net.kind));
  // A machine off the network still finds the other nodes that run on it.
  return real.length > 0 ? real : all.filter((net) => net.kind === 'loopback');
}

type AddressInfo = NonNullable<ReturnType<typeof networkInterfaces>[string]>[number];

function readAddresses(): Record<string, AddressInfo[]> {
  try {
    const found = networkInterfaces();
    return Object.fromEntries(
      Object.entries(found).map(([name, infos]) => [name, infos ?? []] as const),
    );
  } catch {
    // Some sandboxes refuse the question (uv_interface_addresses EPERM): no interface is the honest answer.
    return {};
  }
}

function usableAddresses(infos: readonly AddressInfo[], kind: InterfaceKind): InterfaceAddress[] {
  const v4: InterfaceAddress[] = [];
  const v6: InterfaceAddress[] = [];
  for (const info of infos) {
    const prefix = Number(info.cidr?.split('/')[1] ?? (info.family === 'IPv4' ? 32 : 128));
    const { address: host, family } = info;
    if (family === 'IPv4') {
      const broadcast = kind === 'loopback' ? undefined : broadcastOf(host, prefix);
      v4.push({ host, family, prefix, ...(broadcast === undefined ? {} : { broadcast }) });
    } else if (!isLinkLocal(host)) {
      v6.push({ host, family, prefix });
    }
  }
  const routable = v4.filter((address) => !isLinkLocal(address.host));
  return [...(routable.length > 0 ? routable : v4), ...v6];
}

/** Names decide where they are clear (in a container `eth0` is one end of a veth pair), then what the kernel says. */
function kindOf(name: string, isInternal: boolean): InterfaceKind {
  if (isInternal || name === 'lo') return 'loopback';
  if (virtualNames.test(name)) return 'virtual';
  if (tunnelNames.test(name) || has(name, 'tun_flags')) return 'tunnel';
  if (wifiNames.test(name) || has(name, 'wireless') || has(name, 'phy80211')) return 'wifi';
  if (tunnelTypes.has(read(name, 'type') ?? '')) return 'tunnel';
  if (has(name, 'bridge')) return isLanBridge(name) ? 'wired' : 'virtual';
  if (wiredNames.test(name) || has(name, 'device') || has(name, 'bonding')) return 'wired';
  return 'unknown';
}

/** A bridge with a real port in it is how home servers reach their LAN. */
function isLanBridge(name: string): boolean {
  try {
    return readdirSync(`/sys/class/net/${name}/brif`).some((port) => has(port, 'device'));
  } catch {
    return false;
  }
}

function indexOf(name: string): number {
  return Number(read(name, 'ifindex') ?? 0);
}

function has(name: string, entry: string): boolean {
  return existsSync(`/sys/class/net/${name}/${entry}`);
}

function read(name: string, entry: string): string | undefined {
  try {
    return readFileSync(`/sys/class/net/${name}/${entry}`, 'utf8').trim();
  } catch {
    return undefined;
  }
}
