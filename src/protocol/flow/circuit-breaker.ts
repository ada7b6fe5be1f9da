/**
 * A circuit breaker (Nygard, "Release It!", 2007, section 5.2) for answers that come in pieces: a trial closes it with
 * its first piece, not with its last, and a failure after the first piece still counts.
 */

import { BoundedQueue } from '../../kernel/bounded-queue.ts';
import type { Millis } from '../../kernel/core.ts';

/** When it opens and for how long. */
export interface BreakerConfig {
  /** Outcomes older than this are forgotten, in ms. @default 30_000 */
  readonly windowMs?: Millis;
  /** Outcomes before the share of failures means anything. @default 5 */
  readonly samplesMin?: number;
  /** Share of failures that opens it. @default 0.5 */
  readonly failureShare?: number;
  /** Failures in a row that open it whatever the share. @default 3 */
  readonly failuresInRow?: number;
  /** First time it stays open, in ms; doubled each time a trial fails. @default 5_000 */
  readonly openMs?: Millis;
  /** @default 300_000 */
  readonly openMsMax?: Millis;
}

/** Outcomes kept of the window. */
export const breakerSamplesMax = 64;

/** What a breaker is doing. `until` is when an open one lets a trial through. */
export type BreakerState =
  | { readonly phase: 'closed' }
  | { readonly phase: 'open'; readonly until: Millis }
  | { readonly phase: 'trial'; readonly since: Millis };

/** One breaker. */
export interface Breaker {
  /** Whether a request may go; one that goes through an open breaker whose time has come is the trial. */
  admit(now: Millis): boolean;
  /** Whether `admit` would let one through. */
  isReady(now: Millis): boolean;
  /** The first piece of an answer came. */
  began(now: Millis): void;
  /** The whole answer came. */
  succeeded(now: Millis): void;
  failed(now: Millis): void;
  /** A request ended without saying anything about the target: a cancelled trial lets the next one try. */
  abandoned(now: Millis): void;
  /** The target itself said when to come back: never shortens what is already so. */
  block(now: Millis, forMs: Millis): void;
  /** Something else says that the target is back: an open one lets a trial through now. */
  hint(now: Millis): void;
  state(now: Millis): BreakerState;
}

/** How long a trial may go unanswered before another one is let through, in ms. */
const trialMs: Millis = 120_000;

/** Starts closed. */
export function createBreaker(config: BreakerConfig = {}): Breaker {
  const windowMs = config.windowMs ?? 30_000;
  const samplesMin = config.samplesMin ?? 5;
  const failureShare = config.failureShare ?? 0.5;
  const failuresInRow = config.failuresInRow ?? 3;
  const openMsFirst = Math.max(1, config.openMs ?? 5_000);
  const openMsMax = Math.max(openMsFirst, config.openMsMax ?? 300_000);
  const outcomes = new BoundedQueue<{ readonly at: Millis; readonly isFailure: boolean }>(
    breakerSamplesMax,
    'drop-oldest',
  );
  let failures = 0;
  let inRow = 0;
  let openedCount = 0;
  let openUntil: Millis | undefined;
  let trialSince: Millis | undefined;

  function note(now: Millis, isFailure: boolean): void {
    for (
      let old = outcomes.peek();
      old !== undefined && old.at < now - windowMs;
      old = outcomes.peek()
    ) {
      outcomes.shift();
      if (old.isFailure) failures -= 1;
    }
    const lost = outcomes.push({ at: now, isFailure });
    if (lost?.isFailure === true) failures -= 1;
    if (isFailure) failures += 1;
    inRow = isFailure ? inRow + 1 : 0;
  }

  function open(now: Millis): void {
    const forMs = Math.min(openMsMax, openMsFirst * 2 ** Math.min(openedCount, 16));
    openedCount += 1;
    openUntil = Math.max(openUntil ?? 0, now + forMs);
    trialSince = undefined;
  }

  function isReady(now: Millis): boolean {
    if (openUntil === undefined) return true;
    return now >= openUntil && (trialSince === undefined || now - trialSince > trialMs);
  }

  function close(): void {
    openUntil = undefined;
    trialSince = undefined;
    openedCount = 0;
    inRow = 0;
    failures = 0;
    outcomes.clear();
  }

  return {
    isReady,
    admit(now) {
      if (!isReady(now)) return false;
      if (openUntil !== undefined) trialSince = now;
      return true;
    },
    began() {
      if (trialSince !== undefined) close();
    },
    succeeded(now) {
      if (trialSince !== undefined) close();
      note(now, false);
    },
    failed(now) {
      note(now, true);
      // Answers that were under way when it opened say nothing new.
      if (openUntil !== undefined && trialSince === undefined) return;
      const isBad = outcomes.length >= samplesMin && failures / outcomes.length >= failureShare;
      if (trialSince !== undefined || isBad || inRow >= failuresInRow) open(now);
    },
    abandoned() {
      trialSince = undefined;
    },
    block(now, forMs) {
      if (!(forMs > 0)) return;
      openUntil = Math.max(openUntil ?? 0, now + forMs);
      trialSince = undefined;
    },
    hint(now) {
      if (openUntil !== undefined) openUntil = Math.min(openUntil, now);
    },
    state(now) {
      if (openUntil === undefined) return { phase: 'closed' };
      if (trialSince !== undefined && !isReady(now)) return { phase: 'trial', since: trialSince };
      return { phase: 'open', until: openUntil };
    },
  };
}
