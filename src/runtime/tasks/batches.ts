/** Tasks that are auctioned together: what each bidder wants for which of them is asked in rounds, and all are allotted at once. */

import type { NodeId } from '../../kernel/ids.ts';
import * as z from 'zod/mini';
import { batchOffersMax, createBatch } from '../../protocol/agreement/batch.ts';
import type { BatchEffect, BatchInput, BatchOffer } from '../../protocol/agreement/batch.ts';
import type { TaskSpec } from '../../protocol/agreement/ledger.ts';
import { decodeCbor, encodeCbor } from '../../wire/cbor.ts';
import { drive } from '../drive.ts';
import type { Driver } from '../drive.ts';
import type { PartWorld } from '../parts.ts';
import type { Pricing, PricingOutcome } from './pricing.ts';
import type { BatchRule } from './task-request.ts';
import { batchTasksMax, specSchema } from './task-types.ts';
import type { TaskBody } from './task-types.ts';

/** A batch begins without those of its tasks that nobody could be called for after so long, in ms. */
const gatherMs = 1_000;

/** The call that asks for offers. */
export const offersMethod = 'tasks/offers';

/** What a bidder is asked: what each open task, or any bundle of them, would cost it with these in hand. */
export interface OffersQuestion {
  readonly rule: BatchRule;
  readonly withinMs: number;
  readonly open: readonly TaskSpec<TaskBody>[];
  readonly held: readonly TaskSpec<TaskBody>[];
}

const specs = z.array(specSchema).check(z.maxLength(batchTasksMax));
const questionSchema: z.ZodMiniType<OffersQuestion> = z.object({
  rule: z.enum(['single-item', 'assignment', 'combinatorial']),
  withinMs: z.int().check(z.gte(1)),
  open: specs,
  held: specs,
}) as never;
const offersSchema: z.ZodMiniType<BatchOffer[]> = z
  .array(
    z.object({
      items: z.array(z.string().check(z.maxLength(64))).check(z.maxLength(batchTasksMax)),
      cost: z.number(),
    }),
  )
  .check(z.maxLength(batchOffersMax)) as never;

/** Reads what a bidder is asked; undefined when it is no question. */
export function readQuestion(bytes: Uint8Array): OffersQuestion | undefined {
  const read = z.safeParse(questionSchema, decodeCbor(bytes));
  return read.success ? read.data : undefined;
}

/** One batch on its way. */
export interface Batch {
  /** Where one of its tasks waits for its price. */
  seat(task: string, closed: (outcome: PricingOutcome) => void): Pricing;
}

/** Builds a batch that waits for the bidders of its tasks. */
export function createBatchAuction(
  world: PartWorld,
  rule: BatchRule,
  all: readonly TaskSpec<TaskBody>[],
): Batch {
  const { calls, clock, log, metrics } = world;
  const known = new Map(all.map((spec) => [spec.id, spec]));
  const waitMs = Math.max(...all.map(({ body }) => body.biddingMs));
  const seats = new Map<string, (outcome: PricingOutcome) => void>();
  const called = new Map<string, Set<NodeId>>();
  const gone = new Set<NodeId>();
  let driver: Driver<BatchInput> | undefined;
  let cancelGather: (() => void) | undefined;
  let hasBegun = false;

  const specsOf = (ids: readonly string[]): TaskSpec<TaskBody>[] =>
    ids.map((id) => known.get(id)).filter((spec) => spec !== undefined);

  async function ask(effect: BatchEffect & { type: 'ask' }): Promise<void> {
    const { to, round, open, held } = effect;
    const question: OffersQuestion = {
      rule,
      withinMs: waitMs,
      open: specsOf(open),
      held: specsOf(held),
    };
    metrics.count('tasks.asks');
    let offers: readonly BatchOffer[] = [];
    try {
      const answer = await calls.call(to as NodeId, offersMethod, encodeCbor(question), {
        deadlineMs: waitMs,
      });
      const read = z.safeParse(offersSchema, decodeCbor(answer));
      if (read.success) offers = read.data;
      else metrics.drop('tasks', 'malformed');
    } catch (error) {
      log.debug({ error, node: to }, 'a node made no offers for a batch');
    }
    driver?.feed({ type: 'offered', from: to, round, offers });
  }

  function settle({ lots, total, bound, isExact }: BatchEffect & { type: 'close' }): void {
    const shown = Math.round(total * 1_000) / 1_000;
    metrics.count('tasks.batches');
    metrics.count('tasks.batch_cost_ms', shown);
    metrics.count('tasks.batch_bound_ms', bound);
    const of = new Map(lots.map((lot) => [lot.item, lot]));
    for (const [task, closed] of seats) {
      const lot = of.get(task);
      if (lot === undefined) {
        closed({ winner: undefined, price: 0, bids: [], why: 'the batch left it over' });
        continue;
      }
      const { winner, cost, bundle, round, bids } = lot;
      const best = isExact ? 'the least of all ways' : 'the best that was found';
      const why =
        rule === 'single-item'
          ? `round ${round}: ${cost} is the lowest of what the open tasks would cost; the batch costs ${shown}`
          : bundle.length > 1
            ? `a bundle of ${bundle.length} for ${cost} (${bundle.slice(0, 8).join(', ')}); the batch costs ${shown}, ${best}`
            : `${cost} in a batch that costs ${shown}, ${best}`;
      closed({
        winner: winner as NodeId,
        price: Math.round((cost / bundle.length) * 1_000) / 1_000,
        bids: bids.map(({ bidder, amount }) => ({
          bidder: bidder as NodeId,
          cost: amount,
          parts: {},
        })),
        why: why.slice(0, 500),
      });
    }
    seats.clear();
    driver?.stop();
  }

  function begin(): void {
    if (hasBegun) return;
    hasBegun = true;
    cancelGather?.();
    const items = [...called].map(([id, nodes]) => ({
      id,
      bidders: [...nodes].filter((node) => !gone.has(node)),
      costMax: known.get(id)?.body.costMax,
    }));
    driver = drive<BatchInput, BatchEffect>(createBatch({ rule, items, waitMs }), {
      clock,
      tick: { type: 'tick' },
      run(effect) {
        if (effect.type === 'close') settle(effect);
        // Not awaited: the others are asked meanwhile.
        else void ask(effect);
      },
      failed: (effect, error) =>
        log.warn({ error, effect: effect.type }, 'the auction of a batch could not go on'),
      overflowed: () => metrics.drop('tasks', 'overflow'),
    });
    driver.feed({ type: 'opened' });
  }

  return {
    seat(task, closed) {
      seats.set(task, closed);
      return {
        call(to) {
          if (hasBegun) return false;
          called.set(task, (called.get(task) ?? new Set()).add(to));
          cancelGather ??= clock.alarm(clock.now() + gatherMs, begin);
          // The calls for one task come together: those for the last one are not over with its first.
          if (called.size === known.size) void Promise.resolve().then(begin);
          return true;
        },
        bid: () => {},
        drop(from) {
          gone.add(from);
          driver?.feed({ type: 'gone', bidder: from });
        },
        stop: () => void seats.delete(task),
      };
    },
  };
}
