/** A node's place on a backbone: its inbox, the streams and datagrams through it, and who else of the mesh is there. */

import type { Duplex } from 'node:stream';
import type { Address } from '../../kernel/address.ts';
import type { Random } from '../../kernel/random.ts';
import type { Backbone, BackboneStay } from '../../ports/backbone.ts';
import { backboneSuffix, isBackboneHost } from '../../ports/backbone.ts';
import type { Clock } from '../../ports/clock.ts';
import { datagramBytesMax } from '../../ports/datagram.ts';
import type { Datagrams } from '../../ports/datagram.ts';
import type { Log } from '../../ports/log.ts';
import type { Metrics } from '../../ports/metrics.ts';
import { decodeBackbonePacket, encodeBackbonePacket } from '../../wire/backbone-packet.ts';
import type { BackbonePacket } from '../../wire/backbone-packet.ts';
import { backboneRooms } from '../../wire/backbone-seal.ts';
import type { BackboneRooms, BackboneSeal } from '../../wire/backbone-seal.ts';
import type { BackboneUrl } from '../../wire/backbone-url.ts';
import { magicBytes } from '../link/magic.ts';
import { createBackboneRung } from './backbone-rung.ts';
import type { BackboneRung } from './backbone-rung.ts';
import { createStreamTable } from './stream-table.ts';
import type { StreamTable } from './stream-table.ts';
import { openBrokerLine } from './broker-line.ts';
import type { BrokerLine } from './broker-line.ts';

/** Time for the other end to take a stream, in ms. */
const openMs = 5_000;

/** Time for an accepted stream to say what it is, in ms. */
const openingMs = 3_000;

