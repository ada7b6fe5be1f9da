/** A simulated mesh of production routers: links with latency, room and flaps, and a log of everything delivered. */

import type { Millis } from '../../src/kernel/core.ts';
import { nodeIdFromHash } from '../../src/kernel/ids.ts';
import { isShared, sharedFilter, topicMatches } from '../../src/kernel/topic.ts';
import type { NodeId } from '../../src/kernel/ids.ts';
import { createRandom } from '../../src/kernel/random.ts';
import type { Random } from '../../src/kernel/random.ts';
import type { Envelope, Letter } from '../../src/protocol/routing/messages.ts';
import { createRouter } from '../../src/protocol/routing/router.ts';
import { withoutTorn } from '../../src/protocol/routing/parts.ts';
import type { Leftover } from '../../src/protocol/routing/leftover.ts';
import type { Router, RouterConfig } from '../../src/protocol/routing/router-world.ts';
import { envelopeCodec, readEnvelope } from '../../src/wire/envelope.ts';
import { createMetrics } from '../../src/adapters/system/metrics.ts';
import { createTreeRelay } from '../../src/runtime/routing/tree-relay.ts';
import type { TreeRelay } from '../../src/runtime/routing/tree-relay.ts';
import { decodeBroadcast, encodeBroadcast } from '../../src/wire/broadcast-codec.ts';
import { decodeControl, encodeControl } from '../../src/wire/control.ts';
import { decodeInterest, encodeInterest } from '../../src/wire/interest-codec.ts';
import type { ControlMessage } from '../../src/wire/control.ts';
import { EventHeap } from './event-heap.ts';

/** Two node numbers. */
export type Edge = readonly [number, number];

/** Knobs of a simulated mesh. */
export interface RoutingMeshOptions {
  readonly seed: number;
  readonly count: number;
  readonly edges: readonly Edge[];
  /** One-way latency of a record in ms: min + a uniform share of the spread. @default 1 + 4 */
  readonly latencyMs?: { readonly min: number; readonly spread: number };
  /** Data records that a link takes before it is saturated. @default 64 */
  readonly linkRoom?: number;
  /** Share of data records that arrive twice. @default 0 */
  readonly duplication?: number;
  readonly router?: Partial<RouterConfig>;
  /** Own events are on a disk after so many ms, and may then leave the memory. @default there is none */
  readonly diskMs?: Millis;
  /** Another router, and what leaves torn messages out of a journal: mutants. @default the production ones */
  readonly parts?: RouterParts;
  /** Relay along trees where that pays, as nodes do. @default false */
  readonly isTree?: boolean;
}

/** What a simulated node is made of. */
export interface RouterParts {
  readonly createRouter: typeof createRouter;
  readonly withoutTorn: typeof withoutTorn;
}

/** One direction of a link. */
interface Pipe {
  queued: number;
  lastAt: Millis;
  isBlocked: boolean;
}

interface SimLink {
  readonly ends: Edge;
  isOpen: boolean;
  /** Counts openings: what was in flight on an earlier one is lost. */
  session: number;
  pipes: [Pipe, Pipe];
}

/** What one node was handed. */
export interface NodeLog {
  readonly events: Map<NodeId, number[]>;
  readonly signals: Map<NodeId, number[]>;
  readonly retained: Map<string, string>;
  /** Retained values that came by synchronisation and were shown to present subscribers. */
  readonly shown: { readonly origin: NodeId; readonly seq: number; readonly text: string }[];
  readonly parcels: string[];
  /** Events by topic: what each origin's payloads said, in order. */
  readonly heard: Map<NodeId, { readonly topic: string; readonly text: string }[]>;
  /** What members of groups on the node took, in order. */
  readonly shared: { readonly filter: string; readonly text: string }[];
  gaps: number;
  /** How often it heard of a gap, also of one whose size it cannot know. */
  gapCount: number;
  /** Events of its own that it told it gave up. */
  forfeited: number;
  /** Most bytes that its outbox had in memory. */
  outboxBytesMax: number;
}

/** The outbox of a node as its disk has it. */
interface SimOutboxDisk {
  events: Map<number, Uint8Array>;
  writtenTo: number;
  /** Counts power cuts: what was about to be written or read then is not. */
  life: number;
  isDue: boolean;
}

