/** What the outbox knows about one member it owes events: a cursor, never a copy. */

import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { SeqRange } from './messages.ts';

/** One member that is owed events. */
export interface Destination {
  readonly node: NodeId;
  readonly boot: number;
  /** Everything up to here is acknowledged, given up, or older than the member. */
  acked: number;
  /** What it holds beyond `acked`. */
  ranges: readonly SeqRange[];
  /** The highest sequence number handed to the open link; without a link it means nothing. */
  sentTo: number;
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
    ranges: [],
    sentTo: acked,
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
