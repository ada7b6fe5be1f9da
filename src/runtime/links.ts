/** The sessions of this node's links: frames in and out, heartbeats, round-trip times. Who is linked is the overlay's to decide. */

import { BoundedMap } from '../kernel/bounded-map.ts';
import type { Millis } from '../kernel/core.ts';
import type { NodeId } from '../kernel/ids.ts';
import type { Clock } from '../ports/clock.ts';
import type { Lane, LinkSession } from '../ports/link.ts';
import type { Log } from '../ports/log.ts';
import type { Metrics } from '../ports/metrics.ts';
import type { ProfileName } from '../protocol/membership/profiles.ts';
import type { OverlayMessage } from '../protocol/overlay/messages.ts';
import type { Envelope } from '../protocol/routing/messages.ts';
import { decodeControl, encodeControl } from '../wire/control.ts';
import type { ControlMessage } from '../wire/control.ts';
import { readEnvelope } from '../wire/envelope.ts';
import { createFrameWriter, readFrame } from '../wire/frame.ts';
import type { FrameWriter } from '../wire/frame.ts';
import { decodeOverlayMessage } from '../wire/overlay-codec.ts';

/** What a peer says first on a session. */
export type Hello = Extract<ControlMessage, { kind: 'hello' }>;

/** How often a silent link is asked, and when it counts as dead; protocols reference 2.2. */
export interface LinkPace {
  readonly heartbeatMs: Millis;
  readonly silentMsMax: Millis;
}

/** Link heartbeats per profile (protocols reference, section 10). */
export const linkPaces: Readonly<Record<ProfileName, LinkPace>> = {
  wired: { heartbeatMs: 5_000, silentMsMax: 15_000 },
  wifi: { heartbeatMs: 15_000, silentMsMax: 45_000 },
  fast: { heartbeatMs: 2_000, silentMsMax: 6_000 },
  loopback: { heartbeatMs: 500, silentMsMax: 1_500 },
};

/** One session, as the overlay and `status` see it. */
export interface LinkInfo {
  readonly id: number;
  readonly session: LinkSession;
  readonly since: Millis;
  readonly rttMs: number | undefined;
  /** What the peer said first; undefined until it did. */
  readonly hello: Hello | undefined;
}

/** What the table tells the node. */
export interface LinkWires {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly pace: LinkPace;
  /** This node's own first words. */
  hello(): Hello;
  greeted(link: LinkInfo, hello: Hello): void;
  control(link: LinkInfo, message: ControlMessage): void;
  overlay(link: LinkInfo, message: OverlayMessage): void;
  /** The peer has left a heartbeat unanswered, or speaks again. */
  quiet(link: LinkInfo, isQuiet: boolean): void;
  data(link: LinkInfo, envelope: Envelope, raw: Uint8Array): void;
  drained(link: LinkInfo): void;
  closed(link: LinkInfo, reason: string): void;
}

/** The table. */
export interface Links {
  /** A session passed its handshake. Returns its number. */
  opened(session: LinkSession): number;
  frame(session: LinkSession, lane: Lane, bytes: Uint8Array): void;
  drained(session: LinkSession): void;
  closed(session: LinkSession, reason: string): void;
  /** Chooses the session that speaks for the peer; undefined: none does. */
  choose(peer: NodeId, id: number | undefined): void;
  /** The session that speaks for the peer. */
  current(peer: NodeId): LinkInfo | undefined;
  byId(id: number): LinkInfo | undefined;
  all(): readonly LinkInfo[];
  /** Sends on the chosen session. False when there is none. */
  control(peer: NodeId, message: ControlMessage): boolean;
  controlOn(id: number, message: ControlMessage): boolean;
  /** Copies a record into the next frame. False: saturated or not linked, nothing was taken. */
  data(peer: NodeId, record: Uint8Array): boolean;
  /** Asks over the link; `answered` is called with the round trip in ms, or never. */
  ping(peer: NodeId, answered: (rttMs: number) => void): void;
  hangUp(id: number, reason: string): void;
  stop(): void;
}