/** A node of the simulation. */
export interface SimNode {
  readonly id: NodeId;
  boot: number;
  router: Router;
  log: NodeLog;
  /** Events waiting for room in the outbox. */
  readonly backlog: { topic: string; payload: Uint8Array; retain: boolean }[];
  published: number;
  /** The groups that have members on the node. */
  readonly groups: Set<string>;
}

/** The id of node number `at`. */
export function simNodeId(at: number): NodeId {
  const hash = new Uint8Array(16);
  new DataView(hash.buffer).setUint32(0, at + 1);
  hash[15] = at & 0xff;
  return nodeIdFromHash(hash);
}

/** A mesh of routers in virtual time. Same options and calls: same run. */
export class RoutingMesh {
  readonly nodes: SimNode[] = [];
  readonly links: SimLink[] = [];
  readonly random: Random;
  /** Crossings of plain (not addressed) messages: `origin seq from>to` to how often. */
  readonly crossings: Map<string, number> = new Map();
  readonly drops: Map<string, number> = new Map();
  addressedCount = 0;
  letterCount = 0;
  interestCount = 0;
  broadcastCount = 0;
  now: Millis = 0;
  #agenda = new EventHeap();
  #options: RoutingMeshOptions;
  #deadlines: Millis[] = [];
  #linkOf = new Map<number, SimLink>();
  #touched = new Set<number>();
  #numbers = new Map<NodeId, number>();

