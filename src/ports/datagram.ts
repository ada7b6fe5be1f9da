/** Unreliable small packets between nodes. */

import type { Address } from '../kernel/address.ts';

/** Largest datagram payload we send or accept, in bytes: fits an Ethernet frame with room for tunnels. */
export const datagramBytesMax = 1400;

/** An open datagram socket. */
export interface DatagramSocket {
  readonly port: number;
  /** Sends, or drops and counts: never throws, never blocks. */
  send(to: Address, bytes: Uint8Array): void;
  /** Datagrams sent, received, and lost to a local error, since the socket was opened. */
  counts(): { readonly sent: number; readonly received: number; readonly failed: number };
  stop(): Promise<void>;
}

/** How to open one. */
export interface DatagramOptions {
  /** Local address to bind. */
  readonly host: string;
  /** 0 picks a free port. */
  readonly port: number;
  receive(from: Address, bytes: Uint8Array): void;
}

/** Opens datagram sockets. */
export interface Datagrams {
  /** @throws {MycelError} MYCEL_PORT_TAKEN when the port is in use. */
  open(options: DatagramOptions): Promise<DatagramSocket>;
}
