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

/** Where an answer with steps is. */
interface Course {
  readonly frame: OfflineFrame;
  readonly startedAt: number;
  /** Ends the waiting of a queue; there is none before there is a queue. */
  controller: AbortController | undefined;
  current: Answer;
  way: OfflineWay | undefined;
  isTold: boolean;
  gone: number | undefined;
  isOver: boolean;
}

/** The answer, or what the steps make of its failure. Nearly every answer needs none: nothing is made for them before. */
export function withOffline(first: Answer, frame: OfflineFrame): Answer {
  const course: Course = {
    frame,
    startedAt: performance.now(),
    controller: undefined,
    current: first,
    way: undefined,
    isTold: false,
    gone: undefined,
    isOver: false,
  };
  return new OfflineAnswer(course, batchesOf(first, course));
}

/** A class, for its getters: in a literal each would cost a shape of its own (docs/decisions/0066). */
class OfflineAnswer implements Answer {
  readonly run: string;
  readonly batches: AsyncIterable<Batch>;
  private readonly course: Course;

  constructor(course: Course, batches: AsyncIterable<Batch>) {
    this.run = course.current.run;
    this.batches = batches;
    this.course = course;
  }

  get cache(): Answer['cache'] {
    return this.course.way === 'stale-cache' ? 'stale' : this.course.current.cache;
  }

  get offline(): OfflineWay | undefined {
    return this.course.way;
  }

  told(): void {
    this.course.isTold = true;
    this.course.current.told();
  }

  outcome(): ReturnType<Answer['outcome']> {
    return this.course.current.outcome();
  }

  leave(graceMs: number): void {
    const { course } = this;
    course.gone = graceMs;
    course.current.leave(graceMs);
    if (course.isOver) return;
    const stop = (): void =>
      course.controller?.abort(new LlmFailure('cancelled', 'The client went away.'));
    if (graceMs === 0) stop();
    else setTimeout(stop, graceMs).unref();
  }
}

/** The first answer as it is, as long as it does not fail: nearly every one goes this way, word for word. */
function batchesOf(first: Answer, course: Course): AsyncIterableIterator<Batch> {
  let source: AsyncIterator<Batch> = first.batches[Symbol.asyncIterator]();
  let hasBegun = false;
  let isElse = false;
  const take = (step: IteratorResult<Batch>): IteratorResult<Batch> => {
    hasBegun = true;
    course.isOver = step.done === true;
    return step;
  };
  const fail = (error: unknown): Promise<IteratorResult<Batch>> => {
    const failure = toLlmFailure(error);
    course.isOver = course.isTold || course.gone !== undefined || !isOutage(failure);
    if (course.isOver) throw error;
    isElse = true;
    source = otherwise(course, failure, hasBegun);
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

function goOn(course: Course, next: Answer): Answer {
  course.current = next;
  if (course.isTold) next.told();
  if (course.gone !== undefined) next.leave(course.gone);
  return next;
}

/** What the steps give instead. */
async function* otherwise(
  course: Course,
  failure: LlmFailure,
  isBegun: boolean,
): AsyncGenerator<Batch> {
  const { frame } = course;
  let hasBegun = isBegun;
  const tried: string[] = [];
  for (const step of frame.steps) {
    if (step === 'fail') break;
    const name = typeof step === 'string' ? step : 'local';
    try {
      for await (const batch of take(course, step, failure)) {
        course.way = name;
        if (hasBegun) yield [{ type: 'reset', attempt: tried.length + 1 }];
        hasBegun = false;
        yield batch;
      }
      if (course.way !== undefined) return frame.note(course.way);
    } catch (error) {
      // What was told of a step cannot be taken back, and a client that is gone needs none.
      if (course.way !== undefined || course.gone !== undefined) throw error;
      tried.push(`${name}: ${toLlmFailure(error).message}`);
    }
  }
  throw tried.length === 0 ? failure : exhausted(failure, tried);
}

/** The batches of a step. @throws {LlmFailure} why there are none. */
function take(
  course: Course,
  step: Exclude<OfflineStep, 'fail'>,
  failure: LlmFailure,
): AsyncIterable<Batch> {
  switch (step) {
    case 'stale-cache':
      return stale(course);
    case 'queue':
      return queued(course, failure);
    default:
      return local(course, step === 'local' ? undefined : step.local);
  }
}

async function* local(course: Course, wanted: string | undefined): AsyncGenerator<Batch> {
  const { ask, locals, begin } = course.frame;
  const [best, ...rest] = locals(wanted);
  if (best === undefined) throw new LlmFailure('overload', 'there is no such model nearby.');
  const body = { ...ask.body, model: best.model.name };
  const same = rest.filter(({ model }) => model.name === best.model.name);
  // The id stands for what was asked for, which this is not.
  const instead = { ...ask, body, isIdGiven: false, ttlMs: leftMs(course) };
  yield* goOn(course, begin(instead, [best, ...same])).batches;
}

async function* stale({ frame }: Course): AsyncGenerator<Batch> {
  const kept = frame.kept();
  if (kept === undefined) throw new LlmFailure('overload', 'no answer to this was kept.');
  // Readers see where it comes from.
  yield kept.events.map((event) =>
    event.type === 'start' ? { ...event, target: 'stale-cache' } : event,
  );
}

async function* queued(course: Course, failure: LlmFailure): AsyncGenerator<Batch> {
  const { ask, queue, candidates, waiting, begin } = course.frame;
  const place = queue.enter(candidates, course.startedAt + ask.ttlMs, failure);
  const { signal } = (course.controller ??= new AbortController());
  try {
    for (;;) {
      waiting?.put(ask, leftMs(course));
      await place.turn(signal);
      waiting?.asked(ask);
      try {
        const again = begin({ ...ask, ttlMs: leftMs(course) }, candidates);
        for await (const batch of goOn(course, again).batches) {
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

function leftMs({ frame, startedAt }: Course): number {
  return Math.max(1, frame.ask.ttlMs - (performance.now() - startedAt));
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
