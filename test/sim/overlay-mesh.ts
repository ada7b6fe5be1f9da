/**
 * A simulated mesh of production overlays: dials, sessions and what overlays say to each other, instantly or with latency.
 *
 * Membership is left out unless a test feeds it: what a node knows of others it knows from walks, as in the paper.
 */

import type { Address } from '../../src/kernel/address.ts';
import type { Millis } from '../../src/kernel/core.ts';
import type { NodeId } from '../../src/kernel/ids.ts';
import { createRandom, shuffle } from '../../src/kernel/random.ts';
import type { Random } from '../../src/kernel/random.ts';
import type {
  Overlay,
  OverlayEffect,
  OverlayInput,
  OverlayName,
} from '../../src/protocol/overlay/overlay.ts';
import { EventHeap } from './event-heap.ts';
import { simNodeId } from './routing-mesh.ts';

/** How to build the overlay of a node. */
export type OverlayFactory = (self: NodeId, boot: number, random: Random, at: number) => Overlay;

/** Knobs of the simulation. */
export interface OverlayMeshOptions {
  readonly seed: number;
  readonly create: OverlayFactory;
  /** What a node says it runs. @default every node 'hyparview' */
  readonly overlayOf?: (at: number) => OverlayName;
  /** One-way latency in ms: min + a uniform share of the spread. @default none: everything arrives at once, in order */
  readonly latencyMs?: { readonly min: number; readonly spread: number };
  /** How long a dial to a node without power hangs, in ms. @default 0 */
  readonly deadDialMs?: Millis;
  /** Told of every effect, for what is built on top. */
  readonly watch?: (at: number, effect: OverlayEffect) => void;
}

/** A node. */
export interface OverlayNode {
  readonly id: NodeId;
  readonly addresses: readonly Address[];
  boot: number;
  core: Overlay;
  isUp: boolean;
  /** Whom it was told are its neighbours. */
  neighbours: NodeId[];
}

/** What a node holds, by number. */
export interface Views {
  readonly active: readonly number[];
  readonly passive: readonly number[];
}

/** Stands for a node that is down. */
const inert: Overlay = {
  step: () => [],
  deadline: () => Infinity,
  view: () => ({ neighbours: [], candidates: [], passive: [], seeds: [] }),
};

/** One connection. */
interface Session {
  readonly ends: readonly [number, number];
  readonly isOpen: [boolean, boolean];
  /** When the last thing sent by each end arrives: first in, first out. */
  readonly lastAt: [Millis, Millis];
}

/** A mesh of overlays in virtual time. Same options and calls: same run. */
export class OverlayMesh {
  readonly nodes: OverlayNode[] = [];
  readonly random: Random;
  now: Millis = 0;
  /** Things done since the start, by kind of effect. */
  readonly counts: Record<OverlayEffect['type'], number> = {
    announce: 0,
    dial: 0,
    hangUp: 0,
    note: 0,
    send: 0,
  };
  #options: OverlayMeshOptions;
  #sessions: Session[] = [];
  #sessionOf: Map<number, Set<number>> = new Map();
  #numbers = new Map<NodeId, number>();
  #queue: (() => void)[] = [];
  #agenda = new EventHeap();
  #isBlocked: (left: number, right: number) => boolean = () => false;
  #isMuted = false;

  constructor(options: OverlayMeshOptions) {
    this.#options = options;
    this.random = createRandom(options.seed);
  }

  node(at: number): OverlayNode {
    const node = this.nodes[at];
    if (node === undefined) throw new RangeError(`no node ${at}`);
    return node;
  }

  numberOf(id: NodeId): number {
    return this.#numbers.get(id) ?? -1;
  }

  live(): number[] {
    return [...this.nodes.keys()].filter((at) => this.node(at).isUp);
  }

  /** Adds a node that knows nobody; one that is down from the start has no core. */
  add(isUp = true): number {
    const at = this.nodes.length;
    const id = simNodeId(at);
    this.#numbers.set(id, at);
    const core = isUp ? this.#options.create(id, 1, this.random.split(), at) : inert;
    const addresses = [{ host: `n${at}`, port: 1883 }];
    this.nodes.push({ id, addresses, boot: 1, core, isUp, neighbours: [] });
    this.feed(at, { type: 'selfMoved', addresses });
    return at;
  }

