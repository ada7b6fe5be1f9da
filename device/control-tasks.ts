/** What commands ask of a node about tasks and their auctions: the requests, their checks, and what each does. */

import type { AgentHandles, AuctionInfo, MeshNode, TaskInfo, TaskRequest } from 'mycel';

import type { CheckKit } from './control-agents.ts';
import { Failure } from './failure.ts';

/** The requests with one answer. */
export interface TaskCalls {
  'task-submit': {
    /** `task`: JSON text. `waitMs`: answer when it is over, or when this time is. */
    args: { readonly task: string; readonly waitMs?: number };
    result: TaskInfo;
  };
  'task-cancel': {
    args: { readonly id: string };
    result: { readonly id: string; readonly isCancelled: boolean };
  };
  tasks: { args: Readonly<Record<string, never>>; result: readonly TaskInfo[] };
  auctions: { args: { readonly id?: string }; result: readonly AuctionInfo[] };
}

/** Longest task on the command line, in characters. */
const taskLengthMax: number = 64 * 1024;

type Check = (value: unknown) => string | undefined;

/** The checks of these requests. */
export function taskChecks({
  text,
  whole,
  optional,
}: CheckKit): Readonly<Record<keyof TaskCalls, Readonly<Record<string, Check>>>> {
  return {
    'task-submit': { task: text(taskLengthMax), waitMs: optional(whole(1, 86_400_000)) },
    'task-cancel': { id: text(64) },
    tasks: {},
    auctions: { id: optional(text(64)) },
  };
}

/** One of these requests. */
export type TaskCallRequest = {
  readonly [Op in keyof TaskCalls]: { readonly op: Op; readonly args: TaskCalls[Op]['args'] };
}[keyof TaskCalls];

/** Their names; the compiler insists that none is missing. */
const taskOps: ReadonlySet<string> = new Set(
  Object.keys({
    'task-submit': true,
    'task-cancel': true,
    tasks: true,
    auctions: true,
  } satisfies Record<keyof TaskCalls, true>),
);

/** Whether a request is one of these. */
export function isTaskCall(request: { readonly op: string }): request is TaskCallRequest {
  return taskOps.has(request.op);
}

/** Runs one. */
export async function runTaskCall(
  node: MeshNode,
  request: TaskCallRequest,
): Promise<TaskCalls[keyof TaskCalls]['result']> {
  const { tasks } = node as MeshNode & AgentHandles;
  switch (request.op) {
    case 'tasks':
      return tasks.list();
    case 'auctions': {
      const { id } = request.args;
      return tasks.auctions().filter(({ task }) => id === undefined || task === id);
    }
    case 'task-cancel': {
      const { id } = request.args;
      return { id, isCancelled: await tasks.cancel(id) };
    }
    case 'task-submit': {
      const { task, waitMs } = request.args;
      const handle = await tasks.submit(parseTask(task));
      if (waitMs !== undefined) {
        // Where it stands is told below, whether or not the time was enough.
        await tasks.outcome(handle.id, AbortSignal.timeout(waitMs)).catch((error: unknown) => {
          if (!(error instanceof Error && error.name === 'TimeoutError')) throw error;
        });
      }
      const info = handle.info();
      if (info === undefined) throw new Error(`task ${handle.id} is not on record`);
      return info;
    }
  }
}

function parseTask(text: string): TaskRequest {
  try {
    return JSON.parse(text) as TaskRequest;
  } catch {
    throw new Failure(
      'MYCEL_USAGE',
      'The task is not JSON.',
      'Write it like \'{"kind":"resize","input":{"width":80}}\'.',
    );
  }
}
