/** Links between nodes: MQTT in Noise_XX over TCP, dialled and accepted. */

import { setMaxListeners } from 'node:events';
import type { Duplex } from 'node:stream';
import { nearFirst } from '../../ports/backbone.ts';
import type { LinkSession, LinkTransport } from '../../ports/link.ts';
import { dialFailure, raceAddresses } from './happy-eyeballs.ts';
import { createLinkAcceptor } from './link-acceptor.ts';
import type { LinkWorld } from './link-acceptor.ts';
import { dialAddress } from './link-dialler.ts';
import type { OpenLink } from './link-session.ts';

/** A transport with its accepting door. */
export interface SocketLinkTransport extends LinkTransport {
  /** Serves a socket that opens with the link magic (still unread). `handlers.opened` follows when it is a member's. */
  accept(socket: Duplex): void;
  /** The open sessions, dialled and accepted. */
  sessions(): readonly LinkSession[];
  /**
   * Closes the sessions of addresses that `isOurs` denies: nothing comes through them any more, and TCP alone would
   * take minutes to notice.
   */
  closeMoved(isOurs: (host: string) => boolean): void;
  /** Closes everything. Later dials fail. */
  stop(): Promise<void>;
}

/**
 * Builds a transport. mqtt.js and aedes are loaded with the first link.
 *
 * `handlers.opened` is called for accepted links only; a dialled one is what `dial` gives, and its first frame is
 * reported in a later turn than that.
 */
export function createLinkTransport(world: LinkWorld): SocketLinkTransport {
  const { metrics } = world;
  const open = new Map<LinkSession, OpenLink>();
  const dials = new Set<AbortController>();
  let isStopped = false;

  const tracked: LinkWorld = {
    ...world,
    handlers: {
      frame: (session, lane, bytes) => world.handlers.frame(session, lane, bytes),
      drained: (session) => world.handlers.drained(session),
      opened: (session) => world.handlers.opened(session),
      closed(session, reason) {
        // A session that lost the race of the addresses was never anybody's.
        if (!open.delete(session)) return;
        metrics.gauge('link.open', open.size);
        world.handlers.closed(session, reason);
      },
    },
  };
  const track = (link: OpenLink): void => {
    open.set(link.session, link);
    metrics.gauge('link.open', open.size);
  };
  const acceptor = createLinkAcceptor(tracked, track);

  return {
    async dial(expected, addresses, signal, use = 'link') {
      const own = new AbortController();
      const giveUp = (): void => own.abort();
      if (isStopped || signal.aborted) giveUp();
      // A node dials dozens of peers at once under one signal; Node takes eleven for a leak.
      setMaxListeners(0, signal);
      signal.addEventListener('abort', giveUp, { once: true });
      dials.add(own);
      try {
        const link = await raceAddresses(
          nearFirst(addresses),
          own.signal,
          (address, stop) => dialAddress(tracked, expected, address, { signal: stop, use }),
          (late) => late.lost('another address was faster'),
        );
        if (link.isClosed()) throw new Error('the peer closed the connection');
        track(link);
        return link.session;
      } catch (error) {
        metrics.drop('link', 'dial-failed');
        throw dialFailure('MYCEL_LINK_FAILED', addresses, error);
      } finally {
        dials.delete(own);
        signal.removeEventListener('abort', giveUp);
      }
    },
    accept(socket) {
      if (isStopped) socket.destroy();
      else acceptor.accept(socket);
    },
    sessions: () => [...open.keys()],
    closeMoved(isOurs) {
      for (const { localHost, lost } of open.values()) {
        if (localHost !== undefined && !isOurs(localHost))
          lost('this computer has another address');
      }
    },
    async stop() {
      isStopped = true;
      for (const own of dials) own.abort();
      for (const link of open.values()) link.lost('the node stopped');
      await acceptor.stop();
    },
  };
}
