/** What the outbox knows about one member it owes events: a cursor, never a copy. */

import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { MessageRing } from './message-ring.ts';
import type { SeqRange } from './messages.ts';

/** One member that is owed events. */
export interface Destination {
  readonly node: NodeId;
  readonly boot: number;
  /** Everything up to here is acknowledged, not owed, given up, or older than the member. */
  acked: number;
  /** The last of them that the member knows of: what lies between this and the next event it is owed, it is told to skip. */
  floor: number;
  /** Where its stream starts, and whether what it lacks before that is lost; told until it shows that it knows. */
  base: number;
  isLoss: boolean;
  /** What it holds beyond `acked`. */
  ranges: readonly SeqRange[];
  /** The highest sequence number handed to the open link, or to the mesh for it. */
  sentTo: number;
  /** The last event up to `sentTo` that it is owed, and how many of those it is owed are under way. */
  sentLast: number;
  underWay: number;
  /** How many events it is owed after `acked`. Numbers say nothing about that: they leap when a node starts anew. */
  owed: number;
  /** Floods would bring it more than may be under way: it gets each event by itself until it has come up to them. */
  isBehind: boolean;
  isLinked: boolean;
  /** Since when membership says it is dead; undefined while it is alive. */
  goneAt: Millis | undefined;
  /** Whether it has shown that it knows where its stream starts. */
  isTold: boolean;
  /** When an acknowledgement last moved `acked`, or there was nothing to acknowledge. */
  progressAt: Millis;
  /** When to send again what is not acknowledged; Infinity when nothing is owed. */
  resendAt: Millis;
  /** Resends since the last progress. */
  attempts: number;
  /** The run that is being sent again: up to `recoverTo`, done up to `recoverAt`. */
  recoverTo: number;
  recoverAt: number;
  rttMs: number;
  /** The one message whose acknowledgement is timed. */
  probe: { readonly seq: number; readonly at: Millis } | undefined;
}

/** A destination that is owed everything after `acked`. */
export function openDestination(
  node: NodeId,
  boot: number,
  acked: number,
  now: Millis,
): Destination {
  return {
    node,
    boot,
    acked,
    floor: acked,
    base: acked + 1,
    isLoss: false,
    ranges: [],
    sentTo: acked,
    sentLast: acked,
    underWay: 0,
    owed: 0,
    isBehind: false,
    isLinked: false,
    goneAt: undefined,
    isTold: false,
    progressAt: now,
    resendAt: Infinity,
    attempts: 0,
    recoverTo: acked,
    recoverAt: acked,
    rttMs: 0,
    probe: undefined,
  };
}

/** Whether the member has shown that it holds this event. */
export function holds(to: Destination, seq: number): boolean {
  if (seq <= to.acked) return true;
  for (const [from, until] of to.ranges) if (seq >= from && seq <= until) return true;
  return false;
}

/** Learns a round trip, smoothed as TCP does it (RFC 6298: 1/8 of each new sample). */
export function sampleRtt(now: Millis, to: Destination, upTo: number): void {
  if (to.probe === undefined || upTo < to.probe.seq) return;
  const sample = now - to.probe.at;
  // A resent message makes the sample ambiguous (Karn's rule): it is not used.
  if (to.attempts === 0) to.rttMs = to.rttMs === 0 ? sample : to.rttMs + (sample - to.rttMs) / 8;
  to.probe = undefined;
}

/** Whether the member is owed an event that is in the ring. */
export function isOwedTo(ring: MessageRing, to: Destination, seq: number): boolean {
  const excluded = ring.excludedAt(seq);
  return excluded === undefined || !excluded.has(to.node);
}

/** Whether so much is under way to the member that no flood may add to it: it comes late, or it does not acknowledge. */
function isLagging(ring: MessageRing, to: Destination, most: number): boolean {
  if (to.isLinked || to.goneAt !== undefined) to.isBehind = false;
  else if (to.owed >= most) to.isBehind = true;
  // A flood that overtakes what is still to be sent one by one would only be refused.
  else if (to.sentTo >= ring.last()) to.isBehind = false;
  return to.isBehind;
}

/** Whether any member lags; all are looked at. */
export function hasLaggard(ring: MessageRing, all: Iterable<Destination>, most: number): boolean {
  let isAny = false;
  for (const to of all) isAny = isLagging(ring, to, most) || isAny;
  return isAny;
}

/** Moves past what the member is not owed. */
export function settle(ring: MessageRing, to: Destination): void {
  const last = ring.last();
  for (let next = ring.next(to.acked); next <= last; next = ring.next(next)) {
    if (isOwedTo(ring, to, next)) break;
    to.acked = next;
  }
}

/** The member has, or will never get, everything up to `seq`. */
export function moveTo(ring: MessageRing, to: Destination, seq: number): void {
  to.floor = Math.max(to.floor, seq);
  if (seq <= to.acked) return;
  const count = owedCount(ring, to, seq);
  to.owed -= count;
  if (seq >= to.sentTo) to.underWay = 0;
  else to.underWay -= count;
  to.acked = seq;
  settle(ring, to);
}

/** How many events it is owed up to `seq`. */
export function owedCount(ring: MessageRing, to: Destination, seq: number): number {
  let count = 0;
  for (let at = ring.next(to.acked); at <= seq; at = ring.next(at)) {
    if (isOwedTo(ring, to, at)) count += 1;
  }
  return count;
}
