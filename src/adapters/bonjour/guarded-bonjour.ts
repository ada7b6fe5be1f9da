/** bonjour-service with a fence around it: nothing that happens to its socket or arrives on it can end the process. */

import { createSocket } from 'node:dgram';
import type { RemoteInfo, Socket } from 'node:dgram';

import type { DnsRecord } from './records.ts';

/** The parts of multicast-dns that we use; the package has no types of its own. */
export interface Mdns {
  on(event: 'error' | 'warning', listener: (error: Error) => void): void;
  on(event: 'query' | 'response', listener: (packet: unknown, from: RemoteInfo) => void): void;
  on(event: 'ready' | 'networkInterface', listener: () => void): void;
  removeAllListeners(event: 'query'): void;
  query(name: string, type: 'PTR', sent: (error?: Error | null) => void): void;
  respond(answers: readonly DnsRecord[], sent: (error?: Error | null) => void): void;
  destroy(destroyed: () => void): void;
}

/** The parts of bonjour-service's server that we use; its types call them private. */
export interface MdnsServer {
  readonly mdns: Mdns;
  register(records: readonly DnsRecord[]): void;
  unregister(records: readonly DnsRecord[]): void;
  /** Answers each question from the registered records, by one multicast packet each. */
  respondToQuery(query: { readonly questions: readonly { name: string; type: string }[] }): void;
}

/** The class, imported only when the rung starts. */
export type BonjourClass = new (options: object, failed: (error: Error) => void) => object;

/** Largest mDNS packet (RFC 6762 17), in bytes. */
export const packetBytesMax = 9_000;

/** Loads the library: 8 MB that a node without mDNS never pays for. */
export async function loadBonjour(): Promise<BonjourClass> {
  const module = await import('bonjour-service');
  return module.default as unknown as BonjourClass;
}

/** What is wanted of one guarded instance. */
export interface GuardedOptions {
  /** IPv4 address of the interface. */
  readonly host: string;
  /** Whether to decode this packet. Called before anything is parsed. */
  admit(bytes: Buffer, from: RemoteInfo): boolean;
  /** Every error of the socket, of sending and of handling a packet. `isFatal`: the port cannot be had. */
  failed(error: Error, isFatal: boolean): void;
}

/** Opens one instance on one interface. Never throws later, whatever happens. */
export function openGuarded(bonjourClass: BonjourClass, options: GuardedOptions): MdnsServer {
  const { failed } = options;
  const socket = createSocket({ type: 'udp4', reuseAddr: true });
  const bonjour = new bonjourClass(
    // The wildcard, or the socket would hear no multicast at all.
    { socket, interface: options.host, bind: '0.0.0.0' },
    (error) => failed(error, false),
  );
  const { server } = bonjour as { server: MdnsServer };
  server.mdns.on('error', (error) => failed(error, true));
  server.mdns.on('warning', (error) => failed(error, false));
  fence(socket, options);
  return server;
}

/** Puts a check and a catch before the listeners that the library has put on the socket. */
function fence(socket: Socket, { admit, failed }: GuardedOptions): void {
  const decoders = socket.listeners('message');
  socket.removeAllListeners('message');
  socket.on('message', (bytes: Buffer, from: RemoteInfo) => {
    if (bytes.length > packetBytesMax || !admit(bytes, from)) return;
    attempt(() => decoders.forEach((decode) => Reflect.apply(decode, socket, [bytes, from])));
  });
  // Socket options are set in here, and an interface can vanish between bind and that.
  const openers = socket.listeners('listening');
  socket.removeAllListeners('listening');
  socket.on('listening', () => {
    attempt(() => openers.forEach((open) => Reflect.apply(open, socket, [])));
  });

  function attempt(run: () => void): void {
    try {
      run();
    } catch (error) {
      failed(error instanceof Error ? error : new Error(String(error)), false);
    }
  }
}
