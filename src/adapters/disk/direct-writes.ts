/**
 * Whether the event loop may wait for a small synced write itself. On a fast disk the write is shorter than the way to a
 * thread of the pool and back; on a card it would hold everything else up (decision 0060).
 */

import type { Millis } from '../../kernel/core.ts';

/** A write that takes longer than this, in ms, is a slow one. */
const slowMs: Millis = 1;

/** One that takes longer than this, in ms, ends it at once. */
const stallMs: Millis = 20;

/** Writes whose pace is remembered, and how many of them may be slow: the 90th percentile is below `slowMs`. */
const paceKept = 32;
const slowMax = 3;

/** Writes by the pool before the loop tries one again: at first, and at most. Doubles with each trial that fails. */
const restWritesMin = 64;
const restWritesMax = 4096;

/** Share of the time that the loop may wait for the disk, and ms that may be saved up for a burst. */
const timeShare = 0.25;
const burstMs: Millis = 5;

/** The judgement of one file's disk. */
export class DirectWrites {
  /** Whether each of the latest was slow. What is not known yet counts as slow as may be: the first slow one decides. */
  #pace: boolean[] = probation();
  #restWrites = restWritesMin;
  #restLeft = 0;
  #savedMs: Millis = burstMs;
  #at: Millis = 0;

  /** Whether the next write may be waited for; to be asked once for each write. */
  mayWait(now: Millis): boolean {
    if (this.#restLeft > 0) {
      this.#restLeft -= 1;
      return false;
    }
    this.#savedMs = Math.min(burstMs, this.#savedMs + (now - this.#at) * timeShare);
    this.#at = now;
    return this.#savedMs > 0;
  }

  /** A write that was waited for took so long. */
  took(ms: Millis): void {
    this.#savedMs -= ms;
    this.#pace.push(ms > slowMs);
    this.#pace.shift();
    const slowCount = this.#pace.filter((isSlow) => isSlow).length;
    if (slowCount > slowMax || ms > stallMs) {
      this.#restLeft = this.#restWrites;
      this.#restWrites = Math.min(restWritesMax, 2 * this.#restWrites);
      this.#pace = probation();
    } else if (slowCount === 0) this.#restWrites = restWritesMin;
  }
}

function probation(): boolean[] {
  return Array.from({ length: paceKept }, (_, at) => at >= paceKept - slowMax);
}
