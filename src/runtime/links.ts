/** The sessions of this node's links: frames in and out, round-trip times. Who is linked is the overlay's to decide. */

import { BoundedMap } from '../kernel/bounded-map.ts';
import type { Millis } from '../kernel/core.ts';
import type { NodeId } from '../kernel/ids.ts';
import { linkBounds } from '../ports/link.ts';
import type { Lane, LinkSession } from '../ports/link.ts';
import { decodeControl, encodeControl } from '../wire/control.ts';
import type { ControlMessage } from '../wire/control.ts';
import { readEnvelope } from '../wire/envelope.ts';
import { createFrameWriter, readFrame } from '../wire/frame.ts';
import type { FrameWriter } from '../wire/frame.ts';
import { decodeOverlayMessage } from '../wire/overlay-codec.ts';
import { isSpecialFrame, readSpecialFrame } from '../wire/special-frame.ts';
import { createChannelMeter } from './channels/channel-meter.ts';
import { createLaneSessions } from './channels/lane-sessions.ts';
import { createLanes } from './channels/lanes.ts';
import { createLinkPulse, newBeat } from './link-pulse.ts';
import type { Beat } from './link-pulse.ts';
import type { Hello, Links, LinkWires } from './link-wires.ts';
import { createTurnFlush } from './turn-flush.ts';

interface Link {
  info: {
    id: number;
    session: LinkSession;
    since: Millis;
    rttMs: number | undefined;
    hello: Hello | undefined;
  };
  readonly writer: FrameWriter;
  isSaturated: boolean;
  isDirty: boolean;
  /** Hung up here: what is still on its way from the peer counts no more. */
  isOver: boolean;
  readonly beat: Beat;
  /** Pings under way, by the time written into them. */
  readonly asked: BoundedMap<number, (rttMs: number) => void>;
}

/** Pings under way on one link; an older one is given up. */
const pingsMax = 32;

/** Complaints about one peer are logged once per reason; reasons remembered. */
const complaintsMax = 512;

/** Malformed frames after which a peer is taken for hostile and hung up on. */
const malformedMax = 100;

