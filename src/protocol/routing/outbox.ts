/**
 * Keeps every event until each member that is owed it has acknowledged it, and says when to send what again.
 *
 * One ring of encoded events, one cursor per member: cumulative acknowledgements plus ranges, resend after
 * max(1 s, 4 x RTT), doubled up to 60 s, with jitter. A full ring refuses new events while a live member is the reason, so that the
 * publisher is slowed down instead of anything being lost; a dead member's share is given up and counted.
 */

import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Random } from '../../kernel/random.ts';
import { holds, openDestination, sampleRtt } from './destination.ts';
import type { Destination } from './destination.ts';
import { createMessageRing } from './message-ring.ts';
import type { SeqRange } from './messages.ts';

/** Knobs of an outbox. */
export interface OutboxConfig {
  /** Events kept. @default 16_384 */
  readonly countMax?: number;
  /** Encoded bytes kept. @default 10_485_760 */
  readonly bytesMax?: number;
  /** Events that may be under way to a linked member beyond its last acknowledgement. @default 1024 */
  readonly windowMax?: number;
  /** Events that may be sent again to one member beyond its last acknowledgement: what it can hold back. @default 256 */
  readonly resendWindowMax?: number;
  /** How long a dead or silent member is owed anything, in ms. @default 300_000 */
  readonly retentionMs?: Millis;
  /** Shortest time before an event is sent again, in ms. @default 1_000 */
  readonly resendMsMin?: Millis;
  /** Longest time between two resends, in ms. @default 60_000 */
  readonly resendMsMax?: Millis;
}

/** Called synchronously. */
export interface OutboxOutputs {
  /** First transmission over the open link. False: not taken, the link is saturated. */
  send(node: NodeId, raw: Uint8Array): boolean;
  /** Sends again, over the link or through the mesh. `attempt` from 1. False: not taken. */
  resend(to: Destination, raw: Uint8Array): boolean;
  /** Tells a member that nothing below `seq` will be sent to it (again). */
  tellBase(to: Destination, seq: number): void;
  /** A member loses `count` events. */
  forfeited(node: NodeId, count: number, reason: 'dead' | 'silent' | 'quota' | 'gone'): void;
}

/** Why a member is owed nothing any more, or nothing for now (`dead`). */
export type GoneReason = 'dead' | 'left' | 'evicted';

/** Owed events and who is owed them. */
export interface Outbox {
  nextSeq(): number;
  /** Whether an event of this many encoded bytes can be taken; gives up dead members' share for it. */
  admits(bytes: number): boolean;
  /** Keeps the event `nextSeq()`; hand it to the links with `pump`. */
  append(now: Millis, raw: Uint8Array): void;
  /** Sends what the window and the link allow to a linked member. */
  pump(now: Millis, node: NodeId): void;
  /** A link takes bytes again: goes on with first transmissions to its peer and with resends to anybody. */
  drained(now: Millis, peer: NodeId): void;
  owes(node: NodeId): boolean;
  /** @returns whether it is news: a new member, a new life of one, or one that was dead. */
  joined(now: Millis, node: NodeId, boot: number): boolean;
  gone(now: Millis, node: NodeId, reason: GoneReason): void;
  linked(now: Millis, node: NodeId): void;
  unlinked(now: Millis, node: NodeId): void;
  acknowledged(
    now: Millis,
    node: NodeId,
    boot: number,
    upTo: number,
    ranges: readonly SeqRange[],
  ): void;
  tick(now: Millis): void;
  deadline(): Millis;
  view(): OutboxView;
}

/** What people and metrics see of an outbox. */
export interface OutboxView {
  readonly count: number;
  readonly bytes: number;
  readonly destinations: readonly {
    readonly node: NodeId;
    readonly unacked: number;
    readonly rttMs: number;
    readonly attempts: number;
    readonly isDead: boolean;
  }[];
}