  constructor(options: RoutingMeshOptions) {
    this.#options = options;
    this.random = createRandom(options.seed);
    for (let at = 0; at < options.count; at += 1) {
      const id = simNodeId(at);
      this.#numbers.set(id, at);
      const groups = new Set<string>();
      const node = { id, boot: 1, backlog: [], published: 0, log: emptyLog(), groups };
      this.nodes.push({ ...node, router: this.#createRouter(at, 1) });
    }
    for (const ends of options.edges) {
      const link: SimLink = { ends, isOpen: false, session: 0, pipes: [freshPipe(), freshPipe()] };
      this.links.push(link);
      this.#linkOf.set(ends[0] * 1_000 + ends[1], link);
      this.#linkOf.set(ends[1] * 1_000 + ends[0], link);
    }
  }

  node(at: number): SimNode {
    const node = this.nodes[at];
    if (node === undefined) throw new RangeError(`no node ${at}`);
    return node;
  }

  /** Everybody hears of everybody, then these links open. */
  start(links: readonly SimLink[] = this.links): void {
    for (const left of this.nodes) {
      for (const right of this.nodes) {
        if (left !== right) left.router.memberJoined(this.now, right.id, right.boot);
      }
    }
    for (const link of links) this.open(link);
  }

  open(link: SimLink): void {
    if (link.isOpen) return;
    link.isOpen = true;
    link.session += 1;
    link.pipes = [freshPipe(), freshPipe()];
    const [left, right] = link.ends;
    this.#router(left).linkUp(this.now, this.node(right).id);
    this.#router(right).linkUp(this.now, this.node(left).id);
    for (const [at, peer] of [link.ends, [right, left] as const]) {
      const digest = this.node(at).router.retained.digest();
      this.#sendControl(at, this.node(peer).id, { kind: 'retained-digest', digest });
    }
  }

  /** What is in flight is lost. Each end notices at its own time. */
  cut(link: SimLink, noticeMsMax: Millis = 0): void {
    if (!link.isOpen) return;
    link.isOpen = false;
    link.session += 1;
    const { session } = link;
    const [left, right] = link.ends;
    for (const [at, peer] of [link.ends, [right, left] as const]) {
      this.at(this.now + this.random.below(noticeMsMax + 1), () => {
        if (link.session === session) this.#router(at).linkDown(this.now, this.node(peer).id);
      });
    }
  }

  /** A node starts again with an empty memory and a higher boot counter; its links were cut before. */
  restart(at: number): void {
    const node = this.node(at);
    node.boot += 1;
    node.router = this.#createRouter(at, node.boot);
    node.log = emptyLog();
    node.published = 0;
    node.backlog.length = 0;
    for (const other of this.nodes) {
      if (other === node) continue;
      node.router.memberJoined(this.now, other.id, other.boot);
      other.router.memberJoined(this.now, node.id, node.boot);
      other.log.events.delete(node.id);
    }
  }

  /**
   * A node loses power and starts again with what its disk had: the events up to `writtenTo`, and nothing else. Its links
   * were cut before.
   */
  powerCut(at: number, writtenTo: number): void {
    const node = this.node(at);
    const events: Leftover['events'][number][] = [];
    const disk = this.#disks.get(at);
    const after = Math.min(writtenTo, disk?.writtenTo ?? 0);
    for (const [seq, raw] of disk?.events ?? []) {
      const owed = node.router.owedTo(seq);
      // What is read first stays in memory.
      const isHere = events.length < 3;
      if (seq > writtenTo || owed.length === 0) continue;
      events.push({ seq, owed, bytes: raw.length, raw: isHere ? raw.slice() : undefined });
    }
    node.router.unsettled(after, writtenTo, (raw, owed, seq) => {
      events.push({ seq, owed, bytes: raw.length, raw: raw.slice() });
    });
    const rawOf = (one: (typeof events)[number]): Uint8Array =>
      one.raw ?? disk?.events.get(one.seq) ?? new Uint8Array();
    const parts = this.#options.parts ?? { createRouter, withoutTorn };
    const whole = parts.withoutTorn(events, (one) => readEnvelope(rawOf(one))?.part);
    const [first] = whole;
    const boot = first === undefined ? 0 : (readEnvelope(rawOf(first))?.boot ?? 0);
    if (disk !== undefined) {
      disk.events = new Map(whole.map((one) => [one.seq, rawOf(one)]));
      disk.writtenTo = whole.at(-1)?.seq ?? 0;
      disk.life += 1;
    }
    const nextSeq = node.router.lastSeq() + 2 ** 38;
    const leftover = first && { boot, nextSeq, at: this.now, events: whole };
    node.boot += 1;
    node.router = this.#createRouter(at, node.boot, leftover);
    node.log = emptyLog();
    node.backlog.length = 0;
  }

  /** How far the disk of a node has its outbox. */
  diskUpTo(at: number): number {
    return this.#disks.get(at)?.writtenTo ?? 0;
  }

  /** Publishes the next event of a node: its payload is the count. */
  publishEvent(at: number, retain?: { readonly topic: string; readonly payload: string }): void {
    const node = this.node(at);
    node.published += 1;
    node.backlog.push({
      topic: retain?.topic ?? `sim/${at}`,
      payload: new TextEncoder().encode(retain?.payload ?? String(node.published)),
      retain: retain !== undefined,
    });
    this.#drainBacklog(at);
  }

  /** Publishes an event to a topic; `text` is its payload. */
  publishTo(at: number, topic: string, text: string): void {
    const node = this.node(at);
    node.published += 1;
    node.backlog.push({ topic, payload: new TextEncoder().encode(text), retain: false });
    this.#drainBacklog(at);
  }

  publishSignal(at: number, count: number, topic = 's'): void {
    const payload = new TextEncoder().encode(String(count));
    const hlc = { wallMs: 1_000 + this.now, count: 0 };
    this.#router(at).publish(this.now, { topic, payload, qos: 0, retain: false, hlc });
    this.#publishHere(at, topic, payload);
  }

  #publishHere(at: number, topic: string, payload: Uint8Array): void {
    const text = new TextDecoder().decode(payload);
    const { log } = this.node(at);
    for (const filter of this.#groupsAt(at, topic)) log.shared.push({ filter, text });
  }

  /** What the subscribers of a node want from now on; shared subscriptions make it a member of their groups. */
  want(at: number, filters: readonly string[]): void {
    const { groups } = this.node(at);
    groups.clear();
    for (const filter of filters) if (isShared(filter)) groups.add(filter);
    this.#router(at).wants(new Set(filters), 1_000 + this.now);
  }

  at(when: Millis, call: () => void): void {
    this.#agenda.push(Math.max(when, this.now), this.random.below(2 ** 30), call);
  }

  /** Runs until `end`; timers of the routers fire at their deadlines. */
  runUntil(end: Millis): void {
    for (const at of this.nodes.keys()) this.#touched.add(at);
    for (let atOnce = 0; ; atOnce += 1) {
      if (atOnce > 200_000) throw new Error(`livelock at ${this.now}, seed ${this.#options.seed}`);
      const sleeper = this.#nextSleeper();
      const due = this.#deadlines[sleeper] ?? Infinity;
      const next = Math.min(due, this.#agenda.nextAt());
      if (next > end) break;
      if (next > this.now) atOnce = 0;
      this.now = Math.max(this.now, next);
      if (this.#agenda.nextAt() <= due) this.#agenda.pop()?.();
      else {
        this.#router(sleeper).tick(this.now);
        if (this.node(sleeper).router.deadline() <= this.now) {
          throw new Error(`a deadline stays in the past, seed ${this.#options.seed}`);
        }
      }
    }
    this.now = end;
  }

  /** The router of a node that is about to be called: its deadline may change. */
  #router(at: number): Router {
    this.#touched.add(at);
    return this.node(at).router;
  }

  #nextSleeper(): number {
    for (const at of this.#touched) this.#deadlines[at] = this.node(at).router.deadline();
    this.#touched.clear();
    let soonest = 0;
    for (const [at, deadline] of this.#deadlines.entries()) {
      if (deadline < (this.#deadlines[soonest] ?? Infinity)) soonest = at;
    }
    return soonest;
  }

  #drainBacklog(at: number): void {
    const { backlog } = this.node(at);
    const router = this.#router(at);
    for (let next = backlog[0]; next !== undefined; next = backlog[0]) {
      const hlc = { wallMs: 1_000 + this.now, count: at };
      this.#writeSoon(at);
      if (router.publish(this.now, { ...next, qos: 1, hlc }) === 'full') return;
      backlog.shift();
      this.#publishHere(at, next.topic, next.payload);
    }
  }

  /** What the disks have of the outboxes. */
  #disks = new Map<number, SimOutboxDisk>();

  /** What is owed when the time has come is on the disk. */
  #writeSoon(at: number, afterMs = this.#options.diskMs): void {
    const { log, router } = this.node(at);
    log.outboxBytesMax = Math.max(log.outboxBytesMax, router.view().outbox.bytes);
    const disk = this.#disks.get(at);
    if (disk === undefined || disk.isDue || afterMs === undefined) return;
    const { life } = disk;
    disk.isDue = true;
    this.at(this.now + afterMs, () => {
      disk.isDue = false;
      if (disk.life !== life) return;
      const upTo = router.lastSeq();
      router.unsettled(disk.writtenTo, upTo, (raw, _owed, seq) => {
        disk.events.set(seq, raw.slice());
      });
      disk.writtenTo = upTo;
      this.#router(at).written(upTo);
    });
  }

  #bring(at: number, seq: number): void {
    const disk = this.#disks.get(at);
    if (disk === undefined) throw new Error('a router without a disk asks for what is on it');
    const { life } = disk;
    this.at(this.now + this.#latency(), () => {
      if (disk.life !== life) return;
      const some = [...disk.events]
        .filter(([one]) => one >= seq)
        .slice(0, 20)
        .map(([one, raw]) => ({ seq: one, raw: raw.slice() }));
      this.#router(at).brought(this.now, some);
    });
  }

  #trees = new Map<number, TreeRelay>();

  #createTrees(at: number): TreeRelay {
    const trees = createTreeRelay({
      self: simNodeId(at),
      profile: 'wired',
      clock: {
        now: () => this.now,
        wallMs: () => this.now,
        alarm: (when, call) => {
          let isOff = false;
          this.at(when, () => isOff || call());
          return () => void (isOff = true);
        },
      },
      random: this.random.split(),
      metrics: createMetrics(),
      memberCount: () => this.nodes.length - 1,
      rttMs: () => 5,
      send: (peer, message) => {
        this.broadcastCount += 1;
        const bytes = encodeBroadcast(message);
        this.#sendControl(at, peer, { kind: 'broadcast', bytes });
      },
      forward: (peer, raw, isEvent) => this.#router(at).repeat(peer, raw, isEvent),
      holds: ({ origin, boot, seq, stream }) =>
        this.node(at).router.hasSeen(origin, boot, seq, stream === 1),
    });
    this.#trees.set(at, trees);
    return trees;
  }

