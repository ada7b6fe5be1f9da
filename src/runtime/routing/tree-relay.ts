/** The Plumtree at work: it tells the router whom to relay to, keeps what may be asked for again, and talks to neighbours. */

import { BoundedMap } from '../../kernel/bounded-map.ts';
import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Random } from '../../kernel/random.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Metrics } from '../../ports/metrics.ts';
import { alwaysFloods, chooseWay } from '../../protocol/broadcast/broadcast-way.ts';
import type { BroadcastWay } from '../../protocol/broadcast/broadcast-way.ts';
import { keyOf } from '../../protocol/broadcast/piece.ts';
import type { Piece, PlumtreeMessage } from '../../protocol/broadcast/piece.ts';
import { createPlumtree } from '../../protocol/broadcast/plumtree.ts';
import type { PlumtreeEffect, PlumtreeInput } from '../../protocol/broadcast/plumtree.ts';
import type { ProfileName } from '../../protocol/membership/profiles.ts';
import { ttlHops } from '../../protocol/routing/messages.ts';
import type { Envelope } from '../../protocol/routing/messages.ts';
import type { RelayPolicy } from '../../protocol/routing/relay-policy.ts';

/** Messages kept for neighbours that miss them, and their bytes; the oldest goes. */
const keptMax = 1024;
const keptBytesMax: number = 4 * 1024 * 1024;

/** Over how long the traffic is averaged, and how old a round trip may be that the timers rest on, in ms. */
const averageMs: Millis = 10_000;
const rttAgeMs: Millis = 5_000;

/** Pace of the announcements per profile (protocols reference, section 10). */
const paces: Readonly<
  Record<ProfileName, { flushMs: Millis; graftMsMin: Millis; retryMsMin: Millis }>
> = {
  wired: { flushMs: 200, graftMsMin: 1_000, retryMsMin: 200 },
  fast: { flushMs: 200, graftMsMin: 1_000, retryMsMin: 200 },
  wifi: { flushMs: 1_000, graftMsMin: 3_000, retryMsMin: 800 },
  loopback: { flushMs: 50, graftMsMin: 200, retryMsMin: 50 },
};

/** What it needs of the node. */
export interface TreeRelayWorld {
  readonly self: NodeId;
  readonly profile: ProfileName;
  readonly clock: Clock;
  readonly random: Random;
  readonly metrics: Metrics;
  /** Members known, this node not included. */
  memberCount(): number;
  rttMs(peer: NodeId): number | undefined;
  send(peer: NodeId, message: PlumtreeMessage): void;
  /** Hands bytes to a linked peer, as a relay does. */
  forward(peer: NodeId, raw: Uint8Array, isEvent: boolean): void;
  /** Whether this node has had the message. */
  holds(piece: Piece): boolean;
}

/** The relay. */
export interface TreeRelay {
  readonly policy: RelayPolicy;
  received(from: NodeId, message: PlumtreeMessage): void;
  /** What is chosen for small messages now. */
  way(): BroadcastWay;
  stop(): void;
}

