/** A node that works for a job: it pulls items, runs them in its hands, and gives the results back with the next asking. */

import { MycelError } from '../../kernel/errors.ts';
import type { Cells } from '../../ports/agent-cell.ts';
import type { Clock } from '../../ports/clock.ts';
import { openHand } from './hand.ts';
import type { Hand } from './hand.ts';
import type { JobOrder, WorkAsk, WorkGift, WorkResult } from './work-types.ts';
import { workBatchBytesMax, workItemBytesMax } from './work-types.ts';

/** Results wait so long for others of the same message, in ms. */
const gatherMs = 20;

/** Items are asked for ahead so that a hand has about so long to do, in ms. */
const aheadMs = 100;

/** Results in one message. */
export const resultsMax = 4_096;

/** Items asked for at once. */
const askMax = 256;

/** Hands of one job that may fail before this node gives the job up. */
const brokenHandsMax = 8;

/** Longest time that items run in this process without the event loop having its turn, in ms. */
export const sliceMsMax = 10;

/** What labour needs. */
export interface LabourWorld {
  readonly node: string;
  readonly cells: Cells;
  readonly clock: Clock;
  /** Gives results and asks for more. Rejects when whoever spreads the job cannot be reached. */
  ask(ask: WorkAsk): Promise<WorkGift>;
  /** How many bytes a value takes; throws when it cannot be sent. */
  weigh(value: unknown): number;
}

/** Works until the job is over, whoever spreads it is gone, or the signal aborts. Resolves with how many items it did. */
export async function labour(
  order: JobOrder,
  world: LabourWorld,
  signal: AbortSignal,
): Promise<number> {
  const { clock } = world;
  const slots = order.threads * order.atOnce;
  const queue: { item: number; value: unknown }[] = [];
  const inWork = new Set<number>();
  let results: (WorkResult & { readonly bytes: number })[] = [];
  let hands: { hand: Hand; busy: number }[] = [];
  let broken = 0;
  let doneCount = 0;
  let mean = aheadMs;
  let sliceFrom = clock.now();
  let hasEnded = false;
  /** Items whose results are on their way. */
  const sent = new Set<number>();
  const sleepers = new Set<() => void>();
  const wake = (): void => {
    for (const look of sleepers) look();
  };
  const isOver = (): boolean => hasEnded || signal.aborted || broken >= brokenHandsMax;

  function openHands(): void {
    hands = hands.filter(({ hand }) => hand.isOpen());
    while (hands.length < order.threads && broken < brokenHandsMax) {
      hands.push({ hand: openHand(order, world.node, world.cells, clock), busy: 0 });
    }
  }

  function add(item: number, isOk: boolean, value: unknown): void {
    try {
      const bytes = world.weigh(value);
      if (bytes > workItemBytesMax) throw new Error(`a result of ${bytes} bytes is too large`);
      results.push({ item, isOk, value, bytes });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      results.push({ item, isOk: false, value: reason.slice(0, 500), bytes: 512 });
    }
    wake();
  }

  async function run(
    at: { hand: Hand; busy: number },
    item: number,
    value: unknown,
  ): Promise<void> {
    inWork.add(item);
    at.busy += 1;
    try {
      await at.hand.ready;
      // Items in this process take turns with everything else in it.
      if (order.isolation === 'in-process' && clock.now() - sliceFrom >= sliceMsMax) {
        await new Promise((resolve) => setImmediate(resolve));
        sliceFrom = clock.now();
      }
      const from = clock.now();
      const result = await at.hand.run(value);
      mean = mean * 0.9 + (clock.now() - from) * 0.1;
      doneCount += 1;
      inWork.delete(item);
      add(item, true, result);
    } catch (error) {
      if (!at.hand.isOpen()) broken += 1;
      inWork.delete(item);
      const reason = error instanceof Error ? error.message : String(error);
      add(item, false, MycelError.is(error) ? `${error.message} ${error.fix}` : reason);
    } finally {
      at.busy -= 1;
      fill();
    }
  }

  function fill(): void {
    openHands();
    for (let next = queue[0]; next !== undefined; next = queue[0]) {
      const free = hands.find(({ busy }) => busy < order.atOnce);
      if (free === undefined) break;
      queue.shift();
      void run(free, next.item, next.value);
    }
    wake();
  }

  /** How many more would keep the hands busy until the next asking. */
  function wanted(): number {
    const perHand = Math.max(1, Math.ceil(aheadMs / Math.max(0.05, mean)));
    const target = Math.min(askMax, slots * perHand);
    const missing = target - queue.length - inWork.size;
    // Asked for in handfuls, not one by one.
    return missing >= Math.max(1, target / 2) || inWork.size < slots ? Math.max(0, missing) : 0;
  }

  /** Waits until the condition holds, something may have changed it meanwhile, or the time is over. */
  function until(holds: () => boolean, ms: number): Promise<void> {
    if (holds()) return Promise.resolve();
    return new Promise((resolve) => {
      const look = (): void => {
        if (holds()) done();
      };
      const cancel = clock.alarm(clock.now() + ms, done);
      sleepers.add(look);
      function done(): void {
        cancel();
        sleepers.delete(look);
        resolve();
      }
    });
  }

  function takeBatch(): WorkResult[] {
    let bytes = 0;
    let count = 0;
    for (const result of results) {
      bytes += result.bytes;
      if (count > 0 && (bytes > workBatchBytesMax || count >= resultsMax)) break;
      count += 1;
    }
    const batch = results.slice(0, count);
    results = results.slice(count);
    return batch.map(({ item, isOk, value }) => ({ item, isOk, value }));
  }

  /** Asks for more whenever the hands have too little; in between often enough that the lease is kept. */
  async function askOn(): Promise<void> {
    while (!isOver()) {
      const holds = [...queue, ...inWork, ...results.map(({ item }) => item), ...sent].map((one) =>
        typeof one === 'number' ? one : one.item,
      );
      const gift = await world.ask({ job: order.job, results: [], count: wanted(), holds });
      if (gift.isOver) return;
      queue.push(...gift.items);
      fill();
      await until(() => isOver() || wanted() > 0, order.leaseMs / 3);
    }
  }

  /** Gives results back beside the asking, which may be waiting. */
  async function giveOn(): Promise<void> {
    while (!isOver()) {
      await until(() => isOver() || results.length > 0, order.leaseMs);
      if (results.length === 0) continue;
      // Those of one moment travel together, unless nothing else is under way.
      if (queue.length + inWork.size > 0) await until(isOver, gatherMs);
      const batch = takeBatch();
      for (const { item } of batch) sent.add(item);
      const gift = await world.ask({ job: order.job, results: batch, count: 0, holds: undefined });
      for (const { item } of batch) sent.delete(item);
      if (gift.isOver) return;
    }
  }

  signal.addEventListener('abort', wake);
  try {
    openHands();
    await Promise.race([askOn(), giveOn()]);
  } finally {
    hasEnded = true;
    wake();
    signal.removeEventListener('abort', wake);
    for (const { hand } of hands) hand.end();
  }
  return doneCount;
}
