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

/** Reads `host`, `host:port` or `[v6]:port`. Gives undefined when it is none of them. */
export function parseAddress(text: string, portDefault: number): Address | undefined {
  const match =
    /^\[([0-9a-fA-F:.%\w]+)\](?::(\d{1,5}))?$/.exec(text) ??
    /^([^\s:/[\]]+)(?::(\d{1,5}))?$/.exec(text);
  const host = match?.[1];
  if (host === undefined || host.length > 253) return undefined;
  const port = match?.[2] === undefined ? portDefault : Number(match[2]);
  return port >= 1 && port <= 65_535 ? { host, port } : undefined;
}

/** Whether two addresses are the same text. */
export function isSameAddress(left: Address, right: Address): boolean {
  return left.port === right.port && left.host === right.host;
}
