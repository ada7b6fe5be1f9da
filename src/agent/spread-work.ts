/** `node.work`: thousands of items and one function, spread over the nodes that have hands free. */

import type { Clock } from '../ports/clock.ts';
import { slicer } from '../runtime/distribution/job.ts';
import { sliceMsMax } from '../runtime/distribution/labour.ts';
import type { Work } from '../runtime/distribution/work.ts';
import type { WorkOptions } from '../runtime/distribution/work-types.ts';

/** Items: a list, anything that is iterated, or a source that is read as fast as workers ask. */
export type WorkItems<Item> = Iterable<Item> | AsyncIterable<Item>;

/**
 * What is done with an item. It is sent as text: it must use nothing but its arguments (and what JavaScript and `node:`
 * modules, by `await import`, give). Items, results and `shared` travel as CBOR.
 */
export type WorkFunction<Item, Result, Shared> = (
  item: Item,
  shared: Shared,
) => Result | Promise<Result>;

/** The options, with their type of what is shared. */
export interface WorkRunOptions<Shared> extends Omit<WorkOptions, 'shared'> {
  readonly shared?: Shared;
}

/** Work spread over the mesh. Every member works; code of every member may run on every other. */
export interface WorkHandle {
  /**
   * All results, in the order of the items.
   * @throws {MycelError} MYCEL_WORK_FAILED, MYCEL_BAD_AGENT, MYCEL_BAD_OPTION, MYCEL_NO_SITE, MYCEL_TOO_LARGE
   */
  map<Item, Result, Shared = undefined>(
    items: WorkItems<Item>,
    run: WorkFunction<Item, Result, Shared>,
    options?: WorkRunOptions<Shared>,
  ): Promise<Result[]>;
  /** Results as they are read, in order or as they come: a slow reader holds the workers back. Breaking out ends the work. */
  stream<Item, Result, Shared = undefined>(
    items: WorkItems<Item>,
    run: WorkFunction<Item, Result, Shared>,
    options?: WorkRunOptions<Shared>,
  ): AsyncIterableIterator<Result>;
  /** Folds the results here, in the order of the items unless `inOrder` is false, while others are still made. */
  mapReduce<Item, Result, Sum, Shared = undefined>(
    items: WorkItems<Item>,
    run: WorkFunction<Item, Result, Shared>,
    reduce: (sum: Sum, result: Result, item: number) => Sum | Promise<Sum>,
    initial: Sum,
    options?: WorkRunOptions<Shared>,
  ): Promise<Sum>;
  /** A function on every item in this very process, with everything around it: the event loop has its turn at least every `sliceMs` (10) and an item. */
  here<Item, Result>(
    items: Iterable<Item>,
    run: (item: Item, at: number) => Result | Promise<Result>,
    options?: { readonly sliceMs?: number; readonly signal?: AbortSignal },
  ): Promise<Result[]>;
}

/** Builds the handle. */
export function createWorkHandle(work: Work, clock: Clock): WorkHandle {
  const spread = <Item, Result, Shared>(
    items: WorkItems<Item>,
    run: WorkFunction<Item, Result, Shared>,
    options: WorkRunOptions<Shared> = {},
  ): AsyncGenerator<{ readonly item: number; readonly value: unknown }> =>
    work.spread(items, run as (...args: never[]) => unknown, options);

  async function* stream<Item, Result, Shared>(
    items: WorkItems<Item>,
    run: WorkFunction<Item, Result, Shared>,
    options?: WorkRunOptions<Shared>,
  ): AsyncGenerator<Result> {
    for await (const { value } of spread(items, run, options)) yield value as Result;
  }

  return {
    stream,
    async map<Item, Result, Shared>(
      items: WorkItems<Item>,
      run: WorkFunction<Item, Result, Shared>,
      options?: WorkRunOptions<Shared>,
    ) {
      const results: Result[] = [];
      // Read as they come: nothing waits for the first one.
      for await (const { item, value } of spread(items, run, { ...options, inOrder: false })) {
        results[item] = value as Result;
      }
      return results;
    },
    async mapReduce<Item, Result, Sum, Shared>(
      items: WorkItems<Item>,
      run: WorkFunction<Item, Result, Shared>,
      reduce: (sum: Sum, result: Result, item: number) => Sum | Promise<Sum>,
      initial: Sum,
      options?: WorkRunOptions<Shared>,
    ) {
      const rest = slicer(clock, sliceMsMax);
      let sum = initial;
      for await (const { item, value } of spread(items, run, options)) {
        sum = await reduce(sum, value as Result, item);
        await rest();
      }
      return sum;
    },
    async here(items, run, { sliceMs = sliceMsMax, signal } = {}) {
      const rest = slicer(clock, sliceMs);
      const results = [];
      for (const item of items) {
        signal?.throwIfAborted();
        results.push(await run(item, results.length));
        await rest();
      }
      return results;
    },
  };
}
