/** `node.tasks`: what is to be done once, by whoever can do it best. */

import { MycelError } from '../kernel/errors.ts';
import type { BidFacts, TaskJob } from '../runtime/tasks/bidding.ts';
import type { TaskRequest } from '../runtime/tasks/task-request.ts';
import type { AuctionInfo, TaskInfo } from '../runtime/tasks/task-types.ts';
import type { TakenKind, Tasks } from '../runtime/tasks/tasks.ts';

/** How a program of this node takes a kind of tasks. */
export interface TaskHandler<Input = unknown> {
  /** Does one. What it returns is the result, as JSON up to 6 KiB; what it throws fails this attempt. */
  run(
    task: Omit<TaskJob, 'input'> & { readonly input: Input; readonly signal: AbortSignal },
  ): unknown;
  /** What it would cost now, in ms or anything comparable; undefined: it will not. @default the node's own facts decide */
  bid?(
    task: Omit<TaskJob, 'fence'>,
    facts: BidFacts,
  ): number | undefined | Promise<number | undefined>;
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
  /** Kinds that some node takes, and which nodes do. */
  kinds(): readonly TakenKind[];
}

/** Builds the handle. */
export function createTasksHandle(tasks: Tasks): TasksHandle {
  return {
    async submit(request) {
      const { id } = await tasks.submit(request);
      return {
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
      };
    },
    handle(kind, handler) {
      const { run, bid } = (
        typeof handler === 'function' ? { run: handler } : handler
      ) as TaskHandler;
      return tasks.offer({
        kind,
        owner: '',
        run: async (job, signal) => run({ ...job, signal }),
        ...(bid === undefined ? {} : { bid: async (job, facts) => bid(job, facts) }),
      });
    },
    outcome: tasks.outcome,
    cancel: tasks.cancel,
    list: tasks.list,
    auctions: tasks.auctions,
    kinds: tasks.kinds,
  };
}
