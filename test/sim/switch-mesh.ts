/**
 * A simulated mesh of whole message floors: production switchboards decide the links, production routers use them, and
 * both see sessions open, carry, close and be cut. Membership is an oracle with a delay.
 */

import type { Millis } from '../../src/kernel/core.ts';
import type { NodeId } from '../../src/kernel/ids.ts';
import { createRandom } from '../../src/kernel/random.ts';
import type { Random } from '../../src/kernel/random.ts';
import type { OverlayName, OverlayRole } from '../../src/protocol/overlay/overlay.ts';
import type {
  SwitchEffect,
  SwitchInput,
  Switchboard,
} from '../../src/protocol/overlay/switchboard-types.ts';
import { unsetTopology } from '../../src/protocol/overlay/topology.ts';
import type { Topology, TopologyMark } from '../../src/protocol/overlay/topology.ts';
import { createRouter } from '../../src/protocol/routing/router.ts';
import type { Router } from '../../src/protocol/routing/router-world.ts';
import { createTopologySwitch } from '../../src/runtime/overlays.ts';
import { decodeControl, encodeControl } from '../../src/wire/control.ts';
import type { ControlMessage } from '../../src/wire/control.ts';
import { envelopeCodec, readEnvelope } from '../../src/wire/envelope.ts';
import { decodeInterest, encodeInterest } from '../../src/wire/interest-codec.ts';
import { decodeOverlayMessage, encodeOverlayMessage } from '../../src/wire/overlay-codec.ts';
import { EventHeap } from './event-heap.ts';
import { simNodeId } from './routing-mesh.ts';

/** Knobs. */
export interface SwitchMeshOptions {
  readonly seed: number;
  readonly count: number;
  readonly overlay: OverlayName;
  readonly roleOf?: (at: number) => OverlayRole;
}

interface Session {
  readonly number: number;
  readonly ends: readonly [dialler: number, acceptor: number];
  readonly isOpen: [boolean, boolean];
  readonly lastAt: [Millis, Millis];
  readonly seed: string | undefined;
  isCut: boolean;
}

/** A node. */
export interface SwitchNode {
  readonly at: number;
  readonly id: NodeId;
  board: Switchboard;
  router: Router;
  boot: number;
  isUp: boolean;
  /** What would be on its disk. */
  remembered: Topology;
  readonly chosen: Map<NodeId, number>;
  /** Events heard, by origin and life. */
  heard: Map<string, number[]>;
  gaps: number;
  published: number;
  /** Whom it holds alive. */
  readonly members: Set<number>;
}

type Packet =
  | { readonly kind: 'control'; readonly bytes: Uint8Array }
  | { readonly kind: 'data'; readonly raw: Uint8Array }
  | { readonly kind: 'close' };

/** The mesh in virtual time. Same options and calls: same run. */
export class SwitchMesh {
  readonly nodes: SwitchNode[] = [];
  readonly random: Random;
  now: Millis = 0;
  readonly #options: SwitchMeshOptions;
  readonly #agenda = new EventHeap();
  readonly #sessions: Session[] = [];
  readonly #marks = new Map<string, TopologyMark>();
  readonly #isolated = new Set<number>();
  readonly #backlog = new Map<number, (() => void)[]>();

  constructor(options: SwitchMeshOptions) {
    this.#options = options;
    this.random = createRandom(options.seed);
    for (let at = 0; at < options.count; at += 1) {
      const unset = unsetTopology(options.overlay);
      this.nodes.push({
        at,
        id: simNodeId(at),
        board: this.#createBoard(at, 1, unset),
        router: this.#createRouter(at, 1),
        boot: 1,
        isUp: true,
        remembered: unset,
        chosen: new Map(),
        heard: new Map(),
        gaps: 0,
        published: 0,
        members: new Set(),
      });
    }
    for (const node of this.nodes) this.#begin(node);
  }

  node(at: number): SwitchNode {
    return this.nodes[at] as SwitchNode;
  }

