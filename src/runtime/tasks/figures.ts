/** How well tasks are allotted, from what this node has counted as auctioneer and as bidder. */

/** The figures of one node since its start. */
export interface TaskFigures {
  /** Tasks that were submitted here, by what became of them. */
  readonly submitted: number;
  readonly done: number;
  readonly failed: number;
  readonly cancelled: number;
  /** Auctions that closed here, bids in time, bids too late, winners named, tasks opened again, tasks of others taken over. */
  readonly auctions: number;
  readonly bids: number;
  readonly lateBids: number;
  readonly awards: number;
  readonly reauctions: number;
  readonly takeovers: number;
  /** As a bidder: bids made here, tasks won here, and the share of the first that became the second. */
  readonly bidsMade: number;
  readonly wins: number;
  readonly winRate: number | undefined;
  readonly welfare: {
    /** What the winners of sealed and open auctions bid, in all. */
    readonly costMs: number;
    /** What the best bids would have cost, those too late included. */
    readonly bestMs: number;
    /** The second over the first: 1 is the optimum among all bids that came. */
    readonly share: number | undefined;
    /** What batches cost in all, and a bound that no allotment of them goes below. */
    readonly batchMs: number;
    readonly batchBoundMs: number;
    readonly batchShare: number | undefined;
  };
  /** From the submission to the first start: the mean of all, and of the last 256 the median and the 95th percentile. */
  readonly queueMs: {
    readonly mean: number | undefined;
    readonly p50: number | undefined;
    readonly p95: number | undefined;
  };
  /** From the submission to the end, in ms. */
  readonly turnaroundMs: number | undefined;
  /** Runs of agents that failed on this node, each of which was begun again or given up. */
  readonly agentFailures: number;
}

/** Works them out. @param waits how long the last tasks waited, in ms, in any order */
export function figuresOf(
  counters: Readonly<Record<string, number>>,
  waits: readonly number[],
): TaskFigures {
  const of = (name: string): number => counters[name] ?? 0;
  const share = (part: number, whole: number): number | undefined =>
    whole > 0 ? part / whole : undefined;
  const order = waits.toSorted((one, other) => one - other);
  const quantile = (at: number): number | undefined =>
    order[Math.min(order.length - 1, Math.floor(at * order.length))];
  const costMs = of('tasks.cost_won_ms') - of('tasks.cost_batch_won_ms');
  const bestMs = costMs - of('tasks.cost_regret_ms');
  const ended = of('tasks.done') + of('tasks.failed') + of('tasks.cancelled');
  return {
    submitted: of('tasks.submitted'),
    done: of('tasks.done'),
    failed: of('tasks.failed'),
    cancelled: of('tasks.cancelled'),
    auctions: of('tasks.auctions'),
    bids: of('tasks.bids'),
    lateBids: of('tasks.late_bids'),
    awards: of('tasks.awards'),
    reauctions: of('tasks.reauctions'),
    takeovers: of('tasks.takeovers'),
    bidsMade: of('tasks.bids_made'),
    wins: of('tasks.wins'),
    winRate: share(of('tasks.wins'), of('tasks.bids_made')),
    welfare: {
      costMs,
      bestMs,
      share: share(bestMs, costMs),
      batchMs: of('tasks.batch_cost_ms'),
      batchBoundMs: of('tasks.batch_bound_ms'),
      batchShare: share(of('tasks.batch_bound_ms'), of('tasks.batch_cost_ms')),
    },
    queueMs: {
      mean: share(of('tasks.queue_ms'), of('tasks.started')),
      p50: quantile(0.5),
      p95: quantile(0.95),
    },
    turnaroundMs: share(of('tasks.turnaround_ms'), ended),
    agentFailures: of('agents.failures'),
  };
}
