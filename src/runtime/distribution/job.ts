/** One job that this node spreads: its items come from a source as they are asked for, its results go to one reader. */

import type { Millis } from '../../kernel/core.ts';
import { MycelError } from '../../kernel/errors.ts';
import type { Clock } from '../../ports/clock.ts';
import { createWorkBoard } from '../../protocol/distribution/work-board.ts';
import type { WorkBoardEffect, WorkBoardView } from '../../protocol/distribution/work-board.ts';
import { drive } from '../drive.ts';
import { workBatchBytesMax, workItemBytesMax } from './work-types.ts';
import type { WorkAsk, WorkGift, WorkOptions } from './work-types.ts';

/** What a job needs. */
export interface JobWorld {
  readonly clock: Clock;
  readonly source: AsyncIterator<unknown> | Iterator<unknown>;
  readonly options: WorkOptions;
  weigh(value: unknown): number;
  /** It is over: nobody needs to work for it any more. */
  over(): void;
}

/** A job. */
export interface Job {
  /** Answers a worker. */
  hear(worker: string, ask: WorkAsk): Promise<WorkGift>;
  gone(worker: string): void;
  /** The next result; undefined: there are no more. Rejects when the job has failed. */
  next(): Promise<{ readonly item: number; readonly value: unknown } | undefined>;
  fail(error: unknown): void;
  view(): WorkBoardView;
}

interface Outcome {
  readonly item: number;
  readonly value: unknown;
  readonly error: MycelError | undefined;
}

/** Builds one. */
export function createJob(world: JobWorld): Job {
  const { clock, options, source } = world;
  const inOrder = options.inOrder ?? true;
  const values = new Map<number, unknown>();
  const results = new Map<number, unknown>();
  const asking = new Map<string, (items: readonly number[]) => void>();
  const ready = new Map<number, Outcome>();
  let nextItem = 0;
  let nextOut = 0;
  let largest = 1;
  let isFinished = false;
  let failure: { readonly error: unknown } | undefined;
  let pulling: Promise<void> = Promise.resolve();
  let wakeReader = (): void => {};
  const core = createWorkBoard({
    ...(options.windowMax === undefined ? {} : { windowMax: options.windowMax }),
    ...(options.leaseMs === undefined ? {} : { leaseMs: options.leaseMs }),
    ...(options.attempts === undefined ? {} : { attemptsMax: options.attempts }),
  });

  function end(): void {
    for (const answer of asking.values()) answer([]);
    asking.clear();
    driver.stop();
    world.over();
    wakeReader();
  }

  function fail(error: unknown): void {
    if (failure !== undefined || isFinished) return;
    failure = { error };
    end();
    Promise.resolve(source.return?.()).catch(() => {});
  }

  async function pull(count: number): Promise<void> {
    for (let at = 0; at < count && failure === undefined; at += 1) {
      const { done, value } = await source.next();
      if (done === true) return driver.feed({ type: 'ended' });
      const bytes = world.weigh(value);
      if (bytes > workItemBytesMax) {
        throw new MycelError('MYCEL_TOO_LARGE', {
          reason: `Item ${nextItem} takes ${bytes} bytes, ${workItemBytesMax} at most.`,
          fix: 'Keep large content as blobs, and spread their hashes.',
        });
      }
      largest = Math.max(largest, bytes);
      values.set(nextItem, value);
      nextItem += 1;
      driver.feed({ type: 'offered', count: 1 });
    }
  }

  function run(effect: WorkBoardEffect): void {
    if (effect.type === 'pull') {
      pulling = pulling.then(() => pull(effect.count)).catch(fail);
    } else if (effect.type === 'give') {
      const answer = asking.get(effect.to);
      asking.delete(effect.to);
      answer?.(effect.items);
    } else if (effect.type === 'settle') settle(effect.item, effect.outcome);
    else {
      isFinished = true;
      end();
    }
  }

  function settle(item: number, outcome: 'done' | 'failed' | 'lost'): void {
    values.delete(item);
    const value = results.get(item);
    results.delete(item);
    const error =
      outcome === 'done'
        ? undefined
        : new MycelError('MYCEL_WORK_FAILED', {
            item,
            reason:
              outcome === 'lost'
                ? `Item ${item}: every node that began it was lost.`
                : `Item ${item}: ${String(value).slice(0, 500)}`,
          });
    if (error !== undefined && options.onError !== 'keep') return fail(error);
    ready.set(item, { item, value, error });
    if (!inOrder || item === nextOut) wakeReader();
  }

  function takeReady(): Outcome | undefined {
    const [first] = inOrder ? [nextOut] : ready.keys();
    const found = first === undefined ? undefined : ready.get(first);
    if (found === undefined) return undefined;
    ready.delete(found.item);
    nextOut += 1;
    return found;
  }

  const driver = drive(core, {
    clock,
    tick: { type: 'tick' },
    run,
    failed: (_, error) => fail(error),
    overflowed: () => fail(new MycelError('MYCEL_CALL_BUSY')),
  });

  const giftOf = (items: readonly number[]): WorkGift => ({
    items: items.flatMap((item) => (values.has(item) ? [{ item, value: values.get(item) }] : [])),
    isOver: isFinished || failure !== undefined,
  });

  return {
    async hear(worker, { results: given, count, holds }) {
      for (const { item, isOk, value } of given) {
        if (!values.has(item)) continue;
        results.set(item, value);
        driver.feed({ type: 'finished', worker, item, outcome: isOk ? 'done' : 'failed' });
      }
      if (holds === undefined || isFinished || failure !== undefined) return giftOf([]);
      // An answer fits one message, however large the items are.
      const fitting = Math.min(count, Math.max(1, Math.floor(workBatchBytesMax / largest)));
      if (count === 0) {
        driver.feed({ type: 'asked', worker, count, holds });
        return giftOf([]);
      }
      asking.get(worker)?.([]);
      const items = await new Promise<readonly number[]>((resolve) => {
        asking.set(worker, resolve);
        driver.feed({ type: 'asked', worker, count: fitting, holds });
      });
      return giftOf(items);
    },
    gone: (worker) => driver.feed({ type: 'gone', worker }),
    async next() {
      for (;;) {
        const found = takeReady();
        if (found !== undefined) {
          driver.feed({ type: 'consumed', count: 1 });
          return { item: found.item, value: found.error ?? found.value };
        }
        if (failure !== undefined) throw failure.error as Error;
        if (isFinished) return undefined;
        await new Promise<void>((resolve) => (wakeReader = resolve));
      }
    },
    fail,
    view: () => core.view(),
  };
}

/** Yields, as a reader that computes: the event loop has its turn at least every slice. */
export function slicer(clock: Clock, sliceMs: Millis): () => Promise<void> | undefined {
  let from = clock.now();
  return () => {
    if (clock.now() - from < sliceMs) return undefined;
    return new Promise<void>((resolve) =>
      setImmediate(() => {
        from = clock.now();
        resolve();
      }),
    );
  };
}
