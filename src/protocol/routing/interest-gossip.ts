/**
 * How members hear what each of them wants: a change goes from neighbour to neighbour at once, and whoever may have
 * missed one finds out by comparing a hash with its neighbours.
 */

import { BoundedMap } from '../../kernel/bounded-map.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { InterestTable, Wish } from './interest.ts';
import type { Neighbourhood } from './neighbourhood.ts';

/** Members whose wishes are kept; one more is taken to want everything. */
const wishesMax = 4096;

/** Versions in one message. */
const versionsPerMessage = 1024;

/** Members that left, remembered so that a neighbour who has not heard of it does not bring their wishes back. */
const goneMax = 1024;

/** The version of one member's wish. */
export interface WishVersion {
  readonly node: NodeId;
  readonly boot: number;
  readonly version: number;
}

/**
 * What neighbours say about interest.
 * `wish`: all that a member wants; `isGreeting`: its own, first thing on a link.
 * `change`: the step from the version before.
 * `hash`: over all wishes the sender knows. `versions`: which those are; `isAnswer`: the other side has told its own.
 * `ask`: send the wishes of these.
 */
export type InterestMessage =
  | { readonly kind: 'wish'; readonly wish: Wish; readonly isGreeting: boolean }
  | {
      readonly kind: 'change';
      readonly of: WishVersion;
      readonly added: readonly string[];
      readonly removed: readonly string[];
      readonly sinceMs: number;
    }
  | { readonly kind: 'hash'; readonly hash: number }
  | {
      readonly kind: 'versions';
      readonly versions: readonly WishVersion[];
      readonly isAnswer: boolean;
    }
  | { readonly kind: 'ask'; readonly nodes: readonly NodeId[] };

/** What the gossip needs. */
export interface InterestGossipWorld {
  readonly self: NodeId;
  readonly boot: number;
  readonly near: Neighbourhood;
  readonly table: InterestTable;
  send(peer: NodeId, message: InterestMessage): void;
  /** A member wants something new, or nothing any more. */
  heard(wish: Wish): void;
}

/** One node's share in it. */
export interface InterestGossip {
  /** What this node's own subscribers want. Before the first call it has said nothing: it gets everything. */
  wants(filters: ReadonlySet<string> | 'everything', sinceMs: number): void;
  own(): Wish | undefined;
  received(from: NodeId, message: InterestMessage): void;
  linkUp(peer: NodeId): void;
  /** A neighbour lost a link: something may not have come to it by the way it used to come. */
  thinned(peer: NodeId): void;
  /** A member is gone for good. */
  forget(node: NodeId): void;
}

