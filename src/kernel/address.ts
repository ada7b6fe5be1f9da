/** Where a node can be reached. An address is an attribute of a member, never its identity. */

/** A host (IPv4, IPv6 without brackets, or a DNS name where stated) and a TCP or UDP port. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** `host:port`, with brackets around an IPv6 host. */
export function formatAddress(address: Address): string {
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  return `${host}:${address.port}`;
}

/**
 * Reads `host`, `host:port` or `[v6]:port`. Gives undefined when it is none of them.
 * Names may hold letters and digits of any script, dots, hyphens and underscores; IPv6 may carry a zone.
 */
export function parseAddress(text: string, portDefault: number): Address | undefined {
  const bracketed = /^\[([0-9a-fA-F:.]+(?:%[\w.-]+)?)\](?::(\d{1,5}))?$/.exec(text);
  const match = bracketed ?? /^([\p{L}\p{N}._-]+)(?::(\d{1,5}))?$/u.exec(text);
  const host = match?.[1];
  if (host === undefined || host.length > 253) return undefined;
  if (bracketed !== null && !isIpv6(host)) return undefined;
  const port = match?.[2] === undefined ? portDefault : Number(match[2]);
  return port >= 1 && port <= 65_535 ? { host, port } : undefined;
}

/** RFC 4291 section 2.2: eight groups of up to four hex digits, one run of zeros as `::`, IPv4 at the end allowed. */
function isIpv6(host: string): boolean {
  const bare = host.replace(/%.*$/, '').replace(/\d{1,3}(\.\d{1,3}){3}$/, '0:0');
  const halves = bare.split('::');
  const groups = halves.flatMap((half) => (half === '' ? [] : half.split(':')));
  if (!groups.every((group) => /^[0-9a-fA-F]{1,4}$/.test(group))) return false;
  return halves.length === 2 ? groups.length <= 7 : halves.length === 1 && groups.length === 8;
}

/** Whether two addresses are the same text. */
export function isSameAddress(left: Address, right: Address): boolean {
  return left.port === right.port && left.host === right.host;
}
