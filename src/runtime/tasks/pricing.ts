/** How one auction finds its price when it is not by one sealed bid each: in the open, or together with other tasks. */

import type { NodeId } from '../../kernel/ids.ts';
import { createOpenBidding } from '../../protocol/agreement/open-bidding.ts';
import type { OpenBiddingEffect, OpenBiddingInput } from '../../protocol/agreement/open-bidding.ts';
import type { TaskSpec } from '../../protocol/agreement/ledger.ts';
import { drive } from '../drive.ts';
import type { PartWorld } from '../parts.ts';
import { isOpenRule } from './task-types.ts';
import type { ShownBid, TaskBody } from './task-types.ts';
import type { TaskWord } from './task-words.ts';

/** What came of it. */
export interface PricingOutcome {
  /** Nobody, when undefined. */
  readonly winner: NodeId | undefined;
  /** What the winner is to get. */
  readonly price: number;
  readonly bids: readonly ShownBid[];
  /** How it came about, for people. */
  readonly why: string;
}

/** One auction on its way to a price. It tells its outcome once, never from within these calls. */
export interface Pricing {
  /** A node is to take part. @returns false when it is too late for that: the node is called as for a sealed bid */
  call(to: NodeId): boolean;
  bid(from: NodeId, cost: number): void;
  /** It will not, goes no lower, or is gone. */
  drop(from: NodeId): void;
  stop(): void;
}

/** What an open auction needs. */
export interface OpenAuctionWorld {
  readonly world: PartWorld;
  readonly spec: TaskSpec<TaskBody>;
  /** The epoch that an award would have. */
  readonly epoch: number;
  send(to: NodeId, word: TaskWord): void;
  closed(outcome: PricingOutcome): void;
}

/** Opens one. */
export function createOpenAuction({ world, spec, epoch, send, closed }: OpenAuctionWorld): Pricing {
  const { clock, log, metrics } = world;
  const { id: task, body } = spec;
  const rule = isOpenRule(body.rule) ? body.rule : 'english';
  const costMax = body.costMax ?? 0;
  const said = new Map<NodeId, number>();
  const called = new Set<string>();

  function why(effect: OpenBiddingEffect & { type: 'close' }): string {
    const { winner, price, stepCount } = effect;
    if (winner === undefined) return `none of ${called.size} took ${costMax} or less`;
    if (rule === 'dutch') return `${price}, price ${stepCount} of the rising ones, was taken first`;
    return `the price fell from ${costMax} to ${price} in ${stepCount} bids of ${said.size}, and nobody went lower`;
  }

  function run(effect: OpenBiddingEffect): void {
    if (effect.type === 'close') {
      const bids = [...said]
        .map(([bidder, cost]) => ({ bidder, cost, parts: {} }))
        .sort((one, other) => one.cost - other.cost);
      const { winner, price } = effect;
      closed({ winner: winner as NodeId | undefined, price, bids, why: why(effect) });
      return;
    }
    const { to, ask, leader } = effect;
    metrics.count('tasks.asks');
    if (called.has(to)) return send(to as NodeId, { t: 'ask', task, epoch, ask, leader });
    called.add(to);
    metrics.count('tasks.calls');
    const closesInMs = body.biddingMs;
    send(to as NodeId, { t: 'call', epoch, spec, closesInMs, ask, leader });
  }

  const core = createOpenBidding({
    rule,
    costMax,
    ...(body.priceStep === undefined ? {} : { step: body.priceStep }),
    ...(body.priceStepMs === undefined ? {} : { stepMs: body.priceStepMs }),
    quietMs: body.biddingMs,
    lastsMs: Math.min(60_000, body.deadlineMs),
  });
  const driver = drive<OpenBiddingInput, OpenBiddingEffect>(core, {
    clock,
    tick: { type: 'tick' },
    run,
    failed: (effect, error) =>
      log.warn({ error, effect: effect.type, task }, 'an open auction could not go on'),
    overflowed: () => metrics.drop('tasks', 'overflow'),
  });

  return {
    call(to) {
      driver.feed({ type: 'joined', bidder: to });
      return true;
    },
    bid(from, cost) {
      const { ask, phase } = core.view();
      // The price that counts is the one that was told.
      if (phase === 'open' && called.has(from) && cost <= ask)
        said.set(from, rule === 'dutch' ? ask : cost);
      driver.feed({ type: 'bidden', bidder: from, cost });
    },
    drop: (from) => driver.feed({ type: 'dropped', bidder: from }),
    stop: () => driver.stop(),
  };
}
