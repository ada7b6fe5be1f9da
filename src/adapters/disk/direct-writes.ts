/**
 * Whether the event loop may wait for a small synced write itself. On a fast disk the write is shorter than the way to a
 * thread of the pool and back; on a card it would hold everything else up (decisions 0058, 0060).
 */

import type { Millis } from '../../kernel/core.ts';

/** A disk is fast when half of its latest small writes take no longer than this, in ms. */
const slowMs: Millis = 1;

/** A write that takes longer than this, in ms, is a stall: more than one among the latest, and the disk is not fast. */
const stallMs: Millis = 20;

/** Small writes whose durations are remembered, whoever did them: before so many are known no disk is fast. */
const paceKept = 32;

/** Share of the time that the loop may wait for the disk, and ms that may be saved up for a burst. */
const timeShare = 0.25;
const burstMs: Millis = 5;

/** The judgement of one file's disk. */
export class DirectWrites {
  /** How long the latest took, in ms. */
  #pace: Millis[] = [];
  #isFast = false;
  #savedMs: Millis = burstMs;
  #at: Millis = 0;

  /** Whether the next small write may be waited for. */
  mayWait(now: Millis): boolean {
    this.#savedMs = Math.min(burstMs, this.#savedMs + (now - this.#at) * timeShare);
    this.#at = now;
    return this.#isFast && this.#savedMs > 0;
  }

  /** A small write took so long; `isWaited`: the loop has waited for it. */
  took(ms: Millis, isWaited: boolean): void {
    if (isWaited) this.#savedMs -= ms;
    this.#pace.push(ms);
    if (this.#pace.length > paceKept) this.#pace.shift();
    let quick = 0;
    let stalls = 0;
    for (const one of this.#pace) {
      if (one <= slowMs) quick += 1;
      if (one > stallMs) stalls += 1;
    }
    this.#isFast = this.#pace.length === paceKept && 2 * quick > paceKept && stalls <= 1;
  }
}
