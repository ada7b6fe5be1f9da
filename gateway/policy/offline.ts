/** What to do when no target can be reached: another model nearby, an answer that is too old, waiting, or saying so. */

import type { OfflineStep } from '../config/schema.ts';
import type { Batch } from '../events.ts';
import { LlmFailure, toLlmFailure } from '../failure.ts';
import type { KeptAnswer } from './answer-cache.ts';
import type { Ask } from './ask.ts';
import type { Candidate } from './choice.ts';
import type { Answer } from './engine.ts';
import type { OfflineQueue } from './offline-queue.ts';
import type { WaitingLog } from './waiting-log.ts';

/** How an answer was got when the target could not be reached. */
export type OfflineWay = 'local' | 'stale-cache' | 'queue';

/** What the steps need. */
export interface OfflineFrame {
  readonly ask: Ask;
  readonly steps: readonly OfflineStep[];
  readonly candidates: readonly Candidate[];
  readonly queue: OfflineQueue;
  /** Remembers what waits; undefined: nothing does. */
  readonly waiting: WaitingLog | undefined;
  /** The kept answer to this request, however old. */
  kept(): KeptAnswer | undefined;
  /** Models nearby that may stand in; `wanted` names one. */
  locals(wanted: string | undefined): readonly Candidate[];
  /** Begins an answer without any of these steps. */
  begin(ask: Ask, candidates: readonly Candidate[]): Answer;
  /** Counts what a step did. */
  note(way: OfflineWay): void;
}

/** The answer, or what the steps make of its failure. */
export function withOffline(first: Answer, frame: OfflineFrame): Answer {
  /** Ends the waiting of a queue; there is none before there is a queue. */
  let controller: AbortController | undefined;
  const startedAt = performance.now();
  let current = first;
  let way: OfflineWay | undefined;
  let isTold = false;
  let gone: number | undefined;
  let isOver = false;

  function goOn(next: Answer): Answer {
    current = next;
    if (isTold) next.told();
    if (gone !== undefined) next.leave(gone);
    return next;
  }

  /** The first answer as it is, as long as it does not fail: nearly every one goes this way, word for word. */
  function batches(): AsyncIterableIterator<Batch> {
    let source: AsyncIterator<Batch> = first.batches[Symbol.asyncIterator]();
    let hasBegun = false;
    let isElse = false;
    const take = (step: IteratorResult<Batch>): IteratorResult<Batch> => {
      hasBegun = true;
      isOver = step.done === true;
      return step;
    };
    const fail = (error: unknown): Promise<IteratorResult<Batch>> => {
      const failure = toLlmFailure(error);
      isOver = isTold || gone !== undefined || !isOutage(failure);
      if (isOver) throw error;
      isElse = true;
      source = otherwise(failure, hasBegun);
      return source.next();
    };
    return {
      next: () => (isElse ? source.next() : source.next().then(take, fail)),
      return: async () => (await source.return?.()) ?? { done: true, value: undefined },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  /** What the steps give instead. */
  async function* otherwise(failure: LlmFailure, isBegun: boolean): AsyncGenerator<Batch> {
    let hasBegun = isBegun;
    const tried: string[] = [];
    for (const step of frame.steps) {
      if (step === 'fail') break;
      const name = typeof step === 'string' ? step : 'local';
      try {
        for await (const batch of take(step, failure)) {
          way = name;
          if (hasBegun) yield [{ type: 'reset', attempt: tried.length + 1 }];
          hasBegun = false;
          yield batch;
        }
        if (way !== undefined) return frame.note(way);
      } catch (error) {
        // What was told of a step cannot be taken back, and a client that is gone needs none.
        if (way !== undefined || gone !== undefined) throw error;
        tried.push(`${name}: ${toLlmFailure(error).message}`);
      }
    }
    throw tried.length === 0 ? failure : exhausted(failure, tried);
  }

  /** The batches of a step. @throws {LlmFailure} why there are none. */
  function take(step: Exclude<OfflineStep, 'fail'>, failure: LlmFailure): AsyncIterable<Batch> {
    switch (step) {
      case 'stale-cache':
        return stale();
      case 'queue':
        return queued(failure);
      default:
        return local(step === 'local' ? undefined : step.local);
    }
  }

  async function* local(wanted: string | undefined): AsyncGenerator<Batch> {
    const { ask } = frame;
    const [best, ...rest] = frame.locals(wanted);
    if (best === undefined) throw new LlmFailure('overload', 'there is no such model nearby.');
    const body = { ...ask.body, model: best.model.name };
    const same = rest.filter(({ model }) => model.name === best.model.name);
    // The id stands for what was asked for, which this is not.
    const instead = { ...ask, body, isIdGiven: false, ttlMs: leftMs() };
    yield* goOn(frame.begin(instead, [best, ...same])).batches;
  }

  async function* stale(): AsyncGenerator<Batch> {
    const kept = frame.kept();
    if (kept === undefined) throw new LlmFailure('overload', 'no answer to this was kept.');
    // Readers see where it comes from.
    yield kept.events.map((event) =>
      event.type === 'start' ? { ...event, target: 'stale-cache' } : event,
    );
  }

  async function* queued(failure: LlmFailure): AsyncGenerator<Batch> {
    const { ask, queue, candidates, waiting } = frame;
    const place = queue.enter(candidates, startedAt + ask.ttlMs, failure);
    const { signal } = (controller ??= new AbortController());
    try {
      for (;;) {
        waiting?.put(ask, leftMs());
        await place.turn(signal);
        waiting?.asked(ask);
        try {
          for await (const batch of goOn(frame.begin({ ...ask, ttlMs: leftMs() }, candidates))
            .batches) {
            place.leave(true);
            waiting?.drop(ask);
            yield batch;
          }
          return;
        } catch (error) {
          if (place.isLeft || !isOutage(error)) throw error;
          place.again();
        }
      }
    } finally {
      waiting?.drop(ask);
      place.leave(false);
    }
  }

  function leftMs(): number {
    return Math.max(1, frame.ask.ttlMs - (performance.now() - startedAt));
  }

  return {
    run: first.run,
    get cache() {
      return way === 'stale-cache' ? 'stale' : current.cache;
    },
    get offline() {
      return way;
    },
    batches: batches(),
    told() {
      isTold = true;
      current.told();
    },
    outcome: () => current.outcome(),
    leave(graceMs) {
      gone = graceMs;
      current.leave(graceMs);
      if (isOver) return;
      const stop = (): void =>
        controller?.abort(new LlmFailure('cancelled', 'The client went away.'));
      if (graceMs === 0) stop();
      else setTimeout(stop, graceMs).unref();
    },
  };
}

/** Whether a failure says that nobody can be asked now. */
export function isOutage(error: unknown): boolean {
  return (
    error instanceof LlmFailure &&
    error.code !== 'answered_elsewhere' &&
    error.code !== 'gateway_stopping' &&
    ['network', 'timeout', 'overload', 'rate', 'funds'].includes(error.kind)
  );
}

function exhausted(failure: LlmFailure, tried: readonly string[]): LlmFailure {
  const { status, code, retryAfterMs, wasDispatched } = failure;
  return new LlmFailure(
    failure.kind,
    `${failure.message} What else was tried: ${tried.join(' ')}`,
    {
      status,
      code,
      wasDispatched,
      cause: failure,
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    },
  );
}
