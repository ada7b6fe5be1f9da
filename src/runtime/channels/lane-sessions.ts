/** Connections that belong to one channel between two linked nodes: opened when needed, closed when idle or when the link goes. */

import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Clock } from '../../ports/clock.ts';
import type { LinkSession } from '../../ports/link.ts';
import type { Log } from '../../ports/log.ts';
import type { Channel } from '../../protocol/channels/channel.ts';
import { encodeControl } from '../../wire/control.ts';
import type { ControlMessage } from '../../wire/control.ts';
import { createFrameWriter } from '../../wire/frame.ts';
import type { ChannelMeter } from './channel-meter.ts';
import type { Lanes } from './lanes.ts';

/** Why a connection is closed that nothing has used for a while. */
const idleReason = 'idle';

/** Connections of channels with one peer; more are refused. */
const laneSessionsPerPeerMax = 24;

/** What a channel's connection says first. */
export type ChannelHello = Extract<ControlMessage, { kind: 'channel' }>;

/** What the connections need of the link table. */
export interface LaneSessionsWorld {
  readonly clock: Clock;
  readonly log: Log;
  readonly meter: ChannelMeter;
  readonly idleMs: Millis;
  lanes(): Lanes;
  channel(name: string): Channel | undefined;
  /** The process at this end. */
  instance(): number;
  /** The process at the peer's end of the link that is in use; undefined: there is none. */
  instanceOf(peer: NodeId): number | undefined;
  dial(peer: NodeId): Promise<LinkSession>;
}

/** The connections. */
export interface LaneSessions {
  dial(peer: NodeId, channel: Channel): void;
  /** A fresh connection of the peer says that it is a channel's. False: it is not taken, hang up. */
  offered(session: LinkSession, hello: ChannelHello): boolean;
  has(session: LinkSession): boolean;
  /** A control message on one. */
  said(session: LinkSession, message: ControlMessage): void;
  /** Data came over it. */
  used(session: LinkSession): void;
  drained(session: LinkSession): boolean;
  /** False: it is none of these. */
  closed(session: LinkSession, reason: string): boolean;
  /** The link to the peer is over. */
  closeAll(peer: NodeId | undefined, reason: string): void;
}

interface Own {
  readonly session: LinkSession;
  readonly channel: Channel;
  isAccepted: boolean;
  usedAt: Millis;
  cancel: () => void;
}

/** Builds the table. */
export function createLaneSessions(world: LaneSessionsWorld): LaneSessions {
  const { clock, log, meter } = world;
  const open = new Map<LinkSession, Own>();

  function countOf(peer: NodeId): number {
    let count = 0;
    for (const session of open.keys()) if (session.peer === peer) count += 1;
    return count;
  }

  function add(session: LinkSession, channel: Channel, isAccepted: boolean): Own {
    const own: Own = { session, channel, isAccepted, usedAt: clock.now(), cancel: () => {} };
    open.set(session, own);
    meter.connected(channel, 1);
    return own;
  }

  function say(session: LinkSession, channel: Channel): void {
    const writer = createFrameWriter();
    const { name } = channel;
    writer.add(encodeControl({ kind: 'channel', name, instance: world.instance() }));
    const frame = writer.take();
    if (frame !== undefined) session.send('control', frame);
  }

  /** Only the end that dialled closes what is idle: one clock, not two. */
  function watch(own: Own): void {
    const at = own.usedAt + world.idleMs;
    own.cancel = clock.alarm(at, () => {
      if (own.usedAt + world.idleMs > clock.now()) watch(own);
      else own.session.close(idleReason);
    });
  }

  async function dial(peer: NodeId, channel: Channel): Promise<void> {
    try {
      const session = await world.dial(peer);
      if (world.instanceOf(peer) === undefined) {
        session.close('the link is gone');
        throw new Error('the link is gone');
      }
      const own = add(session, channel, false);
      say(session, channel);
      watch(own);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      log.debug({ peer, channel: channel.name, reason }, 'a channel has no connection of its own');
      world.lanes().failed(peer, channel);
    }
  }

  return {
    dial: (peer, channel) => void dial(peer, channel),
    offered(session, { name, instance }) {
      const channel = world.channel(name);
      const isSameProcess = world.instanceOf(session.peer) === instance;
      if (channel === undefined || !isSameProcess) return false;
      if (countOf(session.peer) >= laneSessionsPerPeerMax) return false;
      add(session, channel, true);
      say(session, channel);
      world.lanes().attached(session.peer, channel, session);
      return true;
    },
    has: (session) => open.has(session),
    said(session, message) {
      const own = open.get(session);
      if (own === undefined || own.isAccepted || message.kind !== 'channel') return;
      own.isAccepted = true;
      world.lanes().attached(session.peer, own.channel, session);
    },
    used(session) {
      const own = open.get(session);
      if (own !== undefined) own.usedAt = clock.now();
    },
    drained(session) {
      const own = open.get(session);
      if (own === undefined) return false;
      world.lanes().drained(session.peer, own.channel);
      return true;
    },
    closed(session, reason) {
      const own = open.get(session);
      if (own === undefined) return false;
      own.cancel();
      open.delete(session);
      meter.connected(own.channel, -1);
      const { peer } = session;
      if (!own.isAccepted) world.lanes().failed(peer, own.channel);
      // The other end closes what is idle; half the time without traffic is proof enough that it was.
      const isIdle = clock.now() - own.usedAt >= world.idleMs / 2;
      if (!isIdle)
        log.info({ peer, channel: own.channel.name, reason }, 'a channel lost its connection');
      world.lanes().detached(peer, own.channel, session, !isIdle);
      return true;
    },
    closeAll(peer, reason) {
      for (const session of open.keys()) {
        if (peer === undefined || session.peer === peer) session.close(reason);
      }
    },
  };
}