/** Builds it. While everything is flooded it keeps nothing and says nothing. */
export function createTreeRelay(world: TreeRelayWorld): TreeRelay {
  const { self, clock, metrics } = world;
  const tree = createPlumtree({ self, ...paces[world.profile] }, world.random);
  const peers = new Set<NodeId>();
  let keptBytes = 0;
  const kept = new BoundedMap<string, { raw: Uint8Array; isEvent: boolean }>(
    keptMax,
    (_, { raw }) => {
      keptBytes -= raw.byteLength;
    },
  );
  let way: BroadcastWay = 'simple';
  let cancelAlarm = (): void => {};
  let alarmAt: Millis = Infinity;
  let isStopped = false;
  let rttsAt: Millis = -Infinity;
  /** The traffic: exponentially weighted, so that a burst does not decide. */
  let countedAt: Millis = 0;
  let count = 0;
  let bytes = 0;

  function run(effect: PlumtreeEffect): void {
    if (effect.type === 'send') {
      metrics.count(`broadcast.${effect.message.kind}`);
      return world.send(effect.to, effect.message);
    }
    if (effect.type !== 'repeat') return;
    const held = kept.get(keyOf(effect.piece));
    if (held === undefined) return metrics.drop('broadcast', 'asked for too late');
    metrics.count('broadcast.repeated');
    world.forward(effect.to, held.raw.slice(), held.isEvent);
  }

  function step(input: PlumtreeInput): void {
    for (const effect of tree.step(clock.now(), input)) run(effect);
    rearm();
  }

  function rearm(): void {
    const at = tree.deadline();
    if (at === alarmAt || isStopped) return;
    cancelAlarm();
    alarmAt = at;
    if (at === Infinity) return;
    cancelAlarm = clock.alarm(at, () => {
      alarmAt = Infinity;
      step({ type: 'tick' });
    });
  }

  function weigh(now: Millis, size: number): BroadcastWay {
    const fade = Math.exp((countedAt - now) / averageMs);
    countedAt = now;
    count = count * fade + 1;
    bytes = bytes * fade + size;
    const load = {
      members: world.memberCount() + 1,
      neighbours: peers.size,
      perSecond: (count * 1000) / averageMs,
      meanBytes: bytes / count,
      isUrgent: true,
      was: way,
    };
    way = chooseWay({ ...load, bytes: 0 });
    return size === 0 ? way : chooseWay({ ...load, bytes: size });
  }

  function measure(now: Millis): void {
    if (now - rttsAt < rttAgeMs) return;
    rttsAt = now;
    for (const node of peers) {
      const rttMs = world.rttMs(node);
      if (rttMs !== undefined) step({ type: 'measured', node, rttMs });
    }
  }

  function keep(piece: Piece, raw: Uint8Array): void {
    if (raw.byteLength > keptBytesMax) return;
    kept.set(keyOf(piece), { raw: raw.slice(), isEvent: piece.stream === 1 });
    keptBytes += raw.byteLength;
    for (const [key, old] of kept) {
      if (keptBytes <= keptBytesMax) return;
      kept.delete(key);
      keptBytes -= old.raw.byteLength;
    }
  }

  function flooded(
    envelope: Envelope,
    arrival: NodeId,
    targets: readonly NodeId[],
  ): readonly NodeId[] {
    // What was announced while there was a tree is not asked for any more.
    if (tree.isWaiting()) tree.targets(clock.now(), pieceOf(envelope), 1, arrival, 'simple');
    return targets;
  }

  const policy: RelayPolicy = {
    choose(envelope, raw, arrival, targets) {
      // The traffic of a mesh that floods in any case is not weighed: that cost more than all the rest of a message.
      if (alwaysFloods(world.memberCount() + 1, peers.size)) {
        way = 'simple';
        return flooded(envelope, arrival, targets);
      }
      const now = clock.now();
      const chosen = weigh(now, raw.byteLength);
      if (chosen === 'simple') return flooded(envelope, arrival, targets);
      const piece = pieceOf(envelope);
      measure(now);
      keep(piece, raw);
      const hops = ttlHops - envelope.ttl + 1;
      const eager = tree.targets(now, piece, hops, arrival, chosen);
      rearm();
      if (eager.length === 0) return eager;
      const to = targets.filter((peer) => eager.includes(peer));
      metrics.count('broadcast.spared', targets.length - to.length);
      return to;
    },
    repeated(envelope, arrival) {
      // The origin sends to each of its neighbours in any case: it cannot be pruned.
      if (way !== 'tree' || arrival === envelope.origin) return;
      const piece = pieceOf(envelope);
      step({ type: 'received', from: arrival, piece, hops: 1, isNew: false, way });
    },
    linkUp(peer) {
      peers.add(peer);
      step({ type: 'neighbourUp', node: peer });
    },
    linkDown(peer) {
      peers.delete(peer);
      step({ type: 'neighbourDown', node: peer });
    },
  };

  return {
    policy,
    received(from, message) {
      if (message.kind === 'prune') step({ type: 'pruned', from, root: message.root });
      else if (message.kind === 'graft') {
        step({ type: 'grafted', from, root: message.root, pieces: message.pieces });
      } else {
        const pieces = message.pieces.map((piece) => ({ ...piece, isHeld: world.holds(piece) }));
        step({ type: 'announced', from, pieces });
      }
    },
    way: () => way,
    stop() {
      isStopped = true;
      cancelAlarm();
    },
  };
}

function pieceOf({ origin, boot, seq, class: kind }: Envelope): Piece {
  return { origin, boot, seq, stream: kind === 'event' ? 1 : 0 };
}