/** Builds the table. */
export function createLinks(wires: LinkWires): Links {
  const { clock, log, metrics } = wires;
  const bySession = new Map<LinkSession, Link>();
  const byId = new Map<number, Link>();
  const chosen = new Map<NodeId, Link>();
  const complaints = new BoundedMap<string, number>(complaintsMax);
  let nextId = 1;

  function complain(link: Link, reason: string): void {
    const { peer } = link.info.session;
    metrics.drop('link', reason);
    const key = `${peer} ${reason}`;
    const count = (complaints.get(key) ?? 0) + 1;
    complaints.set(key, count);
    if (count === 1) log.warn({ peer, reason }, 'a peer sent something that cannot be read');
    if (count === malformedMax) link.info.session.close(`${linkBounds.hostile} ${reason}`);
  }

  let dirty: Link[] = [];
  const turn = createTurnFlush(() => {
    const links = dirty;
    dirty = [];
    for (const link of links) flush(link);
    lanes.flush();
  });
  const pulse = createLinkPulse<Link>({
    clock,
    pace: wires.pace,
    links: () => bySession.values(),
    ask: (link) => ask(link, () => {}),
    quiet({ info }, isQuiet) {
      if (info.hello !== undefined) wires.quiet(info, isQuiet);
    },
    giveUp: ({ info }, silentMs) =>
      info.session.close(`${linkBounds.silent} ${Math.round(silentMs / 1000)} s`),
  });
  let barrierCount = 0;
  const meter = createChannelMeter(() => wires.channels.all);

  /** The session that speaks for a peer, as long as it does. */
  function mainOf(peer: NodeId): Link | undefined {
    const link = chosen.get(peer);
    return link === undefined || link.isOver ? undefined : link;
  }

  const laneSessions = createLaneSessions({
    clock,
    log,
    meter,
    idleMs: wires.pace.laneIdleMs,
    lanes: () => lanes,
    channel: (name) => wires.channels.byName(name),
    instance: () => wires.hello().instance,
    instanceOf: (peer) => mainOf(peer)?.info.hello?.instance,
    dial(peer) {
      const link = mainOf(peer);
      return link === undefined ? Promise.reject(new Error('no link')) : wires.dialLane(link.info);
    },
  });

  const lanes = createLanes({
    clock,
    meter,
    send(session, frame) {
      const link = mainOf(session.peer);
      if (link !== undefined) pulse.told(link);
      return turn.send(session, 'data', frame);
    },
    main: (peer) => mainOf(peer)?.info.session,
    isMainFull: (peer) => mainOf(peer)?.isSaturated !== false,
    mainFull(peer) {
      const link = mainOf(peer);
      if (link !== undefined) link.isSaturated = true;
    },
    dial: (peer, channel) => laneSessions.dial(peer, channel),
    barrier(peer, passed) {
      barrierCount += 1;
      // Below zero: no ping carries such a time.
      mainOf(peer)?.asked.set(-barrierCount, passed);
      return -barrierCount;
    },
    used: (session) => laneSessions.used(session),
    flushSoon: turn.soon,
    drained(peer) {
      const link = mainOf(peer);
      if (link !== undefined) wires.drained(link.info);
    },
    lost: (peer, channel, record) => wires.lost(peer, channel, record),
    broken(peer) {
      const link = mainOf(peer);
      if (link !== undefined) wires.broken(link.info);
    },
  });

  function flush(link: Link): void {
    link.isDirty = false;
    const frame = link.writer.take();
    if (frame !== undefined) sendFrame(link, frame);
  }

  function sendFrame(link: Link, frame: Uint8Array): void {
    if (!bySession.has(link.info.session)) return;
    pulse.said(link);
    if (!turn.send(link.info.session, 'control', frame)) link.isSaturated = true;
  }

  function write(link: Link, record: Uint8Array): void {
    const full = link.writer.add(record);
    if (full !== undefined) sendFrame(link, full);
    if (link.isDirty) return;
    link.isDirty = true;
    dirty.push(link);
    turn.soon();
  }

  function ask(link: Link, answered: (rttMs: number) => void): void {
    const t = clock.now();
    link.asked.set(t, answered);
    write(link, encodeControl({ kind: 'ping', t }));
  }

  function takeControl(link: Link, message: ControlMessage): void {
    // Who it is was judged at the handshake; whether it is still welcome is judged at its hello.
    if (link.info.hello === undefined && message.kind === 'channel') {
      offered(link, message);
    } else if (link.info.hello === undefined && message.kind !== 'hello') {
      complain(link, 'spoke before its hello');
    } else if (message.kind === 'ping') {
      write(link, encodeControl({ kind: 'pong', t: message.t }));
    } else if (message.kind === 'pong') {
      const answered = link.asked.get(message.t);
      link.asked.delete(message.t);
      if (answered === undefined) return;
      if (message.t < 0) return answered(0);
      const rttMs = clock.now() - message.t;
      const { info } = link;
      info.rttMs = info.rttMs === undefined ? rttMs : info.rttMs + (rttMs - info.rttMs) / 8;
      answered(rttMs);
    } else if (message.kind === 'hello') {
      if (link.info.hello !== undefined) return;
      link.info.hello = message;
      wires.greeted(link.info, message);
    } else if (message.kind === 'overlay') {
      const said = decodeOverlayMessage(message.bytes);
      if (said === undefined) complain(link, 'malformed overlay message');
      else wires.overlay(link.info, said);
    } else wires.control(link.info, message);
  }

  /** A fresh connection turns out to be a channel's. */
  function offered(link: Link, message: Extract<ControlMessage, { kind: 'channel' }>): void {
    const { session, id } = link.info;
    pulse.closed(link);
    bySession.delete(session);
    byId.delete(id);
    if (laneSessions.offered(session, message)) return;
    link.isOver = true;
    session.close('the channel is not welcome');
  }

  /** A kind of a newer version is passed over, and is nothing to hang up for. */
  function readControl(link: Link, bytes: Uint8Array): ControlMessage | undefined {
    const message = decodeControl(bytes);
    if (message === 'unknown') metrics.drop('link', 'record of a newer version');
    else if (message === undefined) complain(link, 'malformed control record');
    else return message;
    return undefined;
  }

  function controlRecord(link: Link, bytes: Uint8Array): void {
    if (link.isOver) return;
    const message = readControl(link, bytes);
    if (message !== undefined) takeControl(link, message);
  }

  function dataRecord(link: Link, bytes: Uint8Array): void {
    if (link.isOver) return;
    const envelope = readEnvelope(bytes);
    if (envelope === undefined) complain(link, 'malformed envelope');
    else if (link.info.hello === undefined) complain(link, 'spoke before its hello');
    else wires.data(link.info, envelope, bytes);
  }

  function dataFrame(link: Link, bytes: Uint8Array): void {
    if (!isSpecialFrame(bytes)) {
      if (!readFrame(bytes, (one) => dataRecord(link, one))) complain(link, 'malformed frame');
      return;
    }
    const special = readSpecialFrame(bytes);
    const isRead =
      special === undefined
        ? false
        : special.kind === 'barrier' ||
          readFrame(special.frame, (one) =>
            special.kind === 'control' ? controlRecord(link, one) : dataRecord(link, one),
          );
    if (!isRead) complain(link, 'malformed frame');
    else if (special?.kind === 'barrier' && link.info.hello !== undefined) {
      write(link, encodeControl({ kind: 'pong', t: special.token }));
    }
  }

  /** A channel's connection speaks for the peer whose link it belongs to. */
  function laneFrame(session: LinkSession, lane: Lane, bytes: Uint8Array): void {
    const link = mainOf(session.peer);
    if (link === undefined) return metrics.drop('link', 'a channel without a link');
    pulse.heard(link);
    if (lane === 'data') {
      laneSessions.used(session);
      return dataFrame(link, bytes);
    }
    const isRead = readFrame(bytes, (one) => {
      const message = readControl(link, one);
      if (message !== undefined) laneSessions.said(session, message);
    });
    if (!isRead) complain(link, 'malformed frame');
  }

  function forget(peer: NodeId): void {
    lanes.unlinked(peer);
    laneSessions.closeAll(peer, 'the link is closed');
  }

  return {
    opened(session, hello = wires.hello()) {
      const now = clock.now();
      const link: Link = {
        info: { id: nextId, session, since: now, rttMs: undefined, hello: undefined },
        writer: createFrameWriter(),
        isSaturated: false,
        isDirty: false,
        isOver: false,
        beat: newBeat(now),
        asked: new BoundedMap(pingsMax),
      };
      nextId += 1;
      bySession.set(session, link);
      byId.set(link.info.id, link);
      write(link, encodeControl(hello));
      pulse.opened(link);
      return link.info.id;
    },
    frame(session, lane, bytes) {
      const link = bySession.get(session);
      if (link === undefined) {
        if (laneSessions.has(session)) laneFrame(session, lane, bytes);
        return;
      }
      if (link.isOver) return;
      pulse.heard(link);
      if (lane === 'data') return dataFrame(link, bytes);
      if (!readFrame(bytes, (one) => controlRecord(link, one))) complain(link, 'malformed frame');
    },
    drained(session) {
      const link = bySession.get(session);
      if (link === undefined) return void laneSessions.drained(session);
      link.isSaturated = false;
      lanes.mainDrained(session.peer);
      wires.drained(link.info);
    },
    closed(session, reason) {
      if (laneSessions.closed(session, reason)) return;
      const link = bySession.get(session);
      if (link === undefined) return;
      pulse.closed(link);
      bySession.delete(session);
      byId.delete(link.info.id);
      if (chosen.get(session.peer) === link) {
        chosen.delete(session.peer);
        forget(session.peer);
      }
      wires.closed(link.info, reason);
    },
    choose(peer, id) {
      const link = id === undefined ? undefined : byId.get(id);
      if (link === undefined) {
        chosen.delete(peer);
        forget(peer);
      } else {
        const isMove = chosen.has(peer);
        chosen.set(peer, link);
        // The hello must not wait for the end of the turn: full frames of data would be there before it.
        if (link.isDirty) flush(link);
        if (isMove) lanes.moved(peer);
      }
    },
    current: (peer) => chosen.get(peer)?.info,
    minorOf(peer) {
      const link = chosen.get(peer);
      return link && (link.info.hello?.minor ?? 0);
    },
    byId: (id) => byId.get(id)?.info,
    all: () => [...byId.values()].map((link) => link.info),
    control(peer, message) {
      const link = chosen.get(peer);
      if (link === undefined) return false;
      write(link, encodeControl(message));
      return true;
    },
    controlOn(id, message) {
      const link = byId.get(id);
      if (link === undefined) return false;
      write(link, encodeControl(message));
      return true;
    },
    data: (peer, record, channel, topicOf) => lanes.send(peer, channel, record, topicOf),
    bulk: (peer, message, channel) => lanes.sendControl(peer, channel, encodeControl(message)),
    hurry() {
      for (const link of dirty.splice(0)) flush(link);
      for (const session of bySession.keys()) session.hurry();
    },
    queuedBytes: (peer, channel) => lanes.queuedBytes(peer, channel),
    channels: () => meter.figures(lanes.view),
    ping(peer, answered) {
      const link = chosen.get(peer);
      if (link !== undefined) ask(link, answered);
    },
    hangUp(id, reason) {
      const link = byId.get(id);
      if (link === undefined) return;
      flush(link);
      link.isOver = true;
      if (chosen.get(link.info.session.peer) === link) forget(link.info.session.peer);
      link.info.session.close(reason);
    },
    stop() {
      pulse.stop();
      laneSessions.closeAll(undefined, 'this node stops');
      for (const link of byId.values()) link.info.session.close('this node stops');
    },
  };
}
