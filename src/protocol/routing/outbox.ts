/**
 * Keeps every event until each member that is owed it has acknowledged it, and says when to send what again.
 *
 * One ring of encoded events, one cursor per member: cumulative acknowledgements plus ranges, resend after
 * max(1 s, 4 x RTT), doubled up to 60 s, with jitter. A full ring refuses new events while a live member is the reason, so that the
 * publisher is slowed down instead of anything being lost; what is owed to dead ones goes to the disk (overflow.ts).
 */

import { BoundedMap } from '../../kernel/bounded-map.ts';
import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Random } from '../../kernel/random.ts';
import {
  hasLaggard,
  holds,
  isOwedTo,
  moveTo,
  openDestination,
  owedCount,
  sampleRtt,
  settle,
} from './destination.ts';
import type { Destination } from './destination.ts';
import { owedAt, restore, showUnsettled } from './leftover.ts';
import { Claim, createMessageRing } from './message-ring.ts';
import type { SeqRange } from './messages.ts';
import { createOverflow } from './overflow.ts';
import type { LossReason, Outbox, OutboxConfig, OutboxOutputs } from './outbox-types.ts';

/** Members that are told of a loss when they are back; the oldest is forgotten. */
const lossyMax = 1024;

/** Builds an outbox. Its destinations are the members: as many as membership holds. */
export function createOutbox(config: OutboxConfig, random: Random, outputs: OutboxOutputs): Outbox {
  const windowMax = config.windowMax ?? 1024;
  const resendWindowMax = config.resendWindowMax ?? 256;
  const retentionMs = config.retentionMs ?? 300_000;
  const resendMsMin = config.resendMsMin ?? 1_000;
  const resendMsMax = config.resendMsMax ?? 60_000;
  const ring = createMessageRing(config.countMax ?? 16_384, config.bytesMax ?? 10 * 1024 * 1024);
  const destinations = new Map<NodeId, Destination>();
  /** Who lost something and has not been told, because nothing is kept for it any more. */
  const lossy = new BoundedMap<NodeId, true>(lossyMax);

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
    if (lowest < ring.first()) return;
    ring.trim(lowest);
    outputs.settled(lowest);
  }

  function tellLost(to: Destination, upTo: number, reason: LossReason): void {
    for (let seq = ring.next(to.acked); seq <= upTo; seq = ring.next(seq)) {
      const raw = ring.at(seq);
      if (raw !== undefined && isOwedTo(ring, to, seq) && !holds(to, seq)) {
        outputs.lost?.(raw, to.node, reason);
      }
    }
  }

  /** Gives up what a member is owed up to `seq`. */
  function forfeit(to: Destination, seq: number, reason: 'dead' | 'silent' | 'quota'): void {
    if (seq <= to.acked) return;
    tellLost(to, seq, reason);
    outputs.forfeited(to.node, owedCount(ring, to, seq), reason);
    moveTo(ring, to, seq);
    to.sentTo = Math.max(to.sentTo, seq);
    to.base = seq + 1;
    to.isLoss = true;
    to.isTold = false;
  }

  const overflow = createOverflow(config, ring, destinations, {
    bring: (seq) => outputs.bring(seq),
    press: () => outputs.press(),
    giveUp(seq) {
      for (const to of destinations.values()) {
        if (to.goneAt !== undefined) forfeit(to, seq, 'quota');
      }
      trim();
    },
  });

  /** `isMarking`: what is due counts as sent, because it is about to be sent again. */
  function pump(now: Millis, to: Destination, isMarking = false): void {
    if (to.goneAt !== undefined) return;
    const last = ring.last();
    const roomMax = to.isLinked ? windowMax : resendWindowMax;
    let at = to.sentTo;
    if (at < to.acked) {
      at = to.acked;
      to.sentLast = to.floor;
    }
    for (let seq = ring.next(at); seq <= last && to.underWay < roomMax; seq = ring.next(seq)) {
      if (isOwedTo(ring, to, seq)) {
        if (!isMarking && !isInHand(to, seq)) {
          const raw = ring.at(seq);
          if (raw === undefined) {
            overflow.want(seq);
            break;
          }
          if (!outputs.send(to, raw, seq - 1 - Math.max(to.sentLast, to.floor))) break;
          to.probe ??= { seq, at: now };
        }
        to.sentLast = seq;
        to.underWay += 1;
      }
      at = seq;
    }
    to.sentTo = at;
  }

  /** Whether the member has the event, or a flood brings it and no word about what it may skip is needed with it. */
  function isInHand(to: Destination, seq: number): boolean {
    if (Math.max(to.sentLast, to.floor) !== seq - 1) return false;
    if (to.ranges.length > 0 && holds(to, seq)) return true;
    return !to.isLinked && ring.excludedAt(seq) === undefined;
  }

  /** Sends the next part of the run that is presumed lost. */
  function recover(to: Destination): void {
    if (to.goneAt !== undefined) return;
    let at = to.acked;
    let before = to.floor;
    let owed = 0;
    for (let seq = ring.next(at); seq <= to.recoverTo; seq = ring.next(seq)) {
      if (isOwedTo(ring, to, seq)) {
        owed += 1;
        if (owed > resendWindowMax) break;
        // The first one that it holds waits for the word about what it may skip.
        const isLacking = !holds(to, seq) || (owed === 1 && seq - 1 > before);
        if (seq > to.recoverAt && isLacking) {
          const raw = ring.at(seq);
          if (raw === undefined) {
            overflow.want(seq);
            break;
          }
          if (!outputs.resend(to, raw, seq - 1 - before)) break;
        }
        before = seq;
      }
      at = seq;
    }
    to.recoverAt = Math.max(to.recoverAt, at);
  }

  function goOn(now: Millis): void {
    for (const to of destinations.values()) {
      pump(now, to);
      if (to.recoverAt < to.recoverTo) recover(to);
    }
  }

  function startRecovery(now: Millis, to: Destination): void {
    if (!to.isTold) outputs.tellBase(to);
    to.attempts += 1;
    arm(now, to);
    if (overflow.retry()) pump(now, to);
    if (now - to.progressAt < resendMsMin / 2) return;
    to.probe = undefined;
    to.recoverAt = to.acked;
    if (!to.isLinked) pump(now, to, true);
    to.recoverTo = to.sentTo;
    recover(to);
  }

  /** Nothing is under way to it. */
  function startAgain(to: Destination): void {
    to.sentTo = to.acked;
    to.sentLast = to.floor;
    to.underWay = 0;
    to.probe = undefined;
    to.recoverTo = to.acked;
  }

  function remove(to: Destination): void {
    const { owed } = to;
    const reason = to.goneAt === undefined ? 'gone' : 'dead';
    if (reason === 'dead' && (owed > 0 || (to.isLoss && !to.isTold))) lossy.set(to.node, true);
    if (owed > 0) {
      tellLost(to, ring.last(), reason);
      outputs.forfeited(to.node, owed, reason);
    }
    destinations.delete(to.node);
    trim();
  }

  return {
    nextSeq: () => ring.nextSeq(),
    lastSeq: () => ring.last(),
    restore(leftover, absent) {
      restore(ring, destinations, leftover, absent);
      if (ring.awayCount() > 0) overflow.restored();
    },
    owedTo: (seq) => owedAt(ring, destinations, seq),
    unsettled: (after, upTo, visit) => showUnsettled(ring, destinations, after, upTo, visit),
    admits(bytes) {
      while (!ring.hasRoom(bytes)) if (!overflow.makeRoom()) return false;
      return true;
    },
    written: (seq) => overflow.written(seq),
    diskLost: () => overflow.diskLost(),
    brought(now, events) {
      overflow.brought(events);
      goOn(now);
    },
    hasLaggard: () => hasLaggard(ring, destinations.values(), windowMax - resendWindowMax),
    isOwed(excluded) {
      for (const node of destinations.keys()) if (!excluded.has(node)) return true;
      return false;
    },
    append(now, raw, excluded) {
      const before = ring.last();
      ring.append(raw, excluded);
      const seq = ring.last();
      let isOwed = false;
      for (const to of destinations.values()) {
        if (excluded?.has(to.node) === true) {
          if (to.acked === before) to.acked = seq;
          continue;
        }
        isOwed = true;
        to.owed += 1;
        if (to.acked === before) to.progressAt = now;
        if (to.resendAt === Infinity) arm(now, to);
        if (!to.isLinked) to.probe ??= { seq, at: now };
      }
      if (!isOwed) trim();
    },
    pump(now) {
      for (const to of destinations.values()) pump(now, to);
    },
    drained: goOn,
    owes: (node) => destinations.has(node),
    isHere(node) {
      const to = destinations.get(node);
      return to !== undefined && to.goneAt === undefined;
    },
    away: () =>
      [...destinations.values()].filter((to) => to.goneAt !== undefined).map((to) => to.node),
    reclaim(node, move) {
      const to = destinations.get(node);
      if (to === undefined) return;
      const last = ring.last();
      let isMoved = false;
      for (let seq = ring.next(to.acked); seq <= last; seq = ring.next(seq)) {
        const claim = ring.excludedAt(seq);
        // It may hold parts of a message that it will never have whole.
        const isDone = seq > joiningTo(to.acked, to.ranges) && holds(to, seq);
        if (!(claim instanceof Claim) || claim.to !== node || isDone) continue;
        const raw = ring.at(seq);
        if (raw === undefined || !move(raw, claim.filter)) continue;
        claim.to = undefined;
        to.owed -= 1;
        isMoved = true;
      }
      if (!isMoved) return;
      settle(ring, to);
      // What was under way counts for nothing: should it come back, it is told anew what it may skip.
      startAgain(to);
      trim();
    },
    nodes: () => [...destinations.keys()],
    isLinked: (node) => destinations.get(node)?.isLinked === true,
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
      // What it had not acknowledged in its life before, it is still owed.
      const to = openDestination(node, boot, known?.acked ?? ring.last(), now);
      to.owed = owedCount(ring, to, ring.last());
      to.isLoss = lossy.get(node) !== undefined || (known?.isLoss === true && !known.isTold);
      lossy.delete(node);
      destinations.set(node, to);
      outputs.tellBase(to);
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
      to.attempts = 0;
      startAgain(to);
      if (!to.isTold) outputs.tellBase(to);
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
    acknowledged(now, node, boot, told, ranges) {
      const to = destinations.get(node);
      if (to === undefined || to.boot !== boot || told >= ring.nextSeq() || told < to.floor) return;
      // A life before this one may have sent it events that never came to the disk.
      const upTo = Math.min(told, ring.last());
      const joined = joiningTo(upTo, ranges);
      const isProgress = upTo > to.floor || !to.isTold || joined > joiningTo(to.acked, to.ranges);
      const wasRecovering = to.recoverTo > to.acked;
      sampleRtt(now, to, Math.max(upTo, joined));
      moveTo(ring, to, upTo);
      to.ranges = ranges;
      to.isTold = true;
      if (isProgress) {
        to.attempts = 0;
        to.progressAt = now;
        arm(now, to);
        if (to.recoverTo > to.acked) recover(to);
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
            outputs.silent(now, to.node);
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
      awayCount: ring.awayCount(),
      awayBytes: ring.awayBytes(),
      destinations: [...destinations.values()].map((to) => ({
        node: to.node,
        unacked: to.owed,
        rttMs: to.rttMs,
        attempts: to.attempts,
        isDead: to.goneAt !== undefined,
      })),
    }),
  };
}

/**
 * How far a member has come with a large message that it holds in part, and therefore does not acknowledge; 0: with none.
 * What it holds begins right after what it acknowledges only then: else it would acknowledge that as well.
 */
function joiningTo(upTo: number, ranges: readonly SeqRange[]): number {
  const first = ranges[0];
  return first !== undefined && first[0] === upTo + 1 ? first[1] : 0;
}
