/** Who calls: a token names a principal, and a web page that only pretends to be local is turned away. */

import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { hostname } from 'node:os';

import { plainPrincipal } from '../config/load.ts';
import type { GatewayConfig, PrincipalConfig } from '../config/load.ts';
import { LlmFailure } from '../failure.ts';

/** The principal of this computer's own programs when no principals are configured. */
export const localPrincipal: PrincipalConfig = plainPrincipal('local');

/** Finds the principal of a request. @throws {LlmFailure} unauthorized */
export type Identify = (request: IncomingMessage) => PrincipalConfig;

/** Reads the configuration once. */
export function createIdentify(config: GatewayConfig): Identify {
  const byDigest = new Map<string, { principal: PrincipalConfig; digest: Buffer }>();
  for (const principal of config.principals) {
    if (principal.token === undefined) continue;
    const digest = digestOf(principal.token.reveal());
    byDigest.set(digest.toString('hex'), { principal, digest });
  }
  const open = config.principals.find(({ token }) => token === undefined);
  const names = new Set([
    'localhost',
    hostname().toLowerCase(),
    `${hostname().toLowerCase()}.local`,
    ...config.http.names.map((name) => name.toLowerCase()),
  ]);
  /** The header that was right the last time: nearly every client sends the same. */
  let usual: string | undefined;

  return (request) => {
    const { host } = request.headers;
    if (host === undefined || host !== usual) assertHost(request, names);
    usual = host;
    const token = tokenOf(request);
    if (token !== undefined) {
      const digest = digestOf(token);
      const found = byDigest.get(digest.toString('hex'));
      if (found !== undefined && timingSafeEqual(found.digest, digest)) return found.principal;
    }
    const isLoopback = isLoopbackAddress(request.socket.remoteAddress ?? '');
    if (isLoopback && config.principals.length === 0) return localPrincipal;
    // A principal without a token is whoever sits at this computer.
    if (isLoopback && open !== undefined && token === undefined) return open;
    throw new LlmFailure(
      'unauthorized',
      config.principals.length === 0
        ? 'Only programs of this computer may ask. Configure principals: with a tokenEnv for the others.'
        : token === undefined
          ? 'The request has no token. Send it as "authorization: Bearer …".'
          : 'No principal has this token. Send the one that the gateway was given with tokenEnv.',
    );
  };
}

/** `authorization: Bearer …`, or the headers that clients of other providers use. */
function tokenOf(request: IncomingMessage): string | undefined {
  const { authorization, 'x-api-key': apiKey } = request.headers;
  const bearer = /^Bearer\s+(\S+)\s*$/i.exec(authorization ?? '')?.[1];
  return bearer ?? (typeof apiKey === 'string' ? apiKey : undefined);
}

/** Pages of other sites reach a local server by a name of their own that leads here (DNS rebinding). */
function assertHost(request: IncomingMessage, names: ReadonlySet<string>): void {
  const host = (request.headers.host ?? '').toLowerCase();
  const name = host.replace(/:\d+$/, '').replace(/^\[|\]$/g, '');
  if (name === '' || isIP(name) !== 0 || names.has(name)) return;
  throw new LlmFailure(
    'unauthorized',
    `This gateway is not called '${name.slice(0, 100)}'. Use its address, or add the name under http.names.`,
    {
      status: 403,
      code: 'unknown_host',
    },
  );
}

/** 127.0.0.0/8 and ::1, also as seen through IPv6. */
export function isLoopbackAddress(address: string): boolean {
  return address === '::1' || /^(::ffff:)?127\./.test(address);
}

function digestOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