  /** A node learns of another one, as by discovery. */
  sight(at: number, other: number): void {
    const { id, addresses } = this.node(other);
    this.feed(at, { type: 'sighted', node: id, addresses });
  }

  memberUp(at: number, other: number): void {
    const { id, addresses } = this.node(other);
    this.feed(at, { type: 'memberUp', node: id, addresses });
  }

  memberGone(at: number, other: number): void {
    this.feed(at, { type: 'memberGone', node: this.node(other).id, reason: 'dead' });
  }

  /** Power off. Its peers notice after up to this long. */
  kill(at: number, noticeMsMax: Millis = 0): void {
    const node = this.node(at);
    node.isUp = false;
    node.neighbours = [];
    for (const number of this.#sessionOf.get(at) ?? []) this.#cut(number, noticeMsMax);
  }

  /** Every link to a node that is down is noticed, as a reset or a missed heartbeat shows it. */
  noticeDead(): void {
    for (const [number, { ends }] of this.#sessions.entries()) {
      if (ends.some((at) => !this.node(at).isUp)) this.#cut(number, 0);
    }
  }

  /** Comes back with an empty memory and a higher boot counter. */
  revive(at: number): void {
    const node = this.node(at);
    node.boot += 1;
    node.isUp = true;
    node.core = this.#options.create(node.id, node.boot, this.random.split(), at);
    this.feed(at, { type: 'selfMoved', addresses: node.addresses });
  }

  /** Cuts the sessions between blocked pairs, and lets none be made until the next call. */
  block(isBlocked: (left: number, right: number) => boolean): void {
    this.#isBlocked = isBlocked;
    for (const [number, { ends }] of this.#sessions.entries()) {
      if (isBlocked(...ends)) this.#cut(number, 0);
    }
  }

  /** Cuts what connects two nodes. */
  cutLink(left: number, right: number): void {
    for (const number of this.#sessionOf.get(left) ?? []) {
      if (this.#sessions[number]?.ends.includes(right) === true) this.#cut(number, 0);
    }
  }

  feed(at: number, input: OverlayInput): void {
    const node = this.node(at);
    if (!node.isUp) return;
    for (const effect of node.core.step(this.now, input)) {
      this.counts[effect.type] += 1;
      if (!this.#isMuted) this.#run(at, effect);
    }
  }

  /** Carries out everything that is under way, without time passing. */
  drain(): void {
    for (let rounds = 0; this.#queue.length > 0; rounds += 1) {
      if (rounds > 100_000) throw new Error(`livelock, seed ${this.#options.seed}`);
      const due = this.#queue;
      this.#queue = [];
      for (const call of due) call();
    }
  }

  /** One period of everybody, in so many ticks, one node after the other in random order, as in the paper's simulator. */
  cycle(periodMs: Millis, ticks: number): void {
    const order = this.live();
    for (let tick = 0; tick < ticks; tick += 1) {
      this.now += periodMs / ticks;
      shuffle(this.random, order);
      for (const at of order) {
        this.feed(at, { type: 'tick' });
        this.drain();
      }
    }
  }

  at(when: Millis, call: () => void): void {
    this.#agenda.push(Math.max(when, this.now), this.random.below(2 ** 30), call);
  }

  /** Runs until `end`; timers fire at their deadlines. */
  runUntil(end: Millis): void {
    for (let atOnce = 0; ; atOnce += 1) {
      this.drain();
      if (atOnce > 100_000) throw new Error(`livelock at ${this.now}, seed ${this.#options.seed}`);
      let sleeper = -1;
      let due = Infinity;
      for (const [at, { core, isUp }] of this.nodes.entries()) {
        const deadline = isUp ? core.deadline() : Infinity;
        if (deadline < due) [sleeper, due] = [at, deadline];
      }
      const next = Math.min(due, this.#agenda.nextAt());
      if (next > end) break;
      if (next > this.now) atOnce = 0;
      this.now = Math.max(this.now, next);
      if (this.#agenda.nextAt() <= due) this.#agenda.pop()?.();
      else this.feed(sleeper, { type: 'tick' });
    }
    this.now = end;
  }

  /** Links that both ends hold, and those that only one does, as their cores show. */
  links(): { readonly mutual: number; readonly oneSided: number } {
    const held = new Set<string>();
    for (const at of this.live()) {
      const { id, core } = this.node(at);
      for (const { node } of core.view().neighbours) held.add(`${id} ${node}`);
    }
    let mutual = 0;
    for (const link of held) {
      const [left = '', right = ''] = link.split(' ');
      if (held.has(`${right} ${left}`)) mutual += 1;
    }
    return { mutual: mutual / 2, oneSided: held.size - mutual };
  }

  /**
   * Adds nodes with the given views through their own inputs; what they would do meanwhile is not done. Those that are
   * down stay in the views of the others.
   */
  restore(views: readonly Views[], isUp: (at: number) => boolean): void {
    this.#isMuted = true;
    for (const at of views.keys()) this.add(isUp(at));
    for (const [at, { active }] of views.entries()) {
      this.node(at).neighbours = active.map((one) => this.node(one).id);
      for (const other of active) if (other > at) this.#join(at, other);
    }
    for (const [at, { active, passive }] of views.entries()) {
      const via = active[0];
      if (via === undefined || !this.node(at).isUp) continue;
      const session = this.#sessionWith(at, via);
      for (let from = 0; from < passive.length; from += 8) {
        const peers = passive.slice(from, from + 8).map((one) => this.#hint(one));
        const message = { kind: 'shuffle-reply', path: [], peers } as const;
        this.feed(at, { type: 'received', node: this.node(via).id, session, message });
      }
      for (const other of active) {
        const { id: node, neighbours } = this.node(other);
        this.feed(at, { type: 'neighboursHeard', node, neighbours });
      }
    }
    this.#isMuted = false;
  }

  #hint(at: number): { readonly node: NodeId; readonly addresses: readonly Address[] } {
    const { id, addresses } = this.node(at);
    return { node: id, addresses };
  }

  #sessionWith(at: number, other: number): number {
    for (const number of this.#sessionOf.get(at) ?? []) {
      if (this.#sessions[number]?.ends.includes(other) === true) return number;
    }
    return -1;
  }

  /** A link that both ends were asked for. */
  #join(left: number, right: number): void {
    const session = this.#open(left, right);
    for (const [at, peer] of [[left, right] as const, [right, left] as const]) {
      const { id: node, addresses } = this.node(peer);
      this.feed(at, this.#opened(node, session, false, undefined, peer));
      const message = { kind: 'neighbour', isUrgent: false, addresses } as const;
      this.feed(at, { type: 'received', node, session, message });
    }
  }

  #opened(
    node: NodeId,
    session: number,
    isDialler: boolean,
    seed: string | undefined,
    peer: number,
  ): OverlayInput {
    const { boot, neighbours } = this.node(peer);
    const overlay = this.#options.overlayOf?.(peer) ?? 'hyparview';
    return { type: 'linkOpened', node, boot, isDialler, session, seed, overlay, neighbours };
  }

  #open(dialler: number, acceptor: number): number {
    const number = this.#sessions.length;
    this.#sessions.push({ ends: [dialler, acceptor], isOpen: [true, true], lastAt: [0, 0] });
    for (const end of [dialler, acceptor]) {
      const known = this.#sessionOf.get(end);
      if (known === undefined) this.#sessionOf.set(end, new Set([number]));
      else known.add(number);
    }
    return number;
  }

  #later(from: Session | undefined, side: 0 | 1, call: () => void): void {
    const latency = this.#options.latencyMs;
    if (latency === undefined) {
      this.#queue.push(call);
      return;
    }
    let at = this.now + latency.min + this.random.unit() * latency.spread;
    if (from !== undefined) from.lastAt[side] = at = Math.max(at, from.lastAt[side] + 1e-6);
    this.at(at, call);
  }

  #run(at: number, effect: OverlayEffect): void {
    this.#options.watch?.(at, effect);
    switch (effect.type) {
      case 'dial':
        return this.#dial(at, effect);
      case 'hangUp':
        return this.#hangUp(at, effect.session, effect.reason);
      case 'send': {
        const session = this.#sessions[effect.session];
        const side = session?.ends[0] === at ? 0 : 1;
        if (session?.isOpen[side] !== true) return;
        const { message } = effect;
        const node = this.node(at).id;
        const to = session.ends[1 - side] as number;
        this.#later(session, side, () => {
          if (session.isOpen[1 - side] !== true) return;
          this.feed(to, { type: 'received', node, session: effect.session, message });
        });
        return;
      }
      case 'announce':
        return this.#announce(at, effect);
      case 'note':
        return;
    }
  }

  #dial(at: number, { target, addresses }: OverlayEffect & { type: 'dial' }): void {
    const { boot, id } = this.node(at);
    const host = addresses[0]?.host ?? '';
    const to = Number(host.slice(1));
    this.#later(undefined, 0, () => {
      const node = this.node(at);
      if (!node.isUp || node.boot !== boot) return;
      const peer = this.nodes[to];
      const isRight = target.kind === 'seed' || target.node === peer?.id;
      if (to === at || peer?.isUp !== true || !isRight || this.#isBlocked(at, to)) {
        const fail = (): void => {
          if (!node.isUp || node.boot !== boot) return;
          this.feed(at, { type: 'dialFailed', target, answeredBySelf: to === at });
        };
        const hangMs = peer?.isUp === false ? (this.#options.deadDialMs ?? 0) : 0;
        if (hangMs === 0) fail();
        else this.at(this.now + hangMs, fail);
        return;
      }
      const number = this.#open(at, to);
      const seed = target.kind === 'seed' ? target.seed : undefined;
      const session = this.#sessions[number];
      // Each hello was written when the session opened, and takes its way.
      const forDialler = this.#opened(peer.id, number, true, seed, to);
      const forAcceptor = this.#opened(id, number, false, undefined, at);
      this.#later(session, 1, () => session?.isOpen[0] === true && this.feed(at, forDialler));
      this.#later(session, 0, () => session?.isOpen[1] === true && this.feed(to, forAcceptor));
    });
  }

  #hangUp(at: number, number: number, reason: string): void {
    const session = this.#sessions[number];
    const side = session?.ends[0] === at ? 0 : 1;
    if (session?.isOpen[side] !== true) return;
    this.#close(number, side, reason);
    this.#later(session, side, () => this.#close(number, (1 - side) as 0 | 1, 'hung up'));
  }

  /** This end is closed, and is told so in a later turn. */
  #close(number: number, side: 0 | 1, reason: string): void {
    const session = this.#sessions[number];
    if (session?.isOpen[side] !== true) return;
    session.isOpen[side] = false;
    const at = session.ends[side] as number;
    const node = this.node(session.ends[1 - side] as number).id;
    const { boot } = this.node(at);
    this.#queue.push(() => {
      if (this.node(at).boot === boot) {
        this.feed(at, { type: 'linkClosed', node, session: number, reason });
      }
    });
    if (session.isOpen[1 - side] === true) return;
    for (const end of session.ends) this.#sessionOf.get(end)?.delete(number);
  }

  #cut(number: number, noticeMsMax: Millis): void {
    for (const side of [0, 1] as const) {
      if (noticeMsMax === 0) this.#close(number, side, 'cut');
      else {
        const late = this.now + this.random.unit() * noticeMsMax;
        this.at(late, () => this.#close(number, side, 'silent'));
      }
    }
  }

  #announce(at: number, effect: OverlayEffect & { type: 'announce' }): void {
    const self = this.node(at);
    if (effect.what === 'neighbourMoved') return;
    if (effect.what === 'neighbourUp') self.neighbours = [...self.neighbours, effect.node];
    else self.neighbours = self.neighbours.filter((node) => node !== effect.node);
    const { id: node, neighbours } = self;
    for (const peer of neighbours) {
      const to = this.numberOf(peer);
      this.#later(undefined, 0, () => this.feed(to, { type: 'neighboursHeard', node, neighbours }));
    }
  }
}
