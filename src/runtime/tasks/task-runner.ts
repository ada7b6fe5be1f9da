/** Whoever takes tasks on a node: what it is asked, and what it is given. */

import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { BatchOffer } from '../../protocol/agreement/batch.ts';
import type { BidFacts, SettledBid } from '../../protocol/agreement/task-cost.ts';
import type { AuctionRule } from './task-types.ts';

export type { BatchOffer, BidFacts, SettledBid };

/** What a runner is told of a task. */
export interface TaskJob {
  readonly id: string;
  readonly kind: string;
  readonly input: unknown;
  /** Rises with every award: a sink that keeps the highest refuses an earlier winner. */
  readonly fence: number;
  /** The node that submitted it. */
  readonly by: NodeId;
}

/** What a bid is asked for. */
export interface TaskOffer extends Omit<TaskJob, 'fence'> {
  /** How its winner is found: under `first-price` one's own bid is the price. */
  readonly rule: AuctionRule;
  /** Bids above this are none. */
  readonly costMax: number | undefined;
  /** Tasks of the same batch that the bidder has in hand already, in the order it got them. */
  readonly held: readonly Pick<TaskJob, 'id' | 'kind' | 'input'>[];
}

/** Something on this node that takes a kind of tasks. */
export interface TaskRunner {
  readonly kind: string;
  /** Who it is, for people: an agent's instance, or nothing for the node's own program. */
  readonly owner: string;
  /** What it would cost; undefined: it will not. Absent: the node's own facts decide. */
  readonly bid?: (job: TaskOffer, facts: BidFacts, withinMs: Millis) => Promise<number | undefined>;
  /** Bundles of a batch it would do, each for one cost; the tasks are of its kind. Absent: `bid` decides. */
  readonly bundles?: (
    jobs: readonly TaskOffer[],
    facts: BidFacts,
  ) => Promise<readonly BatchOffer[]>;
  /** Does it. What it resolves with is the result. The signal aborts when the task is this node's no more. */
  run(job: TaskJob, signal: AbortSignal): Promise<unknown>;
}