/** Builds it. */
export function createInterestGossip(world: InterestGossipWorld): InterestGossip {
  const { self, near, table } = world;
  const gone = new BoundedMap<NodeId, number>(goneMax);
  let own: Wish | undefined;
  let count = 0;

  function known(node: NodeId): Wish | undefined {
    return node === self ? own : table.get(node);
  }

  function isNews({ node, boot, version }: WishVersion): boolean {
    if (node === self || boot <= (gone.get(node) ?? -1)) return false;
    const wish = table.get(node);
    if (wish === undefined) return count < wishesMax;
    return boot > wish.boot || (boot === wish.boot && version > wish.version);
  }

  function take(from: NodeId, wish: Wish, message: InterestMessage): void {
    if (table.get(wish.node) === undefined) count += 1;
    table.set(wish);
    world.heard(wish);
    for (const peer of near.relayTargets(wish.node, from)) {
      if (peer !== wish.node) world.send(peer, message);
    }
  }

  function versions(): WishVersion[] {
    const all: WishVersion[] = own === undefined ? [] : [own];
    for (const wish of table.all()) all.push(wish);
    return all.map(({ node, boot, version }) => ({ node, boot, version }));
  }

  function hash(): number {
    let sum = own === undefined ? 0 : hashOf(own);
    for (const wish of table.all()) sum = (sum + hashOf(wish)) >>> 0;
    return sum;
  }

  function tellVersions(peer: NodeId, isAnswer: boolean): void {
    const all = versions();
    for (let at = 0; at === 0 || at < all.length; at += versionsPerMessage) {
      const some = all.slice(at, at + versionsPerMessage);
      // Only the last piece is answered.
      const isLast = at + versionsPerMessage >= all.length;
      world.send(peer, { kind: 'versions', versions: some, isAnswer: isAnswer || !isLast });
    }
  }

  function changed(from: NodeId, message: Extract<InterestMessage, { kind: 'change' }>): void {
    const { node, boot, version } = message.of;
    if (!isNews(message.of)) return;
    const before = table.get(node);
    const isNext = before?.boot === boot && before.version === version - 1;
    if (!isNext || before.filters === 'everything') {
      return world.send(from, { kind: 'ask', nodes: [node] });
    }
    const filters = new Set(before.filters);
    for (const filter of message.removed) filters.delete(filter);
    for (const filter of message.added) filters.add(filter);
    take(from, { node, boot, version, filters, sinceMs: message.sinceMs }, message);
  }

  function change(before: Wish | undefined, next: Wish): InterestMessage {
    const full = { kind: 'wish', wish: next, isGreeting: false } as const;
    const now = next.filters;
    const old = before?.filters;
    if (old === undefined || old === 'everything' || now === 'everything') return full;
    const added = [...now].filter((one) => !old.has(one));
    const removed = [...old].filter((one) => !now.has(one));
    if (added.length + removed.length >= now.size) return full;
    const { node, boot, version, sinceMs } = next;
    return { kind: 'change', of: { node, boot, version }, added, removed, sinceMs };
  }

  return {
    own: () => own,
    wants(filters, sinceMs) {
      if (own !== undefined && isSame(own.filters, filters)) return;
      const version = (own?.version ?? 0) + 1;
      const next = { node: self, boot: world.boot, version, filters, sinceMs };
      const message = change(own, next);
      own = next;
      for (const peer of near.peers()) world.send(peer, message);
    },
    received(from, message) {
      switch (message.kind) {
        case 'wish':
          if (isNews(message.wish)) take(from, message.wish, { ...message, isGreeting: false });
          // The peer has read this node's own greeting before it compares.
          if (message.isGreeting) world.send(from, { kind: 'hash', hash: hash() });
          return;
        case 'change':
          return changed(from, message);
        case 'hash':
          if (message.hash !== hash()) tellVersions(from, false);
          return;
        case 'versions': {
          const nodes = message.versions.filter(isNews).map(({ node }) => node);
          if (nodes.length > 0) world.send(from, { kind: 'ask', nodes });
          if (!message.isAnswer) tellVersions(from, true);
          return;
        }
        case 'ask':
          for (const node of message.nodes) {
            const wish = known(node);
            if (wish !== undefined) world.send(from, { kind: 'wish', wish, isGreeting: false });
          }
      }
    },
    linkUp(peer) {
      if (own !== undefined) world.send(peer, { kind: 'wish', wish: own, isGreeting: true });
    },
    thinned(peer) {
      if (own !== undefined) world.send(peer, { kind: 'hash', hash: hash() });
    },
    forget(node) {
      const wish = table.get(node);
      if (wish === undefined) return table.forget(node);
      count -= 1;
      gone.set(node, wish.boot);
      table.forget(node);
    },
  };
}

function isSame(
  left: ReadonlySet<string> | 'everything',
  right: ReadonlySet<string> | 'everything',
): boolean {
  if (left === 'everything' || right === 'everything') return left === right;
  return left.size === right.size && [...left].every((one) => right.has(one));
}

/** FNV-1a over the id, the boot and the version. */
function hashOf({ node, boot, version }: WishVersion): number {
  const text = `${node} ${boot} ${version}`;
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  return (hash ^ (hash >>> 13)) >>> 0;
}
