/** When a request is tried again, at which target, and what a failure says about one. */

import { LlmFailure } from '../failure.ts';
import type { Halt } from '../halt.ts';
import { ranked } from './choice.ts';
import type { Candidate } from './choice.ts';
import type { Desk } from './desk.ts';

/** Attempts of one request, over all targets. */
const attemptsMax = 6;

/** Longest wait for a target that asked for patience, in ms: what is longer is the client's to wait. */
const patienceMs = 5_000;

/** Waits before a target is tried again, drawn between these, in ms. */
const jitterMs = { least: 200, most: 800 };

/** Tells the breaker what a failure says about the target. Gives false when it says nothing. */
export function judge(desk: Desk, model: string, failure: LlmFailure): boolean {
  const now = performance.now();
  const breaker = desk.breaker(model);
  switch (failure.kind) {
    case 'auth':
      breaker.block(now, 60_000);
      return true;
    case 'funds':
      breaker.block(now, failure.retryAfterMs ?? 60_000);
      return true;
    case 'rate':
      breaker.block(now, failure.retryAfterMs ?? 1_000);
      return true;
    case 'overload':
    case 'network':
    case 'timeout':
    case 'incomplete':
    case 'malformed':
      breaker.failed(now);
      if (failure.retryAfterMs !== undefined) breaker.block(now, failure.retryAfterMs);
      return true;
    default:
      return false;
  }
}

/** What decides about whom to ask. */
export interface ChoiceFrame {
  readonly candidates: readonly Candidate[];
  /** Attempts so far, by target. */
  readonly tried: ReadonlyMap<string, number>;
  /** On the clock of `performance.now`. */
  readonly deadline: number;
  readonly halt: Halt;
  /** What it will use of a target's rate. */
  readonly tokens: number;
  /** Whether to wait a little for a target that is not asked now; without, somebody else helps meanwhile. */
  readonly isPatient: boolean;
}

/** Waits for the best candidate that may be tried. @throws {LlmFailure} when none will be in time. */
export async function choose(frame: ChoiceFrame): Promise<Candidate> {
  const { candidates, tried, deadline, halt, tokens, isPatient } = frame;
  for (;;) {
    const now = performance.now();
    let soonest = Infinity;
    const fresh =
      candidates.length === 1
        ? candidates
        : ranked(candidates).toSorted(
            (left, right) =>
              (tried.get(left.desk.config.name) ?? 0) - (tried.get(right.desk.config.name) ?? 0),
          );
    for (const candidate of fresh) {
      const breaker = candidate.desk.breaker(candidate.model.as);
      if (!breaker.isReady(now)) {
        const state = breaker.state(now);
        soonest = Math.min(soonest, state.phase === 'open' ? state.until : now + 1000);
        continue;
      }
      const waitMs = candidate.desk.takeRate(tokens);
      if (waitMs > 0) soonest = Math.min(soonest, now + waitMs);
      else if (breaker.admit(now)) return candidate;
      else candidate.desk.correctRate(-tokens);
    }
    const waitMs = soonest - now;
    if (!isPatient || waitMs > patienceMs || soonest > deadline)
      throw allClosed(candidates, waitMs);
    await halt.wait(Math.max(1, waitMs));
    halt.throwIfCalled();
  }
}

/** What decides about another attempt. */
export interface RetryFrame {
  /** Whether something was told that cannot be taken back. */
  readonly isBound: boolean;
  readonly candidates: readonly Candidate[];
  readonly candidate: Candidate;
  readonly tried: ReadonlyMap<string, number>;
  readonly attempts: number;
  readonly deadline: number;
  readonly halt: Halt;
  /** A number in [0, 1). */
  chance(): number;
}

/** Whether another attempt is made; waits a little before the same target is asked again. */
export async function mayRetry(failure: LlmFailure, frame: RetryFrame): Promise<boolean> {
  const { candidates, candidate, tried, attempts, deadline, halt } = frame;
  if (halt.isCalled || attempts >= attemptsMax) return false;
  // What was told cannot be taken back from a reader of a plain stream.
  if (frame.isBound) return false;
  const hasOther = candidates.some(({ desk }) => (tried.get(desk.config.name) ?? 0) === 0);
  const again = tried.get(candidate.desk.config.name) ?? 0;
  switch (failure.kind) {
    case 'overload':
    case 'network':
    case 'rate': {
      if (hasOther) return true;
      const wait = Math.max(
        failure.retryAfterMs ?? 0,
        jitterMs.least + frame.chance() * (jitterMs.most - jitterMs.least),
      );
      if (again > (failure.kind === 'rate' ? 2 : 1) || wait > patienceMs) return false;
      if (performance.now() + wait >= deadline) return false;
      await halt.wait(wait);
      return !halt.isCalled;
    }
    case 'auth':
    case 'funds':
      return hasOther;
    case 'timeout':
      // A target that began and fell silent may have lost one connection; one that never began is not pressed.
      return hasOther || (failure.code === 'stream_stalled' && again < 2);
    case 'incomplete':
    case 'malformed':
      return hasOther || again < 2;
    default:
      return false;
  }
}

function allClosed(candidates: readonly Candidate[], waitMs: number): LlmFailure {
  const names = [...new Set(candidates.map(({ desk }) => `'${desk.config.name}'`))].join(', ');
  const retryAfterMs = Math.min(Math.max(1, waitMs), 86_400_000);
  return new LlmFailure(
    'overload',
    `None of the targets ${names} can be asked now. Ask again in ${Math.ceil(retryAfterMs / 1000)} s; "mycel llm targets" shows why.`,
    { code: 'targets_unavailable', retryAfterMs },
  );
}
