/** The one TCP port of a node: looks at the first bytes of a connection and shows it to the right door. */

import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { MycelError } from '../../kernel/errors.ts';
import type { Log } from '../../ports/log.ts';
import type { Metrics } from '../../ports/metrics.ts';
import { magic, magicBytes } from './magic.ts';

/** The bounds of a front desk. */
export interface FrontDeskLimits {
  /** Time to show the first bytes, in ms. @default 3000 */
  readonly openingMs: number;
  /** Connections of one remote address that have not shown them yet; more are closed. @default 4 */
  readonly pendingPerAddress: number;
  /** Connections in all; more are closed. @default 512 */
  readonly connections: number;
}

/** The defaults. */
export const frontDeskLimits: FrontDeskLimits = {
  openingMs: 3000,
  pendingPerAddress: 4,
  connections: 512,
};

/** Pending connections allowed from this very computer: a script may start a hundred clients at once. */
const pendingFromLoopback = 256;

/** The doors. Each gets the socket with nothing read from it. */
export interface FrontDeskHandlers {
  /** A plain MQTT client on this computer. */
  plain(socket: Socket): void;
  link(socket: Socket): void;
  join(socket: Socket, kind: 'invite' | 'open'): void;
}

/** What a front desk needs. */
export interface FrontDeskConfig {
  /** Addresses to listen on at first: `127.0.0.1` for a provisional mesh, `0.0.0.0` or `::` for a real one. */
  readonly hosts: readonly string[];
  /** 0 picks a free one, the same for every host. */
  readonly port: number;
  readonly handlers: FrontDeskHandlers;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly limits?: Partial<FrontDeskLimits>;
}

/** An open front desk. */
export interface FrontDesk {
  readonly port: number;
  hosts(): readonly string[];
  /**
   * Listens on one more address, on the same port. Opening it twice does nothing.
   * @throws {MycelError} MYCEL_PORT_TAKEN, MYCEL_LISTEN_FAILED
   */
  open(host: string): Promise<void>;
  /** Stops listening there. Connections that were accepted live on. */
  close(host: string): Promise<void>;
  /** Stops listening and closes every connection that no door has taken yet. */
  stop(): Promise<void>;
}

/** Listens. @throws {MycelError} MYCEL_PORT_TAKEN, MYCEL_LISTEN_FAILED */
export async function createFrontDesk(config: FrontDeskConfig): Promise<FrontDesk> {
  const limits: FrontDeskLimits = { ...frontDeskLimits, ...config.limits };
  const { handlers, metrics } = config;
  const servers = new Map<string, Server>();
  const desk = createDesk(limits, metrics, (socket, opening) => {
    if (opening === magic.link) handlers.link(socket);
    else if (opening === magic.join) handlers.join(socket, 'invite');
    else if (opening === magic.openJoin) handlers.join(socket, 'open');
    // The first byte of a CONNECT. Plain MQTT has no login, so it is for programs of this computer only.
    else if (opening.charCodeAt(0) !== 0x10) return 'unknown-opening';
    else if (!isLoopback(socket.remoteAddress)) return 'plain-from-lan';
    else handlers.plain(socket);
    return undefined;
  });
  let { port } = config;

  async function open(host: string): Promise<void> {
    if (servers.has(host)) return;
    const server = await listen(host, port, desk.accept);
    servers.set(host, server);
    port = (server.address() as AddressInfo).port;
    server.on('error', (error: Error) => {
      config.log.warn({ host, port, reason: error.message }, 'a listener failed');
    });
  }

  async function close(host: string): Promise<void> {
    const server = servers.get(host);
    if (server === undefined) return;
    servers.delete(host);
    // The callback waits for every accepted connection; the port itself is free at once.
    server.close();
  }

  try {
    for (const host of config.hosts) await open(host);
  } catch (error) {
    for (const host of servers.keys()) await close(host);
    throw error;
  }

  return {
    get port() {
      return port;
    },
    hosts: () => [...servers.keys()],
    open,
    close,
    async stop() {
      for (const host of servers.keys()) await close(host);
      desk.stop();
    },
  };
}

