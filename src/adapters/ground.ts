/** The ground floor of a node: front desk, local broker, links and the door for newcomers behind one TCP port. */

import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Address } from '../kernel/address.ts';
import { MycelError } from '../kernel/errors.ts';
import { isBackboneHost } from '../ports/backbone.ts';
import type { Broker, BrokerHandlers } from '../ports/broker.ts';
import type { LinkHandlers, LinkSession, LinkTransport } from '../ports/link.ts';
import type { Log } from '../ports/log.ts';
import type { Metrics } from '../ports/metrics.ts';
import type { Conversation } from '../wire/conversation.ts';
import type { BrokerBackbone } from './backbone/backbone.ts';
import type { GuestCredential } from './aedes/guest-rules.ts';
import { createLocalBroker } from './aedes/local-broker.ts';
import { findFreePort } from './free-port.ts';
import { connectSocket } from './link/connect-socket.ts';
import type { Connect } from './link/connect-socket.ts';
import { converse, dialConversation } from './link/converse.ts';
import { createFrontDesk, createGuestDesk } from './link/front-desk.ts';
import type { FrontDesk, FrontDeskHandlers } from './link/front-desk.ts';
import { remoteOf } from './link/link-acceptor.ts';
import { createLinkTransport } from './link/link-transport.ts';
import { magic } from './link/magic.ts';
import type { LinkCredentials } from './link/noise-stream.ts';
import { lookUpOwnHosts } from './system/interfaces.ts';

/** How to open the ground floor. */
export interface GroundOptions {
  /** The widest address it will listen on later; the port must be free there, on TCP and on UDP. */
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
  /** Fall back to a free port when `port` is taken. */
  readonly mayMove: boolean;
  /** Where any free port would do, this one first: the others look for the node there. */
  readonly keptPort?: number | undefined;
  /** Unique per broker start; never reused. */
  readonly brokerId: string;
  /** Where what slow clients have not read waits. */
  readonly backlogDirectory: string;
  readonly credentials: LinkCredentials;
  readonly handlers: BrokerHandlers &
    LinkHandlers & {
      opened(session: LinkSession): void;
      /** Someone knocks; the answer is the conversation to have, or undefined to hang up. */
      knocked(kind: 'invite' | 'open', remote: Address): Conversation<unknown> | undefined;
    };
  readonly log: Log;
  readonly metrics: Metrics;
  /** Carries what TCP cannot reach; undefined: nothing does. */
  readonly backbone?: Pick<BrokerBackbone, 'connect' | 'onStream'> | undefined;
}

/** The open ground floor. */
export interface SocketGround {
  readonly port: number;
  readonly broker: Broker;
  readonly links: LinkTransport;
  /** Listens on these and loopback only, and lets go of links over addresses that this computer has no more. */
  openTo(hosts: readonly string[]): Promise<void>;
  openGuests(
    listen: { readonly port: number; readonly hosts: readonly string[] } | undefined,
  ): Promise<number | undefined>;
  setGuests(accounts: readonly GuestCredential[]): void;
  knock<Result>(
    kind: 'invite' | 'open',
    addresses: readonly Address[],
    start: () => Conversation<Result>,
    signal: AbortSignal,
  ): Promise<{ readonly result: Result; readonly remote: Address }>;
  stop(): Promise<void>;
}

const loopback = '127.0.0.1';

/**
 * Opens the broker and listens on loopback.
 * @throws {MycelError} MYCEL_PORT_TAKEN when the port is in use and `mayMove` is false.
 */