/** Builds an outbox. Its destinations are the members: as many as membership holds. */
export function createOutbox(config: OutboxConfig, random: Random, outputs: OutboxOutputs): Outbox {
  const windowMax = config.windowMax ?? 1024;
  const resendWindowMax = config.resendWindowMax ?? 256;
  const retentionMs = config.retentionMs ?? 300_000;
  const resendMsMin = config.resendMsMin ?? 1_000;
  const resendMsMax = config.resendMsMax ?? 60_000;
  const ring = createMessageRing(config.countMax ?? 16_384, config.bytesMax ?? 10 * 1024 * 1024);
  const destinations = new Map<NodeId, Destination>();

  function waitMs(to: Destination): Millis {
    // A member that waits for its base is told sooner: until then it delivers nothing.
    const least = to.isTold ? resendMsMin : resendMsMin / 10;
    const base = Math.max(least, 4 * to.rttMs) * 2 ** Math.min(to.attempts, 16);
    return Math.min(resendMsMax, base) * (0.75 + random.unit() / 2);
  }

  function isOwed(to: Destination): boolean {
    return to.goneAt === undefined && (to.acked < ring.last() || !to.isTold);
  }

  function arm(now: Millis, to: Destination): void {
    to.resendAt = isOwed(to) ? now + waitMs(to) : Infinity;
  }

  function trim(): void {
    let lowest = ring.last();
    for (const to of destinations.values()) if (to.acked < lowest) lowest = to.acked;
    ring.trim(lowest);
  }

  /** Gives up what a member is owed up to `seq`. */
  function forfeit(to: Destination, seq: number, reason: 'dead' | 'silent' | 'quota'): void {
    if (seq <= to.acked) return;
    outputs.forfeited(to.node, seq - to.acked, reason);
    to.acked = seq;
    to.sentTo = Math.max(to.sentTo, seq);
    to.isTold = false;
  }

  /** Room by giving up the oldest share of members that membership says are dead. */
  function squeeze(): boolean {
    let limit = Math.min(ring.last(), ring.first() - 1 + Math.ceil(ring.count() / 8));
    for (const to of destinations.values()) {
      if (to.goneAt === undefined && to.acked < limit) limit = to.acked;
    }
    if (limit < ring.first()) return false;
    for (const to of destinations.values()) {
      if (to.goneAt !== undefined) forfeit(to, limit, 'quota');
    }
    trim();
    return true;
  }

  function pump(now: Millis, to: Destination): void {
    if (!to.isLinked || to.goneAt !== undefined) return;
    const limit = Math.min(ring.last(), to.acked + windowMax);
    let next = Math.max(to.sentTo, to.acked) + 1;
    for (; next <= limit; next += 1) {
      if (to.ranges.length > 0 && holds(to, next)) continue;
      const raw = ring.at(next);
      if (raw === undefined) continue;
      if (!outputs.send(to.node, raw)) break;
      to.probe ??= { seq: next, at: now };
    }
    to.sentTo = next - 1;
  }

  /** Sends the next part of the run that is presumed lost. */
  function recover(to: Destination): void {
    if (to.goneAt !== undefined) return;
    let next = Math.max(to.recoverAt, to.acked) + 1;
    const limit = Math.min(to.recoverTo, to.acked + resendWindowMax);
    for (; next <= limit; next += 1) {
      if (holds(to, next)) continue;
      const raw = ring.at(next);
      if (raw !== undefined && !outputs.resend(to, raw)) break;
    }
    to.recoverAt = next - 1;
  }

  function startRecovery(now: Millis, to: Destination): void {
    if (!to.isTold) outputs.tellBase(to, to.acked + 1);
    to.attempts += 1;
    arm(now, to);
    if (now - to.progressAt < resendMsMin / 2) return;
    to.probe = undefined;
    to.recoverAt = to.acked;
    to.recoverTo = to.isLinked ? Math.min(to.sentTo, ring.last()) : ring.last();
    recover(to);
  }

  function remove(to: Destination): void {
    const owed = ring.last() - to.acked;
    if (owed > 0) outputs.forfeited(to.node, owed, to.goneAt === undefined ? 'gone' : 'dead');
    destinations.delete(to.node);
    trim();
  }

  return {
    nextSeq: () => ring.last() + 1,
    admits(bytes) {
      while (!ring.hasRoom(bytes)) if (!squeeze()) return false;
      return true;
    },
    append(now, raw) {
      ring.append(raw);
      const seq = ring.last();
      for (const to of destinations.values()) {
        if (to.acked === seq - 1) to.progressAt = now;
        if (to.resendAt === Infinity) arm(now, to);
        if (!to.isLinked) to.probe ??= { seq, at: now };
      }
      if (destinations.size === 0) trim();
    },
    pump(now, node) {
      const to = destinations.get(node);
      if (to !== undefined) pump(now, to);
    },
    drained(now, peer) {
      const linked = destinations.get(peer);
      if (linked !== undefined) pump(now, linked);
      for (const to of destinations.values()) if (to.recoverAt < to.recoverTo) recover(to);
    },
    owes: (node) => destinations.has(node),
    joined(now, node, boot) {
      const known = destinations.get(node);
      if (known !== undefined && known.boot > boot) return false;
      if (known !== undefined && known.boot === boot) {
        if (known.goneAt === undefined) return false;
        known.goneAt = undefined;
        known.progressAt = now;
        known.attempts = 0;
        startRecovery(now, known);
        return true;
      }
      if (known !== undefined) remove(known);
      const to = openDestination(node, boot, ring.last(), now);
      destinations.set(node, to);
      outputs.tellBase(to, to.acked + 1);
      arm(now, to);
      return true;
    },
    gone(now, node, reason) {
      const to = destinations.get(node);
      if (to === undefined) return;
      if (reason !== 'dead') remove(to);
      else {
        to.goneAt ??= now;
        to.resendAt = Infinity;
      }
    },
    linked(now, node) {
      const to = destinations.get(node);
      if (to === undefined) return;
      // What was under way on an earlier link may be lost: everything unacknowledged goes again, at once.
      to.isLinked = true;
      to.sentTo = to.acked;
      to.attempts = 0;
      to.probe = undefined;
      to.recoverTo = to.acked;
      if (!to.isTold) outputs.tellBase(to, to.acked + 1);
      arm(now, to);
      pump(now, to);
    },
    unlinked(now, node) {
      const to = destinations.get(node);
      if (to === undefined) return;
      to.isLinked = false;
      // Another way through the mesh may exist: do not wait a whole second for it.
      if (!isOwed(to)) return;
      to.resendAt = Math.min(to.resendAt, now + resendMsMin / 20);
      to.progressAt = Math.min(to.progressAt, now - resendMsMin);
    },
    acknowledged(now, node, boot, upTo, ranges) {
      const to = destinations.get(node);
      if (to === undefined || to.boot !== boot || upTo > ring.last() || upTo < to.acked) return;
      const isProgress = upTo > to.acked || !to.isTold;
      const wasRecovering = to.recoverTo > to.acked;
      sampleRtt(now, to, upTo);
      to.acked = upTo;
      to.ranges = ranges;
      to.isTold = true;
      if (isProgress) {
        to.attempts = 0;
        to.progressAt = now;
        arm(now, to);
        if (to.recoverTo > upTo) recover(to);
        // What came meanwhile was refused by the full hold-back: the next run need not wait a whole second.
        else if (wasRecovering) to.resendAt -= (resendMsMin * 3) / 4;
      }
      pump(now, to);
      trim();
    },
    tick(now) {
      for (const to of destinations.values()) {
        if (to.goneAt !== undefined) {
          if (now - to.goneAt >= retentionMs) remove(to);
        } else if (to.resendAt <= now) {
          if (to.acked < ring.last() && now - to.progressAt >= retentionMs) {
            forfeit(to, ring.last(), 'silent');
            to.progressAt = now;
            trim();
          }
          startRecovery(now, to);
        }
      }
    },
    deadline() {
      let soonest = Infinity;
      for (const to of destinations.values()) {
        const at = to.goneAt === undefined ? to.resendAt : to.goneAt + retentionMs;
        if (at < soonest) soonest = at;
      }
      return soonest;
    },
    view: () => ({
      count: ring.count(),
      bytes: ring.bytes(),
      destinations: [...destinations.values()].map((to) => ({
        node: to.node,
        unacked: ring.last() - to.acked,
        rttMs: to.rttMs,
        attempts: to.attempts,
        isDead: to.goneAt !== undefined,
      })),
    }),
  };
}