  #createRouter(at: number, boot: number, leftover?: Leftover): Router {
    const self = simNodeId(at);
    const count = (reason: string, by: number): void => {
      this.drops.set(reason, (this.drops.get(reason) ?? 0) + by);
    };
    const config: RouterConfig = {
      self,
      boot,
      random: this.random.split(),
      codec: envelopeCodec,
      observeHlc: () => true,
      groups: {
        has: (filter) => this.node(at).groups.has(filter),
        matching: (topic) => this.#groupsAt(at, topic),
      },
      leftover,
      ...(this.#options.isTree === true ? { relay: this.#createTrees(at).policy } : {}),
      ...this.#options.router,
    };
    if (this.#options.diskMs !== undefined && !this.#disks.has(at)) {
      this.#disks.set(at, { events: new Map(), writtenTo: 0, life: 0, isDue: false });
    }
    const create = this.#options.parts?.createRouter ?? createRouter;
    return create(config, {
      deliver: (envelope, isRetained) => this.#log(at, envelope, isRetained),
      transmit: (peer, raw, kind) => this.#transmit(at, peer, raw, kind === 'event'),
      sendLetter: (peer, letter: Letter) => {
        this.letterCount += 1;
        this.#sendControl(at, peer, { kind: 'letter', letter });
      },
      sendInterest: (peer, message) =>
        this.#sendControl(at, peer, { kind: 'interest', bytes: encodeInterest(message) }),
      announceNeighbours: (ids) => {
        for (const peer of ids) this.#sendControl(at, peer, { kind: 'neighbours', ids });
      },
      parcel: (from, protocol, bytes) => {
        this.node(at).log.parcels.push(`${from} ${protocol} ${new TextDecoder().decode(bytes)}`);
      },
      gap: (_origin, from, to) => {
        const { log } = this.node(at);
        log.gaps += to - from + 1;
        log.gapCount += 1;
      },
      keepRetained: ({ topic, payload }) => {
        this.node(at).log.retained.set(topic, new TextDecoder().decode(payload));
      },
      showRetained: ({ topic, payload, origin, seq }) => {
        const { log } = this.node(at);
        const text = new TextDecoder().decode(payload);
        log.retained.set(topic, text);
        log.shown.push({ origin, seq, text });
      },
      forgetRetained: () => undefined,
      forfeited: (_node, events) => void (this.node(at).log.forfeited += events),
      settled: (seq) => {
        const disk = this.#disks.get(at);
        for (const one of disk?.events.keys() ?? []) if (one <= seq) disk?.events.delete(one);
      },
      bring: (seq) => this.#bring(at, seq),
      press: () => this.#writeSoon(at, 1),
      drop: count,
      roomAgain: () => this.at(this.now, () => this.#drainBacklog(at)),
    });
  }

  #groupsAt(at: number, topic: string): string[] {
    return [...this.node(at).groups].filter((one) => topicMatches(sharedFilter(one), topic));
  }

