/** The node's end of the control socket: whatever a command sends, the node lives on and its memory stays bounded. */

import { chmodSync, existsSync, lstatSync, unlinkSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';

import type { MeshNode } from 'mycel';

import { createControlConnection, type ControlConnection } from './control-connection.ts';
import { controlConnectionsMax, controlOutputTotalBytesMax } from './control-protocol.ts';
import { controlSocketPath, type SocketPath } from './control-socket.ts';
import { Failure } from './failure.ts';

/** How long a closing connection may take to read its last lines, in ms. */
const farewellMs = 1000;

/** The open control socket of a running node. */
export interface ControlServer {
  /** Connections now open. */
  connectionCount(): number;
  /** Ends every stream with the reason, closes every connection and removes the socket. Idempotent. */
  stop(reason: string): Promise<void>;
}

/** What the socket needs. */
export interface ControlServerOptions {
  readonly dataDir: string;
  readonly node: MeshNode;
  /** Called when a command asked the node to stop. */
  down(): void;
}

/**
 * Opens `<dataDir>/control.sock` for this user alone (0600). A socket left by a node that died is replaced.
 * @throws {Failure} MYCEL_DATA_DIR_BUSY when a live node answers on it, MYCEL_CONTROL_SOCKET when something else is in its place.
 */
export async function openControlServer(options: ControlServerOptions): Promise<ControlServer> {
  const connections = new Set<ControlConnection>();
  const queuedBytes = (): number => {
    let total = 0;
    for (const connection of connections) total += connection.queuedBytes();
    return total;
  };
  const server = createServer((socket) => {
    if (connections.size >= controlConnectionsMax) return turnAway(socket);
    const connection = createControlConnection(socket, {
      node: options.node,
      down: options.down,
      hasRoom: (bytes) => queuedBytes() + bytes <= controlOutputTotalBytesMax,
      closed: () => connections.delete(connection),
    });
    connections.add(connection);
  });
  await assertNoLiveNode(options.dataDir);
  const target = await listen(server, options.dataDir);
  let stopped: Promise<void> | undefined;
  return {
    connectionCount: () => connections.size,
    stop(reason) {
      stopped ??= new Promise<void>((resolve) => {
        server.close(() => {
          target.release();
          resolve();
        });
        for (const connection of connections) connection.end(reason, farewellMs);
      });
      return stopped;
    },
  };
}

/**
 * Makes sure that no node answers on the directory's socket, and removes a dead one.
 * @throws {Failure} MYCEL_DATA_DIR_BUSY or MYCEL_CONTROL_SOCKET
 */
export async function assertNoLiveNode(dataDir: string): Promise<void> {
  if (!existsSync(dataDir)) return;
  const target = controlSocketPath(dataDir);
  try {
    const stats = lstatSync(target.path, { throwIfNoEntry: false });
    if (stats === undefined) return;
    if (!stats.isSocket()) {
      throw new Failure(
        'MYCEL_CONTROL_SOCKET',
        `${dataDir}/control.sock is not a socket.`,
        'Move it away, or choose another --data-dir.',
      );
    }
    if (await isAnswered(target.path)) {
      throw new Failure(
        'MYCEL_DATA_DIR_BUSY',
        `A node is already running in ${dataDir}.`,
        'Stop it with "mycel down", or give this one its own --data-dir.',
      );
    }
    unlinkSync(target.path);
  } finally {
    target.release();
  }
}

/** Whether somebody accepts connections. Anything but a plain refusal counts as yes: never remove what may be alive. */
function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      resolve(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT');
    });
  });
}

/** `listen` on a path binds before it returns, so the mask is in force for exactly that moment. */
function listen(server: Server, dataDir: string): Promise<SocketPath> {
  return new Promise((resolve, reject) => {
    const target = controlSocketPath(dataDir);
    server.once('error', (error) => {
      target.release();
      reject(error);
    });
    const mask = process.umask(0o177);
    try {
      server.listen({ path: target.path, backlog: controlConnectionsMax }, () => {
        chmodSync(target.path, 0o600);
        server.removeAllListeners('error');
        // A later accept error (out of descriptors) costs that one connection, never the node.
        server.on('error', () => undefined);
        resolve(target);
      });
    } finally {
      process.umask(mask);
    }
  });
}

function turnAway(socket: Socket): void {
  const failure = new Failure(
    'MYCEL_CONTROL_BUSY',
    `The node already serves ${controlConnectionsMax} commands.`,
    'End some of them, then try again.',
  );
  socket.on('error', () => undefined);
  socket.end(`${JSON.stringify({ id: null, ok: false, error: failure.toRecord() })}\n`);
  socket.destroySoon();
}
