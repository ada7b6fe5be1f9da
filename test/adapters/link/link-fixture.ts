/** Real link transports on loopback sockets; a certificate is the node's public key signed by a mesh key. */

import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import type { LinkHost } from '../../contract/link.ts';
import { createLinkRecord, recording } from '../../contract/link.ts';
import { connectSocket } from '../../../src/adapters/link/connect-socket.ts';
import { createLinkTransport } from '../../../src/adapters/link/link-transport.ts';
import type { SocketLinkTransport } from '../../../src/adapters/link/link-transport.ts';
import type { LinkCredentials } from '../../../src/adapters/link/noise-stream.ts';
import { createMemoryLog } from '../../../src/adapters/memory/log.ts';
import { createMetrics } from '../../../src/adapters/system/metrics.ts';
import { generateNodeKeys, nodeIdOf, signBytes, verifyBytes } from '../../../src/wire/keys.ts';
import type { NodeKeys } from '../../../src/wire/keys.ts';
import type { Metrics } from '../../../src/ports/metrics.ts';

export interface SocketLinkHost extends LinkHost {
  readonly transport: SocketLinkTransport;
  readonly credentials: LinkCredentials;
  readonly metrics: Metrics;
  /** Connections that were accepted. */
  readonly sockets: Set<Socket>;
  /** Connections that were dialled. */
  readonly dialled: Set<Socket>;
}

/** Credentials of a member of the mesh that `meshKeys` stand for. */
export function createCredentials(
  meshKeys: NodeKeys,
  keys: NodeKeys = generateNodeKeys(),
): LinkCredentials {
  const body = Buffer.concat([keys.edPublic, keys.xPublic]);
  const certificate = Buffer.concat([body, signBytes(meshKeys.edSeed, body)]);
  return {
    node: nodeIdOf(keys.edPublic),
    keys,
    prologue: () => Buffer.from('test mesh'),
    certificate: () => certificate,
    refused: () => {},
    admit(theirs, xPublic) {
      const signed = theirs.subarray(0, 64);
      if (!verifyBytes(meshKeys.edPublic, signed, theirs.subarray(64)))
        return { refusal: 'not signed' };
      if (Buffer.compare(signed.subarray(32), xPublic) !== 0) return { refusal: 'not its key' };
      const edPublic = signed.slice(0, 32);
      return { node: nodeIdOf(edPublic), edPublic };
    },
  };
}

/** Starts a host on a free port. */
export async function startLinkHost(credentials: LinkCredentials): Promise<SocketLinkHost> {
  const heard = createLinkRecord();
  const metrics = createMetrics();
  const dialled = new Set<Socket>();
  const transport = createLinkTransport({
    credentials,
    handlers: recording(heard),
    log: createMemoryLog(),
    metrics,
    async connect(address, signal) {
      const socket = await connectSocket(address, signal);
      dialled.add(socket);
      socket.once('close', () => dialled.delete(socket));
      return socket;
    },
  });
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    transport.accept(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    node: credentials.node,
    address: { host: '127.0.0.1', port: (server.address() as AddressInfo).port },
    credentials,
    metrics,
    sockets,
    dialled,
    heard,
    transport: {
      ...transport,
      async stop() {
        server.close();
        await transport.stop();
      },
    },
  };
}
