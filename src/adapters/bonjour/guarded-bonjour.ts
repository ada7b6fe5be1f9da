/** bonjour-service with a fence around it: nothing that happens to its socket or arrives on it can end the process. */

import { createSocket } from 'node:dgram';
import type { RemoteInfo, Socket } from 'node:dgram';

import type { DnsRecord } from './records.ts';

/** The parts of multicast-dns that we use; the package has no types of its own. */
interface Mdns {
  on(event: 'error' | 'warning', listener: (error: Error) => void): void;
  on(event: 'query' | 'response', listener: (packet: unknown, from: RemoteInfo) => void): void;
  on(event: 'ready' | 'networkInterface', listener: () => void): void;
  removeAllListeners(event: 'query'): void;
  query(name: string, type: 'PTR', sent: (error?: Error | null) => void): void;
  /** `to` null: the group. */
  respond(
    answers: readonly DnsRecord[],
    to: { readonly address: string; readonly port: number } | null,
    sent: (error?: Error | null) => void,
  ): void;
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

/**
 * Largest mDNS packet that is decoded, in bytes: what fits an Ethernet frame, as RFC 6762 17 wants it. Longer ones are
 * legal on some networks, but chains of name pointers take the decoder a time that grows with the square of the length.
 */
const packetBytesMax = 1_500;

/** Least length of a question and of a resource record, in bytes: a root name and the fixed fields. */
const questionBytesMin = 5;
const recordBytesMin = 11;

/**
 * Whether the packet is long enough for the numbers of records that its header claims. The decoder believes the header:
 * 150 bytes can make it build 57 000 records, which takes 50 ms (measured).
 */
export function isPlausiblePacket(bytes: Buffer): boolean {
  if (bytes.length < 12 || bytes.length > packetBytesMax) return false;
  const questionCount = bytes.readUInt16BE(4);
  const recordCount = bytes.readUInt16BE(6) + bytes.readUInt16BE(8) + bytes.readUInt16BE(10);
  return 12 + questionCount * questionBytesMin + recordCount * recordBytesMin <= bytes.length;
}

/** Loads the library: 8 MB that a node without mDNS never pays for. */
export async function loadBonjour(): Promise<BonjourClass> {
  const module = await import('bonjour-service');
  return module.default as unknown as BonjourClass;
}

/** What is wanted of one guarded instance. */
export interface GuardedOptions {
  /** IPv4 address of the interface. */
  readonly host: string;
  /** Whether to decode this plausible packet. */
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
    if (!isPlausiblePacket(bytes) || !admit(bytes, from)) return;
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
