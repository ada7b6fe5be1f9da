/** Whether a port is free for everything a node will open there, asked before anything is: links and clients on TCP, membership on UDP. */

import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { formatAddress } from '../kernel/address.ts';
import type { Address } from '../kernel/address.ts';
import { MycelError } from '../kernel/errors.ts';
import { createUdpDatagrams } from './dgram/udp.ts';

/** Numbers tried when any will do: one that is free on TCP may be taken on UDP. */
const triesMax = 20;

/**
 * Finds a number that is free on both protocols; `port` 0 means any.
 * @throws {MycelError} MYCEL_PORT_TAKEN naming the protocol. What else may be wrong with an address is told by whoever opens it.
 */
export async function findFreePort(at: Address): Promise<number> {
  for (let left = triesMax; ; left -= 1) {
    const port = await freeOnTcp(at);
    try {
      await freeOnUdp({ host: at.host, port });
      return port;
    } catch (error) {
      if (at.port !== 0 || left === 0) throw error;
    }
  }
}

async function freeOnTcp({ host, port }: Address): Promise<number> {
  const server: Server = createServer();
  try {
    server.listen({ host, port, exclusive: true });
    await once(server, 'listening');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') return port;
    const reason = `It is TCP ${formatAddress({ host, port })}.`;
    throw new MycelError('MYCEL_PORT_TAKEN', { host, port, reason }, { cause: error });
  }
  const found = (server.address() as AddressInfo).port;
  server.close();
  await once(server, 'close');
  return found;
}

async function freeOnUdp(at: Address): Promise<void> {
  const socket = await createUdpDatagrams().open({ ...at, receive: () => undefined });
  await socket.stop();
}
