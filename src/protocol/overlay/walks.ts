/** The random walks of HyParView: joins that are forwarded, and shuffles of the passive views (DSN 2007, 4.2 and 4.4). */

import type { Address } from '../../kernel/address.ts';
import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { sample } from '../../kernel/random.ts';
import type { Random } from '../../kernel/random.ts';
import type { Contacts } from './contacts.ts';
import type { Hyparview } from './hyparview-config.ts';
import { hintAddressesMax, hintsMax, pathMax } from './messages.ts';
import type { OverlayMessage, PeerHint } from './messages.ts';
import type { PassiveView } from './passive-view.ts';
import type { Purpose, Talk, Talks } from './talks.ts';

/** What walks see of the overlay. */
export interface WalkWorld {
  readonly knobs: Hyparview;
  readonly random: Random;
  readonly contacts: Contacts;
  readonly passive: PassiveView;
  readonly talks: Talks;
  addresses(): readonly Address[];
  /** Whether another neighbour is wanted. */
  hasRoom(): boolean;
  dial(now: Millis, node: NodeId, purpose: Purpose): void;
}

/** The walks of one node. */
export interface Walks {
  /** A newcomer was taken in: the other neighbours forward its join. */
  spread(newcomer: PeerHint): void;
  /** Begins a shuffle with a random neighbour. */
  begin(): void;
  /** A message of a walk came from a neighbour. */
  received(now: Millis, from: Talk, message: Walk): void;
}

/** The messages that walk. */
export type Walk = Extract<
  OverlayMessage,
  { readonly kind: 'forward-join' | 'shuffle' | 'shuffle-reply' }
>;

type Shuffle = Extract<Walk, { readonly kind: 'shuffle' }>;
type ForwardJoin = Extract<Walk, { readonly kind: 'forward-join' }>;

/** Two that are nearer than this have common neighbours: a link between them would close a small circle. */
const strangeHops = 4;

/** Builds the walks of one node. */
export function createWalks(world: WalkWorld): Walks {
  const { knobs, random, contacts, passive, talks } = world;
  const { self } = knobs;
  /** What this node last gave away: the answer may take its place. */
  let given: readonly NodeId[] = [];

  function randomNeighbour(...not: readonly NodeId[]): Talk | undefined {
    const neighbours = talks.neighbours();
    const start = random.below(neighbours.length);
    for (let step = 0; step < neighbours.length; step += 1) {
      const talk = neighbours[(start + step) % neighbours.length] as Talk;
      // A full mesh does not walk.
      if (talk.overlay === 'full-mesh' || talk.isQuiet || not.includes(talk.node)) continue;
      return talk;
    }
    return undefined;
  }

  function hopsOf(ttl: number, max: number): number {
    return ttl > 0 && ttl <= max ? Math.floor(ttl) : ttl > 0 ? max : 0;
  }

  function note(hint: PeerHint, replaceable?: readonly NodeId[]): void {
    const { node } = hint;
    if (node === self || passive.has(node) || talks.get(node)?.phase === 'neighbour') return;
    if (contacts.hinted(hint) === undefined) return;
    passive.add(node, replaceable);
    contacts.release(node);
  }

  function noteAll(hints: readonly PeerHint[], replaceable: readonly NodeId[]): void {
    for (const hint of hints.slice(0, hintsMax)) note(hint, replaceable);
  }

  function meet(now: Millis, hint: PeerHint, purpose: Purpose): void {
    if (hint.node === self || talks.get(hint.node) !== undefined) return;
    if (contacts.hinted(hint) === undefined) return;
    if (contacts.isReady(now, hint.node)) world.dial(now, hint.node, purpose);
    contacts.release(hint.node);
  }

  function forwardJoin(now: Millis, from: Talk, { newcomer, ttl }: ForwardJoin): void {
    const hops = hopsOf(ttl, knobs.activeWalk);
    const next = hops === 0 ? undefined : randomNeighbour(from.node, newcomer.node);
    if (hops === knobs.passiveWalk) note(newcomer);
    if (next === undefined) meet(now, newcomer, 'welcome');
    else talks.say(next, { kind: 'forward-join', newcomer, ttl: hops - 1 });
  }

  function answer(from: Talk, shuffle: Shuffle): void {
    const picked = passive.sample(Math.min(hintsMax, shuffle.peers.length + 1));
    const peers = picked.map((node) => contacts.hintOf(node));
    const origin = talks.get(shuffle.origin.node);
    const isShort = origin?.phase === 'neighbour';
    const path = isShort ? [] : shuffle.path.slice(0, -1);
    talks.say(isShort ? origin : from, { kind: 'shuffle-reply', path, peers });
    noteAll([shuffle.origin, ...shuffle.peers], picked);
  }

  function shuffled(now: Millis, from: Talk, shuffle: Shuffle): void {
    const { origin, hasRoom, path } = shuffle;
    if (origin.node === self || path.at(-1) !== from.node) return;
    // Two that look for a neighbour have met.
    if (hasRoom && path.length >= strangeHops && world.hasRoom()) meet(now, origin, 'refill');
    const hops = hopsOf(shuffle.ttl, knobs.shuffleWalk) - 1;
    const next =
      hops > 0 && path.length < pathMax ? randomNeighbour(from.node, origin.node) : undefined;
    if (next === undefined) answer(from, shuffle);
    else talks.say(next, { ...shuffle, ttl: hops, path: [...path, self] });
  }

  function replied(path: readonly NodeId[], peers: readonly PeerHint[]): void {
    const next = path.at(-1);
    if (next === undefined) {
      noteAll(peers, given);
      given = [];
      return;
    }
    const talk = talks.get(next);
    if (talk?.phase !== 'neighbour') return;
    talks.say(talk, { kind: 'shuffle-reply', path: path.slice(0, -1), peers });
  }

  return {
    spread(newcomer) {
      const ttl = knobs.activeWalk;
      for (const talk of talks.neighbours()) {
        if (talk.node === newcomer.node || talk.overlay === 'full-mesh') continue;
        talks.say(talk, { kind: 'forward-join', newcomer, ttl });
      }
    },
    begin() {
      const to = randomNeighbour();
      if (to === undefined) return;
      const neighbours = talks.neighbours().filter((talk) => talk !== to);
      const active = sample(random, neighbours, knobs.shuffleActive).map(({ node }) => node);
      given = passive.sample(knobs.shufflePassive);
      talks.say(to, {
        kind: 'shuffle',
        origin: { node: self, addresses: world.addresses().slice(0, hintAddressesMax) },
        hasRoom: world.hasRoom(),
        ttl: knobs.shuffleWalk,
        path: [self],
        peers: [...active, ...given].map((node) => contacts.hintOf(node)),
      });
    },
    received(now, from, message) {
      if (message.kind === 'forward-join') forwardJoin(now, from, message);
      else if (message.kind === 'shuffle') shuffled(now, from, message);
      else replied(message.path.slice(-pathMax), message.peers);
    },
  };
}
