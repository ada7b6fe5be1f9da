/** `mycel task submit`, `task cancel`, `tasks`, `auctions`: tasks by auction. */

import { print, type Context } from '../context.ts';
import { callNode } from '../control-client.ts';
import { Failure } from '../failure.ts';
import type { SubmitFlags } from '../program-tasks.ts';
import { formatTable } from '../table.ts';

/** How long `--wait` waits when it does not say, in ms. */
const waitMsDefault = 60_000;

/** Submits a task, or a list of them. @throws {Failure} MYCEL_TASK_FAILED when it was waited for and is not done */
export async function submit(
  context: Context,
  json: string,
  { wait, auction }: SubmitFlags,
): Promise<void> {
  const waitMs = wait === true ? waitMsDefault : wait;
  const flags = {
    ...(waitMs === undefined ? {} : { waitMs }),
    ...(auction === undefined ? {} : { auction }),
  };
  const isBatch = json.trimStart().startsWith('[');
  const all = isBatch
    ? await callNode(context.dataDir, 'task-batch', { tasks: json, ...flags })
    : [await callNode(context.dataDir, 'task-submit', { task: json, ...flags })];
  const open = all.find(({ state }) => state !== 'done');
  if (waitMs !== undefined && open !== undefined) {
    throw new Failure(
      'MYCEL_TASK_FAILED',
      `Task ${open.id} is ${open.state} after ${waitMs} ms: ${open.reason}`,
      `See "mycel auctions ${open.id}".`,
    );
  }
  print(context, isBatch ? all : all[0], () =>
    all.map((info) =>
      waitMs === undefined
        ? `Task ${info.id} is ${info.state}. "mycel tasks" shows where it stands.`
        : `Task ${info.id} is done by ${info.winner?.slice(0, 12) ?? '?'}: ${JSON.stringify(info.result)}`,
    ),
  );
}

/** Cancels one. */
export async function cancel(context: Context, id: string): Promise<void> {
  const done = await callNode(context.dataDir, 'task-cancel', { id });
  print(context, done, () => [
    done.isCancelled ? `${id} is cancelled.` : `${id} was over already.`,
  ]);
}

/** Prints every task that is known here. */
export async function tasks(context: Context): Promise<void> {
  const all = await callNode(context.dataDir, 'tasks', {});
  print(context, all, () =>
    formatTable(
      ['TASK', 'KIND', 'STATE', 'WINNER', 'ATTEMPTS', 'EFFECT', 'REASON'],
      all.map((one) => [
        one.id,
        one.kind,
        one.state,
        one.winner?.slice(0, 12) ?? '-',
        String(one.attempts),
        one.isDecided ? one.effect : `${one.effect}, no majority`,
        one.reason,
      ]),
    ),
  );
}

/** Prints the last auction of each task. */
export async function auctions(context: Context, id: string | undefined): Promise<void> {
  const all = await callNode(context.dataDir, 'auctions', id === undefined ? {} : { id });
  print(context, all, () =>
    formatTable(
      ['TASK', 'KIND', 'RULE', 'ROUND', 'BIDS', 'WINNER', 'PRICE', 'WHY'],
      all.map((one) => [
        one.task,
        one.kind,
        one.rule,
        String(one.round),
        one.bids.map(({ bidder, cost }) => `${bidder.slice(0, 4)} ${Math.round(cost)}`).join(', '),
        one.winner?.slice(0, 12) ?? '-',
        one.price === undefined ? '-' : String(Math.round(one.price)),
        one.reason,
      ]),
    ),
  );
}

/** Prints how well tasks are allotted. */
export async function figures(context: Context): Promise<void> {
  const all = await callNode(context.dataDir, 'task-figures', {});
  const part = (share: number | undefined): string =>
    share === undefined ? '-' : `${Math.round(share * 1_000) / 10} %`;
  const ms = (time: number | undefined): string =>
    time === undefined ? '-' : `${Math.round(time)} ms`;
  const { welfare, queueMs } = all;
  print(context, all, () =>
    formatTable(
      ['FIGURE', 'VALUE'],
      [
        ['submitted', String(all.submitted)],
        ['done, failed, cancelled', `${all.done}, ${all.failed}, ${all.cancelled}`],
        ['auctions, again', `${all.auctions}, ${all.reauctions}`],
        ['bids, late', `${all.bids}, ${all.lateBids}`],
        ['best bids of what was won', part(welfare.share)],
        ['bound of what batches cost', part(welfare.batchShare)],
        ['waited: mean, p50, p95', [queueMs.mean, queueMs.p50, queueMs.p95].map(ms).join(', ')],
        ['until the end', ms(all.turnaroundMs)],
        ['won of own bids', `${part(all.winRate)} of ${all.bidsMade}`],
        ['runs of agents that failed', String(all.agentFailures)],
      ],
    ),
  );
}
