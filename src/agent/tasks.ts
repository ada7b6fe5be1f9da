/** `node.tasks`: what is to be done once, by whoever can do it best. */

import { MycelError } from '../kernel/errors.ts';
import type { BatchOffer, BidFacts, TaskJob, TaskOffer } from '../runtime/tasks/task-runner.ts';
import type { BatchRequest, TaskRequest } from '../runtime/tasks/task-request.ts';
import type { TaskFigures } from '../runtime/tasks/figures.ts';
import type { AuctionInfo, TaskInfo } from '../runtime/tasks/task-types.ts';
import type { TakenKind, Tasks } from '../runtime/tasks/tasks.ts';

/** How a program of this node takes a kind of tasks. */
export interface TaskHandler<Input = unknown> {
  /** Does one. What it returns is the result, as JSON up to 6 KiB; what it throws fails this attempt. */
  run(
    task: Omit<TaskJob, 'input'> & { readonly input: Input; readonly signal: AbortSignal },
  ): unknown;
  /** What it would cost now, in ms or anything comparable; undefined: it will not. @default the node's own facts decide */
  bid?(task: TaskOffer, facts: BidFacts): number | undefined | Promise<number | undefined>;
  /**
   * What bundles of a batch it would do, each for one cost in all, under `combinatorial`: one of them wins at most. The
   * single tasks are offered by `bid` besides. @default every bundle of up to four tasks, priced one after the other by `bid`
   */
  bundles?(
    tasks: readonly TaskOffer[],
    facts: BidFacts,
  ): readonly BatchOffer[] | Promise<readonly BatchOffer[]>;
}

/** A submitted task. */
export interface TaskHandle {
  readonly id: string;
  /** The result. @throws {MycelError} MYCEL_TASK_FAILED when it failed or was cancelled, with the reason */
  result(options?: { readonly signal?: AbortSignal }): Promise<unknown>;
  /** Resolves with whether it was still to be cancelled. */
  cancel(): Promise<boolean>;
  /** Where it stands. */
  info(): TaskInfo | undefined;
}

/** Tasks by auction. */
export interface TasksHandle {
  /**
   * Has a task auctioned: the nodes that take its kind bid, the lowest bid wins, and another one gets it when the winner
   * is gone. Resolves when it is entered.
   * @throws {MycelError} MYCEL_BAD_OPTION, MYCEL_TOO_LARGE, MYCEL_UNKNOWN_TASK, MYCEL_TASKS_FULL, MYCEL_NO_QUORUM
   */
  submit(request: TaskRequest): Promise<TaskHandle>;
  /**
   * Has tasks auctioned together, all of them or none: one at a time given what each bidder has already
   * (`single-item`), one each at least total cost (`assignment`), or in bundles (`combinatorial`). What is left over, and
   * what a winner loses, is auctioned by itself.
   * @throws {MycelError} as `submit` does
   */
  submitBatch(request: BatchRequest): Promise<readonly TaskHandle[]>;
  /** Takes a kind of tasks on this node; returns the function that ends it. */
  handle<Input = unknown>(
    kind: string,
    handler: TaskHandler<Input> | TaskHandler<Input>['run'],
  ): () => void;
  /** Resolves when the task is over, whatever came of it. @throws {MycelError} MYCEL_UNKNOWN_TASK */
  outcome(id: string, signal?: AbortSignal): Promise<TaskInfo>;
  cancel(id: string): Promise<boolean>;
  /** Every task that is known here. */
  list(): readonly TaskInfo[];
  /** The last auction of each: bids, winner and why. */
  auctions(): readonly AuctionInfo[];
  /** How well tasks are allotted, from what this node has counted since its start. */
  figures(): TaskFigures;
  /** Kinds that some node takes, and which nodes do. */
  kinds(): readonly TakenKind[];
}

/** Builds the handle. */
export function createTasksHandle(tasks: Tasks): TasksHandle {
  const handleOf = (id: string): TaskHandle => ({
    id,
    async result({ signal } = {}) {
      const info = await tasks.outcome(id, signal);
      if (info.state === 'done') return info.result;
      throw new MycelError('MYCEL_TASK_FAILED', {
        task: id,
        reason: `It ${info.state === 'failed' ? 'failed' : 'was cancelled'}: ${info.reason}`,
      });
    },
    cancel: () => tasks.cancel(id),
    info: () => tasks.list().find((one) => one.id === id),
  });

  return {
    submit: async (request) => handleOf((await tasks.submit(request)).id),
    submitBatch: async (request) =>
      (await tasks.submitBatch(request)).map(({ id }) => handleOf(id)),
    handle(kind, handler) {
      const { run, bid, bundles } = (
        typeof handler === 'function' ? { run: handler } : handler
      ) as TaskHandler;
      return tasks.offer({
        kind,
        owner: '',
        run: async (job, signal) => run({ ...job, signal }),
        ...(bid === undefined ? {} : { bid: async (job, facts) => bid(job, facts) }),
        ...(bundles === undefined ? {} : { bundles: async (jobs, facts) => bundles(jobs, facts) }),
      });
    },
    outcome: tasks.outcome,
    cancel: tasks.cancel,
    list: tasks.list,
    auctions: tasks.auctions,
    figures: tasks.figures,
    kinds: tasks.kinds,
  };
}
