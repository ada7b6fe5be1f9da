/** Which hosts can be neighbours on a LAN: private ranges and our own subnets, nothing else. */

import { BlockList, isIPv4, isIPv6 } from 'node:net';

/** RFC 1918, RFC 3927, RFC 4193, RFC 4291 and loopback: never routed over the internet. */
const privateRanges = new BlockList();
privateRanges.addSubnet('10.0.0.0', 8, 'ipv4');
privateRanges.addSubnet('172.16.0.0', 12, 'ipv4');
privateRanges.addSubnet('192.168.0.0', 16, 'ipv4');
privateRanges.addSubnet('169.254.0.0', 16, 'ipv4');
privateRanges.addSubnet('127.0.0.0', 8, 'ipv4');
privateRanges.addSubnet('fc00::', 7, 'ipv6');
privateRanges.addAddress('::1', 'ipv6');

/** One subnet we are on. */
export interface Subnet {
  readonly host: string;
  readonly family: 'IPv4' | 'IPv6';
  /** Length of the network part in bits. */
  readonly prefix: number;
}

/** Whether the address is in a range that no router forwards. IPv6 link-local needs a zone to be dialled and is not. */
export function isPrivateHost(host: string): boolean {
  if (isIPv4(host)) return privateRanges.check(host, 'ipv4');
  return isIPv6(host) && !isLinkLocal(host) && privateRanges.check(host, 'ipv6');
}

/** Whether the address only means something on one cable: 169.254/16 or fe80::/10. */
export function isLinkLocal(host: string): boolean {
  return host.startsWith('169.254.') || /^fe[89ab][0-9a-f]:/i.test(host);
}

/** Whether the IPv4 address lies in one of these subnets. */
export function isOnLink(host: string, subnets: readonly Subnet[]): boolean {
  const given = ipv4Number(host);
  if (given === undefined) return false;
  return subnets.some((subnet) => {
    const own = ipv4Number(subnet.host);
    if (own === undefined || subnet.prefix < 1) return false;
    const mask = ipv4Mask(subnet.prefix);
    return (own & mask) === (given & mask);
  });
}

/** Whether a datagram from this address can come from our LAN. Some LANs use public ranges, so our subnets count too. */
export function isNeighbour(host: string, subnets: readonly Subnet[]): boolean {
  return isPrivateHost(host) || isOnLink(host, subnets);
}

/** The address that reaches everyone on the subnet, or undefined where there is none (/31, /32). */
export function broadcastOf(host: string, prefix: number): string | undefined {
  const own = ipv4Number(host);
  if (own === undefined || prefix < 1 || prefix > 30) return undefined;
  const all = (own | ~ipv4Mask(prefix)) >>> 0;
  return [all >>> 24, (all >>> 16) & 255, (all >>> 8) & 255, all & 255].join('.');
}

function ipv4Mask(prefix: number): number {
  return prefix >= 32 ? -1 : ~(0xffff_ffff >>> prefix);
}

function ipv4Number(host: string): number | undefined {
  if (!isIPv4(host)) return undefined;
  return host.split('.').reduce((sum, part) => ((sum << 8) | Number(part)) >>> 0, 0);
}
