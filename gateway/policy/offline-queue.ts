/** Requests that wait in memory until a target can be asked again: first come first served, one until it has answered. */

import { LlmFailure } from '../failure.ts';
import type { Candidate } from './choice.ts';

/** Between two looks at whether a target is back, in ms. */
const lookMs = 500;

/** How long a target may take to list its models when it is looked at, in ms. */
const answerMs = 2_000;

/** How many go at once after the first of them was answered, each look. */
const releasedMax = 16;

/** A place in the queue. */
export interface QueuePlace {
  /** Waits for its turn. @throws {LlmFailure} deadline, or what the signal was aborted with. */
  turn(signal: AbortSignal): Promise<void>;
  /** The target was not back after all: it keeps its place. */
  again(): void;
  /** It is answered, or gives up. A second time changes nothing. */
  leave(isAnswered: boolean): void;
  readonly isLeft: boolean;
}

/** The queue of one gateway. */
export interface OfflineQueue {
  /** @throws {LlmFailure} queue when it is full, with a time. */
  enter(candidates: readonly Candidate[], deadline: number, why: LlmFailure): QueuePlace;
  readonly length: number;
  close(): void;
}

interface Waiting {
  readonly candidates: readonly Candidate[];
  readonly deadline: number;
  /** Whether a target that lists its models may be taken for one that is back. */
  readonly isUnreached: boolean;
  /** Undefined: it is being asked for. */
  go: ((failure?: LlmFailure) => void) | undefined;
}

/** Starts empty. */
export function createOfflineQueue(max: number): OfflineQueue {
  /** In the order in which they came. */
  const waiting = new Set<Waiting>();
  let timer: NodeJS.Timeout | undefined;
  let isLooking = false;
  /** Whether one that was let go was answered since the queue was last empty. */
  let isBack = false;

  function rearm(): void {
    if (timer === undefined && waiting.size > 0) timer = setInterval(() => void look(), lookMs);
    if (waiting.size > 0) return;
    clearInterval(timer);
    timer = undefined;
    isBack = false;
  }

  async function look(): Promise<void> {
    expire();
    if (isLooking) return;
    isLooking = true;
    await probe().finally(() => {
      isLooking = false;
    });
    release();
  }

  function expire(): void {
    const now = performance.now();
    for (const { deadline, go } of waiting) {
      if (deadline <= now)
        go?.(new LlmFailure('deadline', 'no target came back while the caller waited.'));
    }
  }

  /** A target that was out of reach and answers now is asked for more than that at once, whatever its breaker planned. */
  async function probe(): Promise<void> {
    const unreached = new Map<string, Candidate>();
    for (const { candidates, isUnreached } of waiting) {
      if (!isUnreached) continue;
      for (const candidate of candidates)
        unreached.set(`${candidate.desk.config.name}/${candidate.model.as}`, candidate);
    }
    await Promise.all(
      [...unreached.values()].map(async ({ desk, model }) => {
        const breaker = desk.breaker(model.as);
        if (breaker.isReady(performance.now())) return;
        try {
          await desk.target.listModels(AbortSignal.timeout(answerMs));
          breaker.hint(performance.now());
        } catch {
          // It is not back: that is what was asked.
        }
      }),
    );
  }

  function release(): void {
    const now = performance.now();
    const isTrial = [...waiting].some(({ go }) => go === undefined);
    let left = isBack ? releasedMax : isTrial ? 0 : 1;
    for (const { candidates, go } of waiting) {
      if (left === 0) return;
      const isReady = candidates.some(({ desk, model }) => desk.breaker(model.as).isReady(now));
      if (go === undefined || !isReady) continue;
      left -= 1;
      go();
    }
  }

  return {
    get length() {
      return waiting.size;
    },
    enter(candidates, deadline, why) {
      if (waiting.size >= max) {
        throw new LlmFailure('queue', `${max} requests wait already for a target to come back.`, {
          retryAfterMs: why.retryAfterMs ?? 10_000,
        });
      }
      const isUnreached = ['network', 'timeout', 'overload'].includes(why.kind);
      const entry: Waiting = { candidates, deadline, isUnreached, go: undefined };
      let isLeft = false;
      return {
        get isLeft() {
          return isLeft;
        },
        turn: (signal) =>
          new Promise((resolve, reject) => {
            const onAbort = (): void => entry.go?.(signal.reason as LlmFailure);
            entry.go = (failure) => {
              entry.go = undefined;
              signal.removeEventListener('abort', onAbort);
              if (failure === undefined) resolve();
              else reject(failure);
            };
            signal.addEventListener('abort', onAbort, { once: true });
            waiting.add(entry);
            if (signal.aborted) onAbort();
            rearm();
          }),
        again() {
          isBack = false;
        },
        leave(isAnswered) {
          if (isLeft) return;
          isLeft = true;
          isBack ||= isAnswered;
          waiting.delete(entry);
          if (isAnswered) release();
          rearm();
        },
      };
    },
    close() {
      for (const { go } of waiting)
        go?.(new LlmFailure('overload', 'the gateway stops.', { code: 'gateway_stopping' }));
      waiting.clear();
      rearm();
    },
  };
}