export async function openGround(options: GroundOptions): Promise<SocketGround> {
  const { handlers, log, metrics, backbone } = options;
  const connect: Connect = (address, signal) =>
    backbone !== undefined && isBackboneHost(address.host)
      ? backbone.connect(address, signal)
      : connectSocket(address, signal);
  const broker = await createLocalBroker({
    brokerId: options.brokerId,
    backlogDirectory: options.backlogDirectory,
    handlers,
    log,
    metrics,
  });
  const links = createLinkTransport({
    credentials: options.credentials,
    handlers,
    log,
    metrics,
    connect,
  });
  let guestDesks: { readonly port: number; stop(): Promise<void> }[] = [];

  function join(socket: Duplex, kind: 'invite' | 'open'): void {
    const { host, port } = remoteOf(socket);
    const remote = { host: plainHost(host), port };
    const conversation = handlers.knocked(kind, remote);
    if (conversation === undefined) {
      metrics.drop('front-desk', `${kind} join not open`);
      socket.destroy();
      return;
    }
    const opening = kind === 'invite' ? magic.join : magic.openJoin;
    converse(socket, conversation, { magic: opening }).catch((error: unknown) => {
      metrics.drop('front-desk', 'join failed');
      log.info({ remote: remote.host, reason: reasonOf(error) }, 'a newcomer did not get in');
    });
  }

  let desk: FrontDesk;
  try {
    desk = await openDesk(options, {
      plain: (socket) => broker.acceptLocal(socket),
      link: (socket) => links.accept(socket),
      join,
    });
  } catch (error) {
    await broker.stop();
    throw error;
  }

  backbone?.onStream((stream, opening) => {
    if (opening === magic.link) links.accept(stream);
    else if (opening === magic.join) join(stream, 'invite');
    else {
      // An open window is for boards nearby.
      metrics.drop('backbone', 'unknown opening');
      stream.destroy();
    }
  });

  return {
    port: desk.port,
    broker,
    links,
    async openTo(hosts) {
      links.closeMoved(lookUpOwnHosts());
      const wanted = new Set([loopback, ...hosts]);
      for (const host of desk.hosts()) if (!wanted.has(host)) await desk.close(host);
      for (const host of wanted) await desk.open(host);
    },
    async openGuests(listen) {
      await Promise.all(guestDesks.map((guestDesk) => guestDesk.stop()));
      guestDesks = [];
      if (listen === undefined) return undefined;
      let { port } = listen;
      for (const host of listen.hosts) {
        const accept = (socket: Socket): void => broker.acceptGuest(socket);
        const guestDesk = await createGuestDesk({ host, port, accept, log, metrics });
        guestDesks.push(guestDesk);
        port = guestDesk.port;
      }
      return port;
    },
    setGuests: (accounts) => broker.setGuests(accounts),
    knock: (kind, addresses, start, signal) =>
      dialConversation(
        addresses,
        kind === 'invite' ? magic.join : magic.openJoin,
        start,
        signal,
        connect,
      ),
    async stop() {
      await Promise.all(guestDesks.map((guestDesk) => guestDesk.stop()));
      await desk.stop();
      await links.stop();
      await broker.stop();
    },
  };
}

/** A node that begins alone listens on loopback only, yet on a number that it can keep when it opens to the network. */
async function openDesk(options: GroundOptions, handlers: FrontDeskHandlers): Promise<FrontDesk> {
  const { log, metrics, port, host } = options;
  const open = async (wanted: number): Promise<FrontDesk> => {
    const free = await findFreePort({ host, port: wanted });
    return createFrontDesk({ hosts: [loopback], port: free, handlers, log, metrics });
  };
  const kept = options.keptPort ?? 0;
  const wishes = port === 0 ? [kept, 0] : options.mayMove ? [port, kept, 0] : [port];
  for (const wish of wishes.slice(0, -1)) {
    try {
      return await open(wish);
    } catch (error) {
      if (!MycelError.is(error) || error.code !== 'MYCEL_PORT_TAKEN') throw error;
      log.info({ port: wish }, 'the port is taken; this node takes another one');
    }
  }
  return open(wishes.at(-1) ?? 0);
}

/** An IPv4 address that arrived on a dual-stack socket, without its IPv6 wrapping. */
function plainHost(host: string): string {
  return host.replace(/^::ffff:/, '');
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
