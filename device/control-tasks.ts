/** What commands ask of a node about tasks and their auctions: the requests, their checks, and what each does. */

import type {
  AgentHandles,
  AuctionInfo,
  BatchRequest,
  MeshNode,
  TaskFigures,
  TaskHandle,
  TaskInfo,
  TaskRequest,
  TasksHandle,
} from 'mycel';

import type { CheckKit } from './control-agents.ts';
import { Failure } from './failure.ts';

/** The requests with one answer. */
export interface TaskCalls {
  'task-submit': {
    /** `task`: JSON text. `waitMs`: answer when it is over, or when this time is. */
    args: { readonly task: string; readonly auction?: string; readonly waitMs?: number };
    result: TaskInfo;
  };
  'task-batch': {
    /** `tasks`: JSON text, a list. */
    args: { readonly tasks: string; readonly auction?: string; readonly waitMs?: number };
    result: readonly TaskInfo[];
  };
  'task-cancel': {
    args: { readonly id: string };
    result: { readonly id: string; readonly isCancelled: boolean };
  };
  tasks: { args: Readonly<Record<string, never>>; result: readonly TaskInfo[] };
  auctions: { args: { readonly id?: string }; result: readonly AuctionInfo[] };
  'task-figures': { args: Readonly<Record<string, never>>; result: TaskFigures };
}

/** Longest task and longest batch on the command line, in characters. */
const taskLengthMax: number = 64 * 1024;
const batchLengthMax: number = 512 * 1024;

type Check = (value: unknown) => string | undefined;

/** The checks of these requests. */
export function taskChecks({
  text,
  whole,
  optional,
}: CheckKit): Readonly<Record<keyof TaskCalls, Readonly<Record<string, Check>>>> {
  return {
    'task-submit': {
      task: text(taskLengthMax),
      auction: optional(text(64)),
      waitMs: optional(whole(1, 86_400_000)),
    },
    'task-batch': {
      tasks: text(batchLengthMax),
      auction: optional(text(64)),
      waitMs: optional(whole(1, 86_400_000)),
    },
    'task-cancel': { id: text(64) },
    tasks: {},
    auctions: { id: optional(text(64)) },
    'task-figures': {},
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
    'task-batch': true,
    'task-cancel': true,
    tasks: true,
    auctions: true,
    'task-figures': true,
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
    case 'task-figures':
      return tasks.figures();
    case 'task-cancel': {
      const { id } = request.args;
      return { id, isCancelled: await tasks.cancel(id) };
    }
    case 'task-submit': {
      const { task, auction, waitMs } = request.args;
      const asked = parseJson(task) as TaskRequest;
      // What is no kind of auction is refused by the node, which knows them.
      const rule = auction as TaskRequest['rule'];
      const handle = await tasks.submit(rule === undefined ? asked : { ...asked, rule });
      return await whereItStands(tasks, handle, waitMs);
    }
    case 'task-batch': {
      const { tasks: list, auction, waitMs } = request.args;
      const kind = auction as BatchRequest['auction'];
      const all = parseJson(list) as BatchRequest['tasks'];
      const handles = await tasks.submitBatch({
        tasks: all,
        ...(kind === undefined ? {} : { auction: kind }),
      });
      return await Promise.all(handles.map((handle) => whereItStands(tasks, handle, waitMs)));
    }
  }
}

async function whereItStands(
  tasks: TasksHandle,
  handle: TaskHandle,
  waitMs: number | undefined,
): Promise<TaskInfo> {
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

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Failure(
      'MYCEL_USAGE',
      'The task is not JSON.',
      'Write it like \'{"kind":"resize","input":{"width":80}}\'.',
    );
  }
}