  /** A member takes it, or another node does, as the message floor of a node has it. */
  #share(at: number, filter: string, envelope: Envelope): void {
    const { log, groups } = this.node(at);
    const { topic, hlc, origin } = envelope;
    const payload = envelope.payload.slice();
    if (groups.has(filter)) {
      log.shared.push({ filter, text: new TextDecoder().decode(payload) });
      return;
    }
    const qos = envelope.class === 'event' ? 1 : 0;
    this.#router(at).hand(this.now, filter, { topic, payload, qos, retain: false, hlc }, origin);
  }

  #log(at: number, envelope: Envelope, isRetained: boolean): void {
    const { log } = this.node(at);
    if (envelope.share !== undefined) return this.#share(at, envelope.share, envelope);
    const text = new TextDecoder().decode(envelope.payload);
    if (isRetained) log.retained.set(envelope.topic, text);
    const book = envelope.class === 'event' ? log.events : log.signals;
    if (envelope.class === 'event') {
      const heard = log.heard.get(envelope.origin) ?? [];
      heard.push({ topic: envelope.topic, text });
      log.heard.set(envelope.origin, heard);
    }
    const seen = book.get(envelope.origin) ?? [];
    seen.push(envelope.class === 'event' ? envelope.seq : Number(text));
    book.set(envelope.origin, seen);
  }

  #pipe(from: number, peer: NodeId): { link: SimLink; pipe: Pipe; to: number } | undefined {
    const to = this.#numbers.get(peer) ?? -1;
    const link = this.#linkOf.get(from * 1_000 + to);
    if (link === undefined) return undefined;
    return { link, pipe: link.pipes[link.ends[0] === from ? 0 : 1], to };
  }

  #latency(): Millis {
    const { min, spread } = this.#options.latencyMs ?? { min: 1, spread: 4 };
    return min + this.random.unit() * spread;
  }

  #transmit(from: number, peer: NodeId, raw: Uint8Array, isEvent: boolean): boolean {
    const found = this.#pipe(from, peer);
    if (found === undefined) throw new Error('transmit to somebody without a link');
    const { link, pipe, to } = found;
    // A link that is gone but not noticed yet takes bytes and loses them, as a socket does.
    if (!link.isOpen) return true;
    if (pipe.queued >= (this.#options.linkRoom ?? 64)) {
      pipe.isBlocked = true;
      return false;
    }
    this.#countCrossing(from, to, raw, isEvent);
    const copies = this.random.unit() < (this.#options.duplication ?? 0) ? 2 : 1;
    for (let copy = 0; copy < copies; copy += 1) this.#carry(link, pipe, from, to, raw.slice());
    return true;
  }

  #carry(link: SimLink, pipe: Pipe, from: number, to: number, raw: Uint8Array): void {
    const { session } = link;
    pipe.queued += 1;
    // First in, first out, as TCP is.
    pipe.lastAt = Math.max(pipe.lastAt, this.now + this.#latency());
    this.at(pipe.lastAt, () => {
      if (link.session !== session) return;
      pipe.queued -= 1;
      const envelope = readEnvelope(raw);
      if (envelope === undefined) throw new Error('a router sent what no router reads');
      this.#router(to).received(this.now, this.node(from).id, envelope, raw);
      if (pipe.isBlocked && pipe.queued <= (this.#options.linkRoom ?? 64) / 2) {
        pipe.isBlocked = false;
        this.#router(from).drained(this.now, this.node(to).id);
      }
    });
  }

  #sendControl(from: number, peer: NodeId, message: ControlMessage): void {
    const found = this.#pipe(from, peer);
    if (found === undefined || !found.link.isOpen) return;
    const { link, to } = found;
    const { session } = link;
    const bytes = encodeControl(message).slice();
    this.at(this.now + this.#latency(), () => {
      if (link.session !== session) return;
      const said = decodeControl(bytes);
      const read = said === 'unknown' ? undefined : said;
      const sender = this.node(from).id;
      if (read?.kind === 'letter') this.#router(to).letterReceived(this.now, sender, read.letter);
      else if (read?.kind === 'neighbours') this.#router(to).neighboursHeard(sender, read.ids);
      else if (read?.kind === 'retained-digest') {
        const entries = this.node(to).router.retained.differences(read.digest);
        if (entries.length > 0) this.#sendControl(to, sender, { kind: 'retained', entries });
      } else if (read?.kind === 'retained') {
        this.#router(to).retainedReceived(this.now, read.entries);
      } else if (read?.kind === 'broadcast') {
        const said = decodeBroadcast(read.bytes);
        if (said === undefined) throw new Error('a tree sent what no tree reads');
        this.#trees.get(to)?.received(sender, said);
      } else if (read?.kind === 'interest') {
        const said = decodeInterest(read.bytes);
        if (said === undefined) throw new Error('a router sent what no router reads');
        this.interestCount += 1;
        this.#router(to).interestReceived(this.now, sender, said);
      } else throw new Error('a router sent what no router reads');
    });
  }

  #countCrossing(from: number, to: number, raw: Uint8Array, isEvent: boolean): void {
    const envelope = readEnvelope(raw);
    if (envelope === undefined) return;
    if (envelope.passage !== undefined) {
      this.addressedCount += 1;
      return;
    }
    const key = `${isEvent ? 'e' : 's'} ${envelope.origin} ${envelope.seq} ${from}>${to}`;
    this.crossings.set(key, (this.crossings.get(key) ?? 0) + 1);
  }
}

function emptyLog(): NodeLog {
  return {
    events: new Map(),
    signals: new Map(),
    retained: new Map(),
    shown: [],
    parcels: [],
    heard: new Map(),
    shared: [],
    gaps: 0,
    gapCount: 0,
    forfeited: 0,
    outboxBytesMax: 0,
  };
}

function freshPipe(): Pipe {
  return { queued: 0, lastAt: 0, isBlocked: false };
}
