/** Datagrams over UDP: nothing that a network or a stranger does ends in an exception. */

import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { isIP } from 'node:net';
import type { Address } from '../../kernel/address.ts';
import {
  datagramBytesMax,
  type DatagramOptions,
  type Datagrams,
  type DatagramSocket,
} from '../../ports/datagram.ts';
import type { Metrics } from '../../ports/metrics.ts';
import { bindFailure } from './bind-failure.ts';
import { createSourceGuard, sourceLimits, type SourceLimits } from './source-guard.ts';

/** Bytes that may wait for the kernel (a radio that is down) before a new packet is dropped. */
const sendQueueBytesMax = 512 * 1024;

/** What the UDP adapter may be told. */
export interface UdpOptions {
  /** Every drop is counted here under `datagram` with its reason. */
  readonly metrics?: Metrics;
  readonly limits?: SourceLimits;
}

/**
 * Datagrams over UDP. A host with a colon (`::`) opens an IPv6 socket that also speaks IPv4, any other an IPv4 socket.
 * A socket outlives its interface: while the network is gone every send is counted as failed.
 */
export function createUdpDatagrams(options: UdpOptions = {}): Datagrams {
  return {
    async open(asked) {
      const isDual = asked.host.includes(':');
      const socket = createSocket({
        type: isDual ? 'udp6' : 'udp4',
        // Addresses are numbers here; this saves a resolver's turn of the loop per packet and never asks a name server.
        lookup: (host, _options, done) => done(null, host, isDual ? 6 : 4),
      });
      await bind(socket, asked);
      return new UdpSocket(socket, isDual, asked, options);
    },
  };
}

class UdpSocket implements DatagramSocket {
  readonly port: number;
  readonly #socket: Socket;
  readonly #isDual: boolean;
  readonly #metrics: Metrics | undefined;
  readonly #stopped: Promise<void>;
  #isStopped = false;
  #sent = 0;
  #received = 0;
  #failed = 0;

  constructor(socket: Socket, isDual: boolean, asked: DatagramOptions, options: UdpOptions) {
    this.port = socket.address().port;
    this.#socket = socket;
    this.#isDual = isDual;
    this.#metrics = options.metrics;
    this.#stopped = new Promise((resolve) => socket.once('close', () => resolve()));
    // Errors that belong to no send (an interface that went away while receiving) leave the socket usable.
    socket.on('error', (error: NodeJS.ErrnoException) => this.#lose(error.code ?? 'error'));
    const guard = createSourceGuard(options.limits ?? sourceLimits);
    socket.on('message', (bytes: Buffer, from: RemoteInfo) => {
      if (this.#isStopped) return;
      const host = from.address.startsWith('::ffff:') ? from.address.slice(7) : from.address;
      if (!guard.admit(performance.now(), host)) return this.#metrics?.drop('datagram', 'rate');
      if (bytes.length > datagramBytesMax) return this.#metrics?.drop('datagram', 'oversize');
      this.#received += 1;
      asked.receive({ host, port: from.port }, bytes);
    });
  }

  send(to: Address, bytes: Uint8Array): void {
    if (this.#isStopped) return;
    const host = this.#reachable(to.host);
    if (host === undefined || !(to.port >= 1 && to.port <= 65_535)) return this.#lose('address');
    if (bytes.length > datagramBytesMax) return this.#lose('oversize');
    try {
      if (this.#socket.getSendQueueSize() > sendQueueBytesMax) return this.#lose('queue');
      this.#socket.send(bytes, to.port, host, (error: NodeJS.ErrnoException | null) => {
        if (error === null) this.#sent += 1;
        else this.#lose(error.code ?? 'error');
      });
    } catch (error) {
      this.#lose((error as NodeJS.ErrnoException).code ?? 'error');
    }
  }

  counts(): { readonly sent: number; readonly received: number; readonly failed: number } {
    return { sent: this.#sent, received: this.#received, failed: this.#failed };
  }

  async stop(): Promise<void> {
    if (!this.#isStopped) {
      this.#isStopped = true;
      this.#socket.close();
    }
    await this.#stopped;
  }

  /** The host as this socket's family writes it, or undefined when it cannot be reached from here. */
  #reachable(host: string): string | undefined {
    // A zone ("fe80::1%eth0") is part of a link-local address.
    const family = isIP(host.split('%', 1)[0] ?? '');
    if (family === 4) return this.#isDual ? `::ffff:${host}` : host;
    return family === 6 && this.#isDual ? host : undefined;
  }

  #lose(reason: string): void {
    this.#failed += 1;
    this.#metrics?.drop('datagram', reason);
  }
}

/** Binds, or closes the socket again and says why not. */
async function bind(socket: Socket, asked: DatagramOptions): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.bind({ address: asked.host, port: asked.port, exclusive: true }, () => {
        socket.off('error', reject);
        resolve();
      });
    });
  } catch (error) {
    socket.close();
    throw bindFailure(asked, (error as NodeJS.ErrnoException).code ?? 'unknown', error);
  }
}