/** A listener for guests only: the same patience and bounds, and nothing but MQTT is let in. */
export async function createGuestDesk(
  config: Omit<FrontDeskConfig, 'handlers' | 'hosts'> & {
    readonly host: string;
    readonly accept: (socket: Socket) => void;
  },
): Promise<{ readonly port: number; stop(): Promise<void> }> {
  const limits: FrontDeskLimits = { ...frontDeskLimits, ...config.limits };
  const desk = createDesk(limits, config.metrics, (socket, opening) => {
    if (opening.charCodeAt(0) !== 0x10) return 'unknown-opening';
    config.accept(socket);
    return undefined;
  });
  const server = await listen(config.host, config.port, desk.accept);
  server.on('error', (error: Error) => {
    config.log.warn({ port: config.port, reason: error.message }, 'the guest listener failed');
  });
  return {
    port: (server.address() as AddressInfo).port,
    async stop() {
      server.close();
      desk.stop();
    },
  };
}

/** Whether the address is this computer's own loopback. */
export function isLoopback(address: string | undefined): boolean {
  if (address === undefined) return false;
  return address === '::1' || /^(::ffff:)?127\./.test(address);
}

/** Holds connections until they show what they are; `show` gives the reason when there is no door. */
function createDesk(
  limits: FrontDeskLimits,
  metrics: Metrics,
  show: (socket: Socket, opening: string) => string | undefined,
): { accept(socket: Socket): void; stop(): void } {
  const pending = new Map<string, number>();
  const waiting = new Set<Socket>();
  let openCount = 0;

  function settle(socket: Socket, address: string): void {
    if (!waiting.delete(socket)) return;
    const left = (pending.get(address) ?? 1) - 1;
    if (left === 0) pending.delete(address);
    else pending.set(address, left);
  }

  function turnAway(socket: Socket, reason: string): void {
    metrics.drop('front-desk', reason);
    socket.destroy();
  }

  function accept(socket: Socket): void {
    // From here to its door, and after it, no error of a socket may end the process.
    socket.on('error', () => {});
    const address = socket.remoteAddress;
    if (address === undefined) return void socket.destroy();
    const most = isLoopback(address) ? pendingFromLoopback : limits.pendingPerAddress;
    const count = pending.get(address) ?? 0;
    if (openCount >= limits.connections) return turnAway(socket, 'too-many-connections');
    if (count >= most) return turnAway(socket, 'too-many-pending');
    openCount += 1;
    pending.set(address, count + 1);
    waiting.add(socket);

    const late = setTimeout(() => turnAway(socket, 'no-opening'), limits.openingMs);
    socket.once('close', () => {
      openCount -= 1;
      clearTimeout(late);
      settle(socket, address);
    });
    let seenBytes = 0;
    const onReadable = (): void => {
      // Putting bytes back is announced as well: without this, two bytes of a magic would spin for ever.
      if (socket.readableLength === seenBytes) return;
      seenBytes = socket.readableLength;
      const opening = peek(socket);
      if (opening === undefined) return;
      socket.off('readable', onReadable);
      clearTimeout(late);
      settle(socket, address);
      const problem = show(socket, opening);
      if (problem !== undefined) turnAway(socket, problem);
    };
    socket.on('readable', onReadable);
    socket.once('end', () => {
      if (waiting.has(socket)) turnAway(socket, 'no-opening');
    });
  }

  return {
    accept,
    stop() {
      for (const socket of waiting) socket.destroy();
    },
  };
}

/** The first bytes, put back; undefined when there are too few to tell. */
function peek(socket: Socket): string | undefined {
  const chunk = socket.read() as Buffer | null;
  if (chunk === null) return undefined;
  socket.unshift(chunk);
  const opening = chunk.subarray(0, magicBytes).toString('latin1');
  const isOurs = Object.values(magic).some((one) => one.startsWith(opening));
  return isOurs && opening.length < magicBytes ? undefined : opening;
}

function listen(host: string, port: number, accept: (socket: Socket) => void): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer({ noDelay: true, pauseOnConnect: false }, accept);
    server.once('error', (error: NodeJS.ErrnoException) => {
      const code = error.code === 'EADDRINUSE' ? 'MYCEL_PORT_TAKEN' : 'MYCEL_LISTEN_FAILED';
      reject(new MycelError(code, { host, port, reason: `${host}:${port}` }, { cause: error }));
    });
    server.listen({ host, port, ipv6Only: false }, () => {
      server.removeAllListeners('error');
      resolve(server);
    });
  });
}