  live(): SwitchNode[] {
    return this.nodes.filter(({ isUp }) => isUp);
  }

  /** Asks a node to change the topology of the mesh. False: it refuses. */
  set(at: number, kind: OverlayName): boolean {
    const { board } = this.node(at);
    if (board.refusal(this.now) !== undefined) return false;
    const rest = { hubs: [], isAuto: false, isReturn: false, reason: 'test' };
    const wish = { kind, hint: 'balanced' as const, ...rest };
    this.feed(at, { type: 'topologyWished', wish });
    return true;
  }

  publish(at: number): void {
    const node = this.node(at);
    const queue = this.#backlog.get(at) ?? [];
    this.#backlog.set(at, queue);
    node.published += 1;
    const payload = new TextEncoder().encode(String(node.published));
    queue.push(() => void this.#offer(node, payload));
    this.#retry(at);
  }

  /** Power off: what it had in memory is gone. */
  kill(at: number): void {
    const node = this.node(at);
    node.isUp = false;
    node.chosen.clear();
    for (const session of this.#sessions) if (session.ends.includes(at)) this.#cut(session);
    this.#lose(at);
  }

  /** Comes back with what was on its disk. */
  revive(at: number): void {
    const node = this.node(at);
    node.boot += 1;
    node.isUp = true;
    node.members.clear();
    node.published = 0;
    node.heard = new Map();
    node.board = this.#createBoard(at, node.boot, node.remembered);
    node.router = this.#createRouter(at, node.boot);
    this.#begin(node);
  }

  /** Pulls the cable, or puts it back. */
  isolate(at: number, isIsolated: boolean): void {
    if (!isIsolated) {
      this.#isolated.delete(at);
      this.#meet(this.node(at));
      return;
    }
    this.#isolated.add(at);
    for (const session of this.#sessions) if (session.ends.includes(at)) this.#cut(session);
    this.#lose(at);
  }

  at(when: Millis, call: () => void): void {
    this.#agenda.push(Math.max(when, this.now), this.random.below(2 ** 30), call);
  }

  feed(at: number, input: SwitchInput): void {
    const node = this.node(at);
    if (!node.isUp) return;
    for (const effect of node.board.step(this.now, input)) this.#run(node, effect);
  }

  runUntil(end: Millis): void {
    for (let atOnce = 0; ; atOnce += 1) {
      if (atOnce > 200_000) throw new Error(`livelock at ${this.now}, seed ${this.#options.seed}`);
      let due = Infinity;
      let wake: (() => void) | undefined;
      for (const node of this.live()) {
        const boardAt = node.board.deadline();
        const routerAt = node.router.deadline();
        if (boardAt < due) [due, wake] = [boardAt, () => this.feed(node.at, { type: 'tick' })];
        if (routerAt < due) [due, wake] = [routerAt, () => node.router.tick(this.now)];
      }
      const next = Math.min(due, this.#agenda.nextAt());
      if (next > end) break;
      if (next > this.now) atOnce = 0;
      this.now = Math.max(this.now, next);
      if (this.#agenda.nextAt() <= due) this.#agenda.pop()?.();
      else wake?.();
    }
    this.now = end;
  }

  /** The links that both ends use, as pairs of numbers. */
  links(): [number, number][] {
    const pairs: [number, number][] = [];
    for (const node of this.live()) {
      for (const peer of node.chosen.keys()) {
        const other = this.#numberOf(peer);
        if (node.at < other && this.node(other).chosen.has(node.id)) pairs.push([node.at, other]);
      }
    }
    return pairs;
  }

  /** Whether every live node that is not isolated reaches every other one over links. */
  isWhole(): boolean {
    const live = this.live().filter(({ at }) => !this.#isolated.has(at));
    const reached = new Set([live[0]?.at ?? 0]);
    const links = this.links();
    for (let grew = true; grew;) {
      grew = false;
      for (const [left, right] of links) {
        if (reached.has(left) === reached.has(right)) continue;
        reached.add(left).add(right);
        grew = true;
      }
    }
    return live.every(({ at }) => reached.has(at));
  }

  #numberOf(id: NodeId): number {
    return this.nodes.findIndex((node) => node.id === id);
  }

  #createBoard(at: number, boot: number, topology: Topology): Switchboard {
    const role = this.#options.roleOf?.(at) ?? 'any';
    const options = { self: simNodeId(at), boot, role, topology, profile: 'loopback' as const };
    return createTopologySwitch(options, this.random.split());
  }

  #createRouter(at: number, boot: number): Router {
    return createRouter(
      {
        self: simNodeId(at),
        boot,
        random: this.random.split(),
        codec: envelopeCodec,
        observeHlc: () => true,
      },
      {
        deliver: ({ origin, boot: life, seq }) => {
          const { heard } = this.node(at);
          const key = `${this.#numberOf(origin)}.${life}`;
          heard.set(key, [...(heard.get(key) ?? []), seq]);
        },
        transmit: (peer, raw) => {
          const session = this.#sessions[this.node(at).chosen.get(peer) ?? -1];
          if (session !== undefined) this.#send(session, at, { kind: 'data', raw: raw.slice() });
          return true;
        },
        sendLetter: (peer, letter) => this.#control(at, peer, { kind: 'letter', letter }),
        sendInterest: (peer, message) =>
          this.#control(at, peer, { kind: 'interest', bytes: encodeInterest(message) }),
        announceNeighbours: () => {
          const ids = [...this.node(at).chosen.keys()];
          for (const peer of ids) this.#control(at, peer, { kind: 'neighbours', ids });
        },
        parcel: () => undefined,
        gap: (_origin, from, to) => void (this.node(at).gaps += to - from + 1),
        keepRetained: () => undefined,
        showRetained: () => undefined,
        forgetRetained: () => undefined,
        drop: () => undefined,
        settled: () => undefined,
        forfeited: () => undefined,
        bring: () => undefined,
        press: () => undefined,
        roomAgain: () => this.at(this.now, () => this.#retry(at)),
      },
    );
  }

  #begin(node: SwitchNode): void {
    this.feed(node.at, { type: 'selfMoved', addresses: addressesOf(node.at) });
    this.#meet(node);
  }

  /** Everybody hears of the node and it of everybody, each at its own time. */
  #meet(node: SwitchNode): void {
    for (const other of this.nodes) {
      if (other === node) continue;
      for (const [one, two] of [
        [node, other],
        [other, node],
      ] as const) {
        this.at(this.now + 50 + this.random.below(400), () => this.#hear(one, two));
      }
    }
  }

  #hear(one: SwitchNode, two: SwitchNode): void {
    if (!one.isUp || !two.isUp || this.#isolated.has(one.at) || this.#isolated.has(two.at)) return;
    one.members.add(two.at);
    const role = this.#options.roleOf?.(two.at) ?? 'any';
    const addresses = addressesOf(two.at);
    this.feed(one.at, { type: 'memberUp', node: two.id, addresses, role });
    one.router.memberJoined(this.now, two.id, two.boot);
  }

  /** After some seconds the others take the node for dead, and it them if it lives. */
  #lose(at: number): void {
    const { boot, id } = this.node(at);
    for (const other of this.nodes) {
      if (other.at === at) continue;
      this.at(this.now + 2_500 + this.random.below(1_000), () => {
        const isGone = !this.node(at).isUp || this.#isolated.has(at);
        if (!isGone || this.node(at).boot !== boot) return;
        this.#bury(other, at, id);
        if (this.node(at).isUp) this.#bury(this.node(at), other.at, other.id);
      });
    }
  }

  #bury(node: SwitchNode, at: number, id: NodeId): void {
    if (!node.isUp || !node.members.delete(at)) return;
    this.feed(node.at, { type: 'memberGone', node: id, reason: 'dead' });
    node.router.memberGone(this.now, id, 'dead');
  }

  #run(node: SwitchNode, effect: SwitchEffect): void {
    switch (effect.type) {
      case 'dial':
        return this.#dial(node, effect);
      case 'hangUp':
        return this.#close(effect.session, node.at, effect.reason);
      case 'send': {
        const bytes = encodeControl({
          kind: 'overlay',
          bytes: encodeOverlayMessage(effect.message),
        });
        const session = this.#sessions[effect.session];
        if (session !== undefined) this.#send(session, node.at, { kind: 'control', bytes });
        return;
      }
      case 'announce':
        return this.#announce(node, effect);
      case 'remember':
        node.remembered = effect.topology;
        return;
      case 'tell': {
        const bytes = encodeControl({ kind: 'topology', topology: effect.topology });
        for (const session of this.#sessions) {
          if (session.ends.includes(node.at)) {
            this.#send(session, node.at, { kind: 'control', bytes });
          }
        }
        return;
      }
      case 'note':
        return;
    }
  }