interface Link {
  info: {
    id: number;
    session: LinkSession;
    since: Millis;
    rttMs: number | undefined;
    hello: Hello | undefined;
  };
  readonly writers: Readonly<Record<Lane, FrameWriter>>;
  isSaturated: boolean;
  isFlushDue: boolean;
  /** Hung up here: what is still on its way from the peer counts no more. */
  isOver: boolean;
  heardAt: Millis;
  isQuiet: boolean;
  /** Pings under way, by the time written into them. */
  readonly asked: BoundedMap<number, (rttMs: number) => void>;
  cancelBeat: () => void;
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
    if (count === malformedMax) link.info.session.close(`hostile: ${reason}`);
  }

  function flush(link: Link): void {
    link.isFlushDue = false;
    if (!bySession.has(link.info.session)) return;
    for (const lane of ['control', 'data'] as const) {
      const frame = link.writers[lane].take();
      if (frame !== undefined) sendFrame(link, lane, frame);
    }
  }

  function sendFrame(link: Link, lane: Lane, frame: Uint8Array): void {
    metrics.count('link.frames.out');
    metrics.count('link.bytes.out', frame.byteLength);
    if (!link.info.session.send(lane, frame)) link.isSaturated = true;
  }

  /** Frames leave at the end of this turn of the loop: a timer would add latency, a write per message cost tenfold. */
  function write(link: Link, lane: Lane, record: Uint8Array): void {
    const full = link.writers[lane].add(record);
    if (full !== undefined) sendFrame(link, lane, full);
    if (link.isFlushDue) return;
    link.isFlushDue = true;
    setImmediate(() => flush(link));
  }

  function ask(link: Link, answered: (rttMs: number) => void): void {
    const t = clock.now();
    link.asked.set(t, answered);
    write(link, 'control', encodeControl({ kind: 'ping', t }));
  }

  function tellQuiet(link: Link, isQuiet: boolean): void {
    if (link.isQuiet === isQuiet || link.info.hello === undefined) return;
    link.isQuiet = isQuiet;
    wires.quiet(link.info, isQuiet);
  }

  function beat(link: Link): void {
    const { heartbeatMs, silentMsMax } = wires.pace;
    const now = clock.now();
    if (now - link.heardAt >= silentMsMax) {
      link.info.session.close(`silent for ${Math.round((now - link.heardAt) / 1000)} s`);
      return;
    }
    const silentMs = now - link.heardAt;
    // The answer to the last ping comes a little after its beat: only a whole missed one is silence.
    tellQuiet(link, silentMs > 1.5 * heartbeatMs);
    // Whoever spoke a moment ago is alive: of two idle peers only one asks, and its question tells the other.
    const isDue = silentMs >= heartbeatMs || link.info.rttMs === undefined;
    if (isDue) ask(link, () => {});
    const pauseMs = isDue ? heartbeatMs : heartbeatMs - silentMs;
    link.cancelBeat = clock.alarm(now + pauseMs, () => beat(link));
  }

  function takeControl(link: Link, message: ControlMessage): void {
    // Who it is was judged at the handshake; whether it is still welcome is judged at its hello.
    if (link.info.hello === undefined && message.kind !== 'hello') {
      complain(link, 'spoke before its hello');
    } else if (message.kind === 'ping') {
      write(link, 'control', encodeControl({ kind: 'pong', t: message.t }));
    } else if (message.kind === 'pong') {
      const answered = link.asked.get(message.t);
      link.asked.delete(message.t);
      if (answered === undefined) return;
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

  function record(link: Link, lane: Lane, bytes: Uint8Array): void {
    if (link.isOver) return;
    if (lane === 'control') {
      const message = decodeControl(bytes);
      if (message === undefined) complain(link, 'malformed control record');
      else takeControl(link, message);
      return;
    }
    const envelope = readEnvelope(bytes);
    if (envelope === undefined) complain(link, 'malformed envelope');
    else if (link.info.hello === undefined) complain(link, 'spoke before its hello');
    else wires.data(link.info, envelope, bytes);
  }

  return {
    opened(session) {
      const now = clock.now();
      const link: Link = {
        info: { id: nextId, session, since: now, rttMs: undefined, hello: undefined },
        writers: { control: createFrameWriter(), data: createFrameWriter() },
        isSaturated: false,
        isFlushDue: false,
        isOver: false,
        heardAt: now,
        isQuiet: false,
        asked: new BoundedMap(pingsMax),
        cancelBeat: () => {},
      };
      nextId += 1;
      bySession.set(session, link);
      byId.set(link.info.id, link);
      write(link, 'control', encodeControl(wires.hello()));
      beat(link);
      return link.info.id;
    },
    frame(session, lane, bytes) {
      const link = bySession.get(session);
      if (link === undefined || link.isOver) return;
      link.heardAt = clock.now();
      tellQuiet(link, false);
      metrics.count('link.frames.in');
      metrics.count('link.bytes.in', bytes.byteLength);
      if (!readFrame(bytes, (one) => record(link, lane, one))) complain(link, 'malformed frame');
    },
    drained(session) {
      const link = bySession.get(session);
      if (link === undefined) return;
      link.isSaturated = false;
      wires.drained(link.info);
    },
    closed(session, reason) {
      const link = bySession.get(session);
      if (link === undefined) return;
      link.cancelBeat();
      bySession.delete(session);
      byId.delete(link.info.id);
      if (chosen.get(session.peer) === link) chosen.delete(session.peer);
      wires.closed(link.info, reason);
    },
    choose(peer, id) {
      const link = id === undefined ? undefined : byId.get(id);
      if (link === undefined) chosen.delete(peer);
      else chosen.set(peer, link);
    },
    current: (peer) => chosen.get(peer)?.info,
    byId: (id) => byId.get(id)?.info,
    all: () => [...byId.values()].map((link) => link.info),
    control(peer, message) {
      const link = chosen.get(peer);
      if (link === undefined) return false;
      write(link, 'control', encodeControl(message));
      return true;
    },
    controlOn(id, message) {
      const link = byId.get(id);
      if (link === undefined) return false;
      write(link, 'control', encodeControl(message));
      return true;
    },
    data(peer, bytes) {
      const link = chosen.get(peer);
      if (link === undefined || link.isSaturated) return false;
      write(link, 'data', bytes);
      return true;
    },
    ping(peer, answered) {
      const link = chosen.get(peer);
      if (link !== undefined) ask(link, answered);
    },
    hangUp(id, reason) {
      const link = byId.get(id);
      if (link === undefined) return;
      flush(link);
      link.isOver = true;
      link.info.session.close(reason);
    },
    stop() {
      for (const link of byId.values()) link.info.session.close('this node stops');
    },
  };
}
