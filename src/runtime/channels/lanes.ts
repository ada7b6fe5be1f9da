/** The lanes to each peer: one a channel, on the link's own connection until there is enough traffic for one of its own. */

import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Clock } from '../../ports/clock.ts';
import type { LinkSession } from '../../ports/link.ts';
import type { Channel } from '../../protocol/channels/channel.ts';
import { createLaneQueue } from '../../protocol/channels/lane-queue.ts';
import type { LaneQueue } from '../../protocol/channels/lane-queue.ts';
import { createFrameWriter } from '../../wire/frame.ts';
import type { FrameWriter } from '../../wire/frame.ts';
import { barrierFrame, controlPrefix } from '../../wire/special-frame.ts';
import { createDeflater } from './deflater.ts';
import type { Deflater } from './deflater.ts';
import type { ChannelLane, ChannelMeter } from './channel-meter.ts';

/** Traffic of one lane within a second, and bytes waiting on the shared connection, for which a connection is opened. */
export const laneOpensAtBytes: number = 256 * 1024;
export const laneOpensAtQueuedBytes: number = 64 * 1024;

/** How long a lane stays on the shared connection after its own could not be opened, or broke, in ms. */
const retryMs: Millis = 10_000;

/** Marks what is a control record among the entries of a queue: no topic begins with it. */
const controlMark = '\u0000';

/** What a lane needs of the link table. */
export interface LanesWorld {
  readonly clock: Clock;
  readonly meter: ChannelMeter;
  /** Hands a frame of data to a session. False: it has no room for another one. */
  send(session: LinkSession, frame: Uint8Array): boolean;
  /** The session that speaks for a peer, while it may be written to; undefined: there is none. */
  main(peer: NodeId): LinkSession | undefined;
  /** Whether that session is above its high-water mark, and the note that it is. */
  isMainFull(peer: NodeId): boolean;
  mainFull(peer: NodeId): void;
  /** Opens a connection for the channel; `attached` or `failed` follows. */
  dial(peer: NodeId, channel: Channel): void;
  /** Calls back when everything sent to the peer on this connection so far has come; never when it breaks. */
  barrier(peer: NodeId, passed: () => void): number;
  /** A connection of its own was written to. */
  used(session: LinkSession): void;
  /** Calls `flush` at the end of this turn of the loop. */
  flushSoon(): void;
  /** A lane that refused something has room again. */
  drained(peer: NodeId): void;
  /** A record for the peer was lost in the queue of its channel. */
  lost(peer: NodeId, channel: Channel, record: Uint8Array): void;
  /** What was under way on a lane to the peer may be lost. */
  broken(peer: NodeId): void;
}

/** The lanes of a node. */
export interface Lanes {
  /** Copies a record into the lane. False: not taken, `drained` follows. */
  send(peer: NodeId, channel: Channel, record: Uint8Array, topicOf: () => string): boolean;
  /** Copies a control record into the lane, to be read as one at the other end. False: not taken, and lost. */
  sendControl(peer: NodeId, channel: Channel, record: Uint8Array): boolean;
  queuedBytes(peer: NodeId, channel: Channel): number;
  /** The channel towards each peer that it was used for. */
  view(channel: Channel): readonly ChannelLane[];
  flush(): void;
  /** The link's own session takes bytes again. */
  mainDrained(peer: NodeId): void;
  /** A connection for the channel is open and both ends know it. */
  attached(peer: NodeId, channel: Channel, session: LinkSession): void;
  failed(peer: NodeId, channel: Channel): void;
  /** The connection takes bytes again. */
  drained(peer: NodeId, channel: Channel): void;
  /** The connection is gone; `isBroken`: not because nothing needed it. */
  detached(peer: NodeId, channel: Channel, session: LinkSession, isBroken: boolean): void;
  /** Another session speaks for the peer. */
  moved(peer: NodeId): void;
  /** No session speaks for the peer any more: what waited is lost. */
  unlinked(peer: NodeId): void;
}

interface Lane {
  readonly peer: NodeId;
  readonly channel: Channel;
  readonly queue: LaneQueue;
  readonly records: FrameWriter;
  readonly controls: FrameWriter;
  /** Made anew when the channel gets another threshold. */
  deflater: Deflater | undefined;
  deflatesAbove: number | undefined;
  own: LinkSession | undefined;
  /** `switching`: what went over the shared connection must come first, or the newer overtakes the older. */
  phase: 'shared' | 'dialling' | 'switching' | 'own';
  isOwnFull: boolean;
  isDirty: boolean;
  hasRefused: boolean;
  recentBytes: number;
  recentAt: Millis;
  retryAt: Millis;
}

