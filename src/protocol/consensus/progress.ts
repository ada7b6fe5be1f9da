/** What a leader knows of one follower, and how fast it may send to it (etcd's probe, replicate and snapshot). */

import type { Millis } from '../../kernel/core.ts';
import type { Seat } from './messages.ts';

/**
 * `probe`: the place where the logs agree is looked for, one message at a time. `replicate`: entries are streamed.
 * `snapshot`: the follower is too far behind for the log and gets the state machine instead.
 */
export type ProgressMode = 'probe' | 'replicate' | 'snapshot';

/** One follower. */
export class Progress {
  readonly seat: Seat;
  /** Durable there and equal to the leader's log. */
  match = 0;
  /** The next entry to send. */
  next: number;
  mode: ProgressMode = 'probe';
  /** A probe is out: nothing is sent until it is answered or a heartbeat is. */
  isWaiting = false;
  /** Last index of each append on its way, oldest first. */
  inFlight: number[] = [];
  /** When the follower was last heard. */
  heardAt: Millis;
  /** The read round that it confirmed last. */
  round = 0;
  /** The snapshot being sent: its index, and how many bytes are there. */
  sending: { readonly index: number; offset: number } | undefined;

  constructor(seat: Seat, next: number, heardAt: Millis) {
    this.seat = seat;
    this.next = next;
    this.heardAt = heardAt;
  }

  /** Whether nothing may be sent now. */
  isPaused(inFlightMax: number): boolean {
    if (this.mode === 'replicate') return this.inFlight.length >= inFlightMax;
    return this.mode === 'snapshot' || this.isWaiting;
  }

  /** Everything up to `match` is there. @returns whether that is news. */
  acknowledged(match: number): boolean {
    this.isWaiting = false;
    while (this.inFlight[0] !== undefined && this.inFlight[0] <= match) this.inFlight.shift();
    const isNews = match > this.match;
    if (isNews) this.match = match;
    this.next = Math.max(this.next, this.match + 1);
    return isNews;
  }

  /**
   * The logs do not agree at `prevIndex`. @returns `stale`: that is not about what was sent last. `moved`: there is an
   * earlier place to try at once. `stuck`: there is none, for the follower has acknowledged everything before it.
   */
  refused(prevIndex: number, next: number): 'stale' | 'moved' | 'stuck' {
    if (this.mode === 'replicate') {
      if (prevIndex <= this.match) return 'stale';
    } else if (prevIndex !== this.next - 1) return 'stale';
    if (this.mode === 'probe' && prevIndex <= this.match) return 'stuck';
    this.next = Math.max(this.match + 1, Math.min(next, prevIndex));
    this.becomeProbe();
    return 'moved';
  }

  becomeProbe(): void {
    this.mode = 'probe';
    this.isWaiting = false;
    this.inFlight = [];
    this.sending = undefined;
  }

  becomeReplicate(): void {
    this.mode = 'replicate';
    this.isWaiting = false;
    this.inFlight = [];
    this.sending = undefined;
    this.next = this.match + 1;
  }

  becomeSnapshot(index: number): void {
    this.mode = 'snapshot';
    this.inFlight = [];
    this.sending = { index, offset: 0 };
  }
}