  #announce(node: SwitchNode, effect: SwitchEffect & { type: 'announce' }): void {
    const peer = effect.node;
    if (effect.what === 'neighbourDown') {
      node.chosen.delete(peer);
      return node.router.linkDown(this.now, peer);
    }
    node.chosen.set(peer, effect.session);
    const other = this.node(this.#numberOf(peer));
    if (effect.what === 'neighbourUp') node.router.memberJoined(this.now, peer, other.boot);
    node.router.linkUp(this.now, peer);
  }

  #dial(node: SwitchNode, effect: SwitchEffect & { type: 'dial' }): void {
    const { target, mark, addresses } = effect;
    const to = Number(addresses[0]?.host.slice(1) ?? -1);
    const { boot } = node;
    this.at(this.now + this.#latency() * 3, () => {
      if (!node.isUp || node.boot !== boot) return;
      const peer = this.nodes[to];
      const isBlocked = this.#isolated.has(node.at) || this.#isolated.has(to);
      if (peer?.isUp !== true || to === node.at || isBlocked) {
        return this.feed(node.at, { type: 'dialFailed', target, answeredBySelf: false, mark });
      }
      const session: Session = {
        number: this.#sessions.length,
        ends: [node.at, to],
        isOpen: [true, true],
        lastAt: [0, 0],
        seed: target.kind === 'seed' ? target.seed : undefined,
        isCut: false,
      };
      this.#sessions.push(session);
      this.#greet(session, 0, mark);
      this.#greet(session, 1, { epoch: 0, by: '' });
    });
  }

  /** Each end says hello first. */
  #greet(session: Session, side: 0 | 1, mark: TopologyMark): void {
    const node = this.node(session.ends[side]);
    if (side === 0) this.#marks.set(String(session.number), mark);
    const hello: ControlMessage = {
      kind: 'hello',
      boot: node.boot,
      instance: 1,
      name: 'sim',
      port: 1,
      neighbours: [...node.chosen.keys()],
      overlay: this.#options.overlay,
      topology: node.board.topology(),
      mark,
    };
    this.#send(session, node.at, { kind: 'control', bytes: encodeControl(hello) });
  }

  #close(number: number, at: number, reason: string): void {
    const session = this.#sessions[number];
    const side = session?.ends[0] === at ? 0 : 1;
    if (session?.isOpen[side] !== true) return;
    this.#send(session, at, { kind: 'close' });
    this.#ended(session, side, reason);
  }

  #ended(session: Session, side: 0 | 1, reason: string): void {
    if (!session.isOpen[side]) return;
    session.isOpen[side] = false;
    const at = session.ends[side];
    const { id } = this.node(session.ends[1 - side] as number);
    const { boot } = this.node(at);
    this.at(this.now, () => {
      if (this.node(at).boot !== boot) return;
      this.feed(at, { type: 'linkClosed', node: id, session: session.number, reason });
    });
  }

  /** What is on its way is lost, and each end notices at its own time. */
  #cut(session: Session): void {
    if (session.isCut) return;
    session.isCut = true;
    for (const side of [0, 1] as const) {
      this.at(this.now + this.random.below(1_500), () => this.#ended(session, side, 'silent'));
    }
  }

  #latency(): Millis {
    return 1 + this.random.unit() * 4;
  }

  #control(at: number, peer: NodeId, message: ControlMessage): void {
    const session = this.#sessions[this.node(at).chosen.get(peer) ?? -1];
    if (session === undefined) return;
    this.#send(session, at, { kind: 'control', bytes: encodeControl(message) });
  }

  /** First in, first out; lost when the session is cut, and what comes to an end that has hung up is not read. */
  #send(session: Session, from: number, packet: Packet): void {
    const side = session.ends[0] === from ? 0 : 1;
    if (!session.isOpen[side] || session.isCut) return;
    const other = (1 - side) as 0 | 1;
    session.lastAt[side] = Math.max(session.lastAt[side] + 1e-6, this.now + this.#latency());
    const { boot } = this.node(session.ends[other]);
    this.at(session.lastAt[side], () => {
      const to = this.node(session.ends[other]);
      if (session.isCut || !session.isOpen[other] || !to.isUp || to.boot !== boot) return;
      this.#arrived(session, other, to, this.node(from), packet);
    });
  }

  #arrived(session: Session, side: 0 | 1, to: SwitchNode, from: SwitchNode, packet: Packet): void {
    const { now } = this;
    if (packet.kind === 'close') return this.#ended(session, side, 'hung up');
    if (packet.kind === 'data') {
      const envelope = readEnvelope(packet.raw);
      if (envelope === undefined) throw new Error('a router sent what no router reads');
      return to.router.received(now, from.id, envelope, packet.raw);
    }
    const said = decodeControl(packet.bytes);
    const message = said === 'unknown' ? undefined : said;
    switch (message?.kind) {
      case 'hello': {
        const own = this.#marks.get(String(session.number)) ?? message.mark;
        const { boot, overlay, topology, neighbours } = message;
        return this.feed(to.at, {
          type: 'linkOpened',
          node: from.id,
          boot,
          isDialler: side === 0,
          session: session.number,
          seed: side === 0 ? session.seed : undefined,
          overlay,
          neighbours,
          topology,
          mark: side === 0 ? own : message.mark,
        });
      }
      case 'overlay': {
        const said = decodeOverlayMessage(message.bytes);
        if (said === undefined) throw new Error('an overlay sent what no overlay reads');
        const { number } = session;
        return this.feed(to.at, {
          type: 'received',
          node: from.id,
          session: number,
          message: said,
        });
      }
      case 'topology':
        return this.feed(to.at, { type: 'topologyHeard', topology: message.topology });
      case 'letter':
        return to.router.letterReceived(now, from.id, message.letter);
      case 'neighbours':
        this.feed(to.at, { type: 'neighboursHeard', node: from.id, neighbours: message.ids });
        return to.router.neighboursHeard(from.id, message.ids);
      case 'interest': {
        const said = decodeInterest(message.bytes);
        if (said === undefined) throw new Error('a router sent what no router reads');
        return to.router.interestReceived(now, from.id, said);
      }
      default:
        throw new Error('nobody reads this');
    }
  }

  #offer(node: SwitchNode, payload: Uint8Array): boolean {
    const hlc = { wallMs: 1_000 + this.now, count: node.at };
    const publication = { topic: `sim/${node.at}`, payload, qos: 1 as const, retain: false, hlc };
    return node.router.publish(this.now, publication) === 'taken';
  }

  #retry(at: number): void {
    const queue = this.#backlog.get(at) ?? [];
    while (queue.length > 0) queue.shift()?.();
  }
}

function addressesOf(at: number): readonly { readonly host: string; readonly port: number }[] {
  return [{ host: `n${at}`, port: 1883 }];
}