/** What it is made of. */
export interface BackboneWorld {
  readonly url: BackboneUrl;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** A backbone with the doors that adapters use. */
export interface BrokerBackbone extends Backbone {
  readonly rung: BackboneRung;
  /** Opens a stream to an inbox. @throws {Error} with the reason */
  connect(address: Address, signal: AbortSignal): Promise<Duplex>;
  /** Streams that others open go here, with their first bytes still unread. */
  onStream(accept: (stream: Duplex, opening: string) => void): void;
  /** UDP, and the backbone for hosts that are inboxes. */
  datagrams(udp: Datagrams): Datagrams;
}

interface Place {
  readonly stay: BackboneStay;
  readonly rooms: BackboneRooms;
  readonly inbox: string;
  readonly seal: BackboneSeal;
  readonly line: BrokerLine;
  readonly streams: StreamTable;
}

/** Builds one; nothing is opened before it enters a mesh. */
export function createBackbone(world: BackboneWorld): BrokerBackbone {
  const { url, clock, random, log, metrics } = world;
  const upListeners: (() => void)[] = [];
  const roomsOf = new Map<string, BackboneRooms>();
  let place: Place | undefined;
  let accept = (stream: Duplex, _opening: string): void => void stream.destroy();
  let receive: ((from: Address, bytes: Uint8Array) => void) | undefined;

  const rung = createBackboneRung({ clock, hello: (asks) => hello(asks) });
  const hostOf = (inbox: string): string => `${inbox}${backboneSuffix}`;
  const drop = (reason: string): void => metrics.drop('backbone', reason);

  function rooms(mesh: BackboneStay['mesh']): BackboneRooms {
    const known = roomsOf.get(mesh) ?? backboneRooms(mesh);
    // The mesh it is in and the one it is invited to.
    if (roomsOf.size >= 2) roomsOf.clear();
    roomsOf.set(mesh, known);
    return known;
  }

  function say(at: Place, topic: string, packet: BackbonePacket): void {
    metrics.count('backbone.out');
    at.line.publish(topic, at.seal.seal(topic, encodeBackbonePacket(packet)));
  }

  function hello(asks: boolean): void {
    if (place === undefined || place.stay.isVisitor || !place.line.isUp()) return;
    const { stay, rooms: here } = place;
    say(place, here.all, helloOf(stay, asks));
  }

  function received(at: Place, topic: string, bytes: Uint8Array): void {
    const opened = at.seal.open(topic, bytes);
    const packet = opened === undefined ? undefined : decodeBackbonePacket(opened.plain);
    if (opened === undefined || packet === undefined) return drop('not of this mesh');
    // A broker gives everybody's room also to whoever spoke.
    if (opened.sender === at.seal.sender) return;
    metrics.count('backbone.in');
    const isForAll = topic === at.rooms.all;
    if (packet.kind === 'hello') heardHello(at, opened.sender, packet, isForAll);
    else if (isForAll) drop('not for all');
    else if (packet.kind === 'datagram') {
      if (packet.bytes.length > datagramBytesMax) return drop('oversize');
      receive?.({ host: hostOf(packet.inbox), port: packet.port }, Uint8Array.from(packet.bytes));
    } else at.streams.heard(opened.sender, packet);
  }

  function heardHello(
    at: Place,
    sender: string,
    packet: Extract<BackbonePacket, { kind: 'hello' }>,
    isForAll: boolean,
  ): void {
    const { node, port, asks, hosts } = packet;
    if (at.stay.isVisitor || node === at.stay.node) return;
    const inbox = at.rooms.inboxOf(node);
    // A process that is new there has none of the streams that the last one had.
    at.streams.metAgain(inbox, sender);
    const addresses = [...hosts, hostOf(inbox)].map((host) => ({ host, port }));
    rung.heard({ node, meshTag: at.stay.meshTag, addresses });
    if (!asks || !isForAll) return;
    say(at, at.rooms.topicOf(inbox), helloOf(at.stay, false));
  }

  function move(to: BackboneStay | undefined): Promise<void> {
    place?.streams.endAll('the node has left the backbone');
    const left = place?.line.stop() ?? Promise.resolve();
    place = undefined;
    rung.forgetAll();
    if (to === undefined) return left;
    const here = rooms(to.mesh);
    const inbox = here.inboxOf(to.node);
    const seal = here.createSeal();
    const streams = createStreamTable({
      clock,
      drop,
      inbox,
      port: to.port,
      hostOf,
      send: (peer, packet) => {
        if (place === at) say(at, here.topicOf(peer), packet);
      },
      hasRoom: () => !at.line.isCongested(),
      whenRoom: (callback) => at.line.whenRelieved(callback),
      accepted: (stream) => {
        awaitOpening(stream, openingMs, (opening) => accept(stream, opening));
      },
    });
    const at: Place = {
      stay: to,
      rooms: here,
      inbox,
      seal,
      streams,
      line: openBrokerLine({
        url,
        clock,
        random: random.split(),
        log,
        topics: [here.topicOf(inbox), here.all],
        received: (topic, bytes) => (place === at ? received(at, topic, bytes) : undefined),
        up() {
          hello(true);
          for (const listener of upListeners) listener();
        },
        down: () => streams.cutAll('the connection to the backbone broke'),
        trouble: (trouble) => rung.troubled(trouble),
      }),
    };
    place = at;
    return left;
  }

  return {
    rung,
    addressOf: (mesh, node, port) => ({ host: hostOf(rooms(mesh).inboxOf(node)), port }),
    enter(stay) {
      const old = place?.stay;
      const isSame =
        stay?.mesh === old?.mesh && stay?.port === old?.port && stay?.isVisitor === old?.isVisitor;
      if (!isSame) void move(stay);
    },
    onUp: (listener) => void upListeners.push(listener),
    onStream(listener) {
      accept = listener;
    },
    async connect({ host }, signal) {
      const at = place;
      if (at === undefined || !at.line.isUp()) throw new Error('the backbone is not connected');
      const inbox = host.slice(0, -backboneSuffix.length);
      if (inbox === at.inbox) throw new Error('it is this node itself');
      return at.streams.open(inbox, openMs, signal);
    },
    datagrams: (udp) => ({
      async open(options) {
        const socket = await udp.open(options);
        receive = options.receive;
        return {
          ...pick(socket),
          send(to, bytes) {
            if (!isBackboneHost(to.host)) return socket.send(to, bytes);
            const at = place;
            if (at === undefined || !at.line.isUp() || at.line.isCongested())
              return drop('datagram');
            const topic = at.rooms.topicOf(to.host.slice(0, -backboneSuffix.length));
            say(at, topic, { kind: 'datagram', inbox: at.inbox, port: at.stay.port, bytes });
          },
          async stop() {
            if (receive === options.receive) receive = undefined;
            await socket.stop();
          },
        };
      },
    }),
    async stop() {
      await move(undefined);
      await rung.stop();
    },
  };
}

function helloOf({ node, port, hosts }: BackboneStay, asks: boolean): BackbonePacket {
  return { kind: 'hello', node, port, asks, hosts: hosts() };
}

function pick(socket: Awaited<ReturnType<Datagrams['open']>>): {
  readonly port: number;
  counts: typeof socket.counts;
} {
  return { port: socket.port, counts: () => socket.counts() };
}

/** Waits for the first bytes of a stream and puts them back; a stream that does not bring them is closed. */
function awaitOpening(stream: Duplex, ms: number, opened: (opening: string) => void): void {
  stream.on('error', () => {});
  const late = setTimeout(() => stream.destroy(), ms);
  const look = (): void => {
    if (stream.readableLength < magicBytes) return;
    const chunk = stream.read() as Buffer | null;
    if (chunk === null) return;
    stream.off('readable', look);
    clearTimeout(late);
    stream.unshift(chunk);
    opened(chunk.subarray(0, magicBytes).toString('latin1'));
  };
  stream.on('readable', look);
  stream.once('close', () => clearTimeout(late));
}
