/** The accepting end of links: an aedes of its own that never meets a plain client. */

import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Aedes } from 'aedes';
import type { AuthenticateError, PublishPacket } from 'aedes';
import type { Address } from '../../kernel/address.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { frameBytesMax, linkBounds } from '../../ports/link.ts';
import type { LinkHandlers, LinkSession } from '../../ports/link.ts';
import type { Log } from '../../ports/log.ts';
import type { Metrics } from '../../ports/metrics.ts';
import type { AedesClient } from '../aedes/aedes-types.ts';
import { createFrameGuard } from '../mqtt/frame-guard.ts';
import type { GatheringStream } from '../mqtt/gathering-stream.ts';
import type { Connect } from './connect-socket.ts';
import { isRightLogin } from './link-login.ts';
import { createLinkInlet } from './link-inlet.ts';
import type { LinkInlet } from './link-inlet.ts';
import { createLinkSession, linkHighWaterBytes } from './link-session.ts';
import type { OpenLink } from './link-session.ts';
import { createNoiseStream, reasonOf, shakeHands } from './noise-stream.ts';
import type { LinkCredentials, ProvedPeer } from './noise-stream.ts';

/** Room for a frame's topic and headers in one MQTT packet, in bytes. */
export const linkPacketBytesMax: number = frameBytesMax + 64;

/** Time between the handshake and the login, in ms. */
const loginMs = 3000;

/**
 * Connections of one peer open at once; the oldest is closed beyond it. The link, one more while the topology is switched
 * or two have crossed, and those of channels.
 */
const linksOfPeerMax = 6;

/** What both ends of links need. */
export interface LinkWorld {
  readonly credentials: LinkCredentials;
  readonly handlers: LinkHandlers & { opened(session: LinkSession): void };
  readonly log: Log;
  readonly metrics: Metrics;
  /** Makes connections. @default TCP */
  readonly connect?: Connect;
}

/** Accepts links. */
export interface LinkAcceptor {
  accept(socket: Duplex): void;
  stop(): Promise<void>;
}

interface Incoming {
  readonly peer: ProvedPeer;
  readonly stream: GatheringStream;
  readonly remote: Address;
  readonly localHost: string | undefined;
  readonly inlet: LinkInlet;
  link: OpenLink | undefined;
}

/** Builds an acceptor; aedes is loaded with the first link. `track` learns every session. */
export function createLinkAcceptor(
  world: LinkWorld,
  track: (link: OpenLink) => void,
): LinkAcceptor {
  const { credentials, handlers, log, metrics } = world;
  const incoming = new WeakMap<object, Incoming>();
  /** Peers with an open connection, oldest first; those that closed are forgotten with the next one that opens. */
  const accepted = new Map<NodeId, readonly OpenLink[]>();
  let broker: Promise<Aedes> | undefined;
  let isStopped = false;

  function refuse(remote: string, error: unknown): void {
    metrics.drop('link', 'refused');
    log.info({ remote, reason: reasonOf(error) }, 'refused a link');
  }

  async function welcome(socket: Duplex): Promise<void> {
    const remote = remoteOf(socket);
    const localHost = socket instanceof Socket ? socket.localAddress : undefined;
    const [peer, aedes] = await Promise.all([
      shakeHands(socket, credentials, false),
      (broker ??= startBroker(incoming)),
    ]);
    if (isStopped || socket.destroyed) return void socket.destroy();
    const guard = createFrameGuard({ sender: 'client', packetBytesMax: linkPacketBytesMax });
    const inlet = createLinkInlet(() => stream.destroy(new Error('it speaks before its login')));
    const stream = createNoiseStream(socket, peer.session, guard, linkHighWaterBytes, {
      frame: inlet.took,
    });
    const client = aedes.handle(stream) as unknown as AedesClient;
    const state: Incoming = { peer, stream, remote, localHost, inlet, link: undefined };
    incoming.set(client, state);
    client.waitForDrain = (callback) => stream.whenRelieved(() => callback(null));
    stream.once('error', (error: Error) => {
      if (state.link === undefined) refuse(peer.node, error);
      else state.link.lost(error.message);
    });
    stream.once('close', () => state.link?.lost('the peer closed the connection'));
  }

  async function startBroker(states: WeakMap<object, Incoming>): Promise<Aedes> {
    const { Aedes: Class } = await import('aedes');
    const aedes = await Class.createBroker({
      concurrency: 1000,
      connectTimeout: loginMs,
      authenticate: (client, username, password, done) => {
        const state = states.get(client);
        const isRight =
          state !== undefined &&
          isRightLogin(credentials, state.peer, { clientId: client.id, username, password });
        if (isRight) done(null, true);
        else
          done(
            Object.assign(new Error('wrong login'), { returnCode: 5 }) as AuthenticateError,
            false,
          );
      },
      authorizePublish: (_client, _packet, done) => done(new Error('not a frame')),
      authorizeSubscribe: (_client, _subscription, done) => done(null, null),
    });
    // Frames were taken out before, and nothing else is published here: not its own topics either.
    aedes.publish = ((_packet: PublishPacket, client: unknown, done?: () => void) => {
      if (typeof client === 'function') return void client();
      done?.();
    }) as Aedes['publish'];
    aedes.on('clientReady', (client) => {
      const state = states.get(client);
      if (state !== undefined) open(state, client as unknown as AedesClient);
    });
    aedes.on('clientError', (client, error) => states.get(client)?.link?.lost(error.message));
    aedes.on('connectionError', (client, error) => {
      refuse(states.get(client)?.peer.node ?? 'unknown', error);
    });
    return aedes;
  }

  function makeRoom(fresh: OpenLink): void {
    const { peer } = fresh.session;
    const open = (accepted.get(peer) ?? []).filter((one) => !one.isClosed());
    if (open.length >= linksOfPeerMax) open.shift()?.session.close(linkBounds.tooMany);
    for (const [node, links] of accepted) {
      if (links.every((one) => one.isClosed())) accepted.delete(node);
    }
    accepted.set(peer, [...open, fresh]);
  }

  function open(state: Incoming, client: AedesClient): void {
    const { peer, stream, remote, localHost } = state;
    const link = createLinkSession(
      { peer: peer.node, isDialler: false, certificate: peer.certificate, remote },
      localHost,
      { stream, end: () => client.close() },
      { handlers, metrics },
    );
    state.link = link;
    track(link);
    makeRoom(link);
    handlers.opened(link.session);
    state.inlet.open(link);
  }

  return {
    accept(socket) {
      socket.on('error', () => {});
      welcome(socket).catch((error: unknown) => {
        refuse(remoteOf(socket).host, error);
        // A failed handshake closes its socket itself, if need be after the last words.
        if (!socket.writableEnded) socket.destroy();
      });
    },
    async stop() {
      isStopped = true;
      const aedes = await broker;
      if (aedes !== undefined) await new Promise<void>((resolve) => aedes.close(resolve));
    },
  };
}

/** Where a connection comes from: sockets and streams of a backbone say it, an in-process stream has no address. */
export function remoteOf(
  socket: Duplex & { readonly remoteAddress?: string; readonly remotePort?: number },
): Address {
  const unknown = socket instanceof Socket ? 'unknown' : 'in-process';
  return { host: socket.remoteAddress ?? unknown, port: socket.remotePort ?? 0 };
}