/** Builds the lanes. */
export function createLanes(world: LanesWorld): Lanes {
  const { clock, meter } = world;
  const byPeer = new Map<NodeId, Map<Channel, Lane>>();
  let dirty: Lane[] = [];
  let controlCount = 0;

  function laneOf(peer: NodeId, channel: Channel): Lane {
    let lanes = byPeer.get(peer);
    if (lanes === undefined) {
      lanes = new Map();
      byPeer.set(peer, lanes);
    }
    let lane = lanes.get(channel);
    if (lane === undefined) {
      lane = {
        peer,
        channel,
        queue: createLaneQueue(channel, (bytes, key) => {
          if (!key.startsWith(controlMark)) world.lost(peer, channel, bytes);
        }),
        records: createFrameWriter(),
        controls: createFrameWriter({ prefix: controlPrefix }),
        deflater: undefined,
        deflatesAbove: undefined,
        own: undefined,
        phase: 'shared',
        isOwnFull: false,
        isDirty: false,
        hasRefused: false,
        recentBytes: 0,
        recentAt: 0,
        retryAt: 0,
      };
      lanes.set(channel, lane);
    }
    return lane;
  }

  function isWritable(lane: Lane): boolean {
    if (lane.phase === 'own') return !lane.isOwnFull;
    return lane.phase !== 'switching' && !world.isMainFull(lane.peer);
  }

  function write(lane: Lane, record: Uint8Array, isControl: boolean): void {
    const full = (isControl ? lane.controls : lane.records).add(record);
    if (full !== undefined) emit(lane, full, isControl);
    if (lane.isDirty) return;
    lane.isDirty = true;
    dirty.push(lane);
    world.flushSoon();
  }

  function emit(lane: Lane, frame: Uint8Array, isControl: boolean): void {
    const { peer } = lane;
    const session = lane.phase === 'own' ? lane.own : world.main(peer);
    if (session === undefined) return;
    const bytes = isControl ? frame : deflated(lane, frame);
    meter.sent(lane.channel, bytes.length);
    const hasRoom = world.send(session, bytes);
    if (lane.phase === 'own') {
      world.used(session);
      if (!hasRoom) lane.isOwnFull = true;
      return;
    }
    if (!hasRoom) world.mainFull(peer);
    considerOpening(lane, session, bytes.length);
  }

  function deflated(lane: Lane, frame: Uint8Array): Uint8Array {
    const { compressAboveBytes } = lane.channel;
    if (lane.deflatesAbove !== compressAboveBytes) {
      lane.deflatesAbove = compressAboveBytes;
      lane.deflater =
        compressAboveBytes === undefined ? undefined : createDeflater(compressAboveBytes);
    }
    return lane.deflater?.deflate(frame) ?? frame;
  }

  function considerOpening(lane: Lane, main: LinkSession, bytes: number): void {
    if (lane.phase !== 'shared' || lane.channel.priority === 0) return;
    const now = clock.now();
    if (now - lane.recentAt > 1_000) {
      lane.recentAt = now;
      lane.recentBytes = 0;
    }
    lane.recentBytes += bytes;
    if (now < lane.retryAt) return;
    const isBusy =
      lane.recentBytes >= laneOpensAtBytes || main.queuedBytes() >= laneOpensAtQueuedBytes;
    if (!isBusy) return;
    lane.phase = 'dialling';
    world.dial(lane.peer, lane.channel);
  }

  function flushLane(lane: Lane): void {
    lane.isDirty = false;
    const controls = lane.controls.take();
    if (controls !== undefined) emit(lane, controls, true);
    const records = lane.records.take();
    if (records !== undefined) emit(lane, records, false);
  }

  function pump(lane: Lane): void {
    let entry = lane.queue.peek();
    if (entry !== undefined) {
      const now = clock.now();
      while (entry !== undefined && isWritable(lane)) {
        lane.queue.shift();
        meter.waited(lane.channel, now - entry.at);
        write(lane, entry.bytes, entry.key.startsWith(controlMark));
        entry = lane.queue.peek();
      }
    }
    if (lane.hasRefused && isWritable(lane)) {
      lane.hasRefused = false;
      world.drained(lane.peer);
    }
  }

  function put(lane: Lane, record: Uint8Array, isControl: boolean, keyOf: () => string): boolean {
    const { queue, channel } = lane;
    if (queue.count() === 0 && isWritable(lane)) {
      meter.took(channel, record.length);
      write(lane, record, isControl);
      return true;
    }
    const own = new Uint8Array(record);
    const { isTaken, lost, superseded } = queue.push(own, keyOf(), clock.now());
    if (isTaken) meter.took(channel, record.length);
    if (lost > 0) {
      meter.dropped(channel, 'superseded', superseded);
      const victim = channel.overflow === 'drop-newest' ? 'newest' : 'oldest';
      meter.dropped(channel, victim, lost - superseded);
    }
    if (!isTaken) lane.hasRefused = true;
    return isTaken;
  }

  function settle(lane: Lane): void {
    lane.phase = 'own';
    lane.isOwnFull = false;
    pump(lane);
  }

  return {
    send: (peer, channel, record, topicOf) => {
      if (world.main(peer) === undefined) return false;
      return put(laneOf(peer, channel), record, false, topicOf);
    },
    sendControl(peer, channel, record) {
      if (world.main(peer) === undefined) return false;
      controlCount += 1;
      const lane = laneOf(peer, channel);
      const isTaken = put(lane, record, true, () => `${controlMark}${controlCount}`);
      if (!isTaken) meter.dropped(channel, 'refused', 1);
      return isTaken;
    },
    queuedBytes(peer, channel) {
      const lane = byPeer.get(peer)?.get(channel);
      const session = lane?.phase === 'own' ? lane.own : world.main(peer);
      return (lane?.queue.bytes() ?? 0) + (session?.queuedBytes() ?? 0);
    },
    view: (channel) =>
      [...byPeer].flatMap(([peer, lanes]) => {
        const lane = lanes.get(channel);
        if (lane === undefined) return [];
        const { queue, phase } = lane;
        const isOpening = phase === 'dialling' || phase === 'switching';
        const connection = isOpening ? 'opening' : phase;
        return [{ peer, connection, queuedCount: queue.count(), queuedBytes: queue.bytes() }];
      }),
    flush() {
      const lanes = dirty;
      dirty = [];
      if (lanes.length > 1) {
        lanes.sort((left, right) => left.channel.priority - right.channel.priority);
      }
      for (const lane of lanes) flushLane(lane);
    },
    mainDrained(peer) {
      const lanes = [...(byPeer.get(peer)?.values() ?? [])];
      lanes.sort((left, right) => left.channel.priority - right.channel.priority);
      for (const lane of lanes) if (lane.phase !== 'own') pump(lane);
    },
    attached(peer, channel, session) {
      const lane = laneOf(peer, channel);
      if (lane.own !== undefined) return;
      flushLane(lane);
      lane.own = session;
      lane.phase = 'switching';
      const token = world.barrier(peer, () => {
        if (lane.own === session && lane.phase === 'switching') settle(lane);
      });
      world.main(peer)?.send('data', barrierFrame(token));
    },
    failed(peer, channel) {
      const lane = byPeer.get(peer)?.get(channel);
      if (lane?.phase !== 'dialling') return;
      lane.phase = 'shared';
      lane.retryAt = clock.now() + retryMs;
    },
    drained(peer, channel) {
      const lane = byPeer.get(peer)?.get(channel);
      if (lane === undefined) return;
      lane.isOwnFull = false;
      pump(lane);
    },
    detached(peer, channel, session, isBroken) {
      const lane = byPeer.get(peer)?.get(channel);
      if (lane?.own !== session) return;
      lane.own = undefined;
      lane.phase = 'shared';
      lane.isOwnFull = false;
      if (isBroken) {
        lane.retryAt = clock.now() + retryMs;
        world.broken(peer);
      }
      pump(lane);
    },
    moved(peer) {
      for (const lane of byPeer.get(peer)?.values() ?? []) {
        // The barrier went with the old session; what it stood for may be lost, and is sent again if it is owed.
        if (lane.phase === 'switching') settle(lane);
        else pump(lane);
      }
    },
    unlinked(peer) {
      for (const lane of byPeer.get(peer)?.values() ?? []) {
        const lost = lane.queue.clear();
        meter.dropped(lane.channel, 'unlinked', lost);
      }
      byPeer.delete(peer);
      dirty = dirty.filter((lane) => lane.peer !== peer);
    },
  };
}
