/** Work of the mesh: items and a function go to the nodes that have hands free, results come back to who asked. */

import { MycelError } from '../../kernel/errors.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Cells } from '../../ports/agent-cell.ts';
import type { Hardware } from '../../ports/hardware.ts';
import { parseSelector } from '../../protocol/placement/selector.ts';
import { decodeCbor, encodeCbor } from '../../wire/cbor.ts';
import type { NodePart, PartWorld } from '../parts.ts';
import { codeOf } from './hand.ts';
import { createJob } from './job.ts';
import type { Job } from './job.ts';
import { labour } from './labour.ts';
import {
  askSchema,
  giftSchema,
  jobsMax,
  orderSchema,
  workCodeMax,
  workItemBytesMax,
} from './work-types.ts';
import type { JobOrder, WorkAsk, WorkGift, WorkOptions } from './work-types.ts';

/** How long a node may take to say whether it works for a job, and a worker's asking may wait, in ms. */
const joinMs = 5_000;
const askMs = 15_000;

/** Askings in a row that may fail before a worker gives the job up. */
const lostAsksMax = 3;

/** Work spread from this node, and work done here for others. */
export interface Work extends NodePart {
  /**
   * Spreads items over the mesh; iterate the result. Breaking out of the loop ends the work.
   * @throws {MycelError} MYCEL_BAD_OPTION, MYCEL_NO_SITE, MYCEL_WORK_FAILED, MYCEL_TOO_LARGE
   */
  spread(
    items: Iterable<unknown> | AsyncIterable<unknown>,
    run: (...args: never[]) => unknown,
    options: WorkOptions,
  ): AsyncGenerator<{ readonly item: number; readonly value: unknown }>;
}

interface Spread {
  readonly job: Job;
  readonly order: JobOrder;
  readonly fits: (node: NodeId) => boolean;
}

/** Builds it. */
export function createWork(world: PartWorld, cells: Cells, hardware: Hardware): Work {
  const { calls, clock, log, mesh, metrics } = world;
  const random = world.random();
  const jobs = new Map<string, Spread>();
  const labours = new Map<string, AbortController>();
  let isStopped = true;
  let ends: (() => void)[] = [];

  const weigh = (value: unknown): number => encodeCbor(value).byteLength;

  function threadsHere(order: JobOrder): number {
    if (order.threads > 0) return order.threads;
    return order.isolation === 'in-process'
      ? 1
      : Math.min(4, Math.max(1, hardware.read().cpu.cores - 1));
  }

  /** Works for a job until it is over. */
  function join(order: JobOrder, from: NodeId): boolean {
    const name = `${from} ${order.job}`;
    if (isStopped || labours.has(name) || labours.size >= jobsMax) return false;
    const control = new AbortController();
    labours.set(name, control);
    let lost = 0;
    async function ask(asked: WorkAsk): Promise<WorkGift> {
      if (from === mesh.self) return jobs.get(order.job)?.job.hear(from, asked) ?? over;
      for (;;) {
        try {
          const bytes = await calls.call(from, 'work/take', encodeCbor(asked), {
            deadlineMs: askMs,
            signal: control.signal,
          });
          lost = 0;
          const gift = giftSchema.safeParse(decodeCbor(bytes));
          return gift.success ? gift.data : over;
        } catch (error) {
          lost += 1;
          if (control.signal.aborted || lost >= lostAsksMax) throw error;
        }
      }
    }
    labour(
      { ...order, threads: threadsHere(order) },
      { node: mesh.self, cells, clock, ask, weigh },
      control.signal,
    )
      .then((count) => metrics.count('work.done', count))
      .catch((error: unknown) => {
        if (!control.signal.aborted) log.info({ error, from }, 'work for another node ended');
      })
      .finally(() => labours.delete(name))
      .catch(() => {});
    return true;
  }

  async function invite(node: NodeId, { order, job, fits }: Spread): Promise<void> {
    if (!fits(node)) return;
    if (node === mesh.self) return void join(order, node);
    try {
      await calls.call(node, 'work/join', encodeCbor(order), { deadlineMs: joinMs });
    } catch (error) {
      if (MycelError.is(error) && error.code === 'MYCEL_BAD_AGENT') job.fail(error);
      else log.debug({ error, node }, 'a node does not take part in the work');
    }
  }

  function plan(run: (...args: never[]) => unknown, options: WorkOptions): Omit<Spread, 'job'> {
    const selector = parseSelector(options.select ?? '');
    const bad = (reason: string): MycelError => new MycelError('MYCEL_BAD_OPTION', { reason });
    if ('problem' in selector) throw bad(`The selector is not valid: ${selector.problem}.`);
    if (jobs.size >= jobsMax) throw bad(`A node spreads ${jobsMax} jobs at once.`);
    const order = orderSchema.safeParse({
      job: `${random.below(2 ** 32).toString(36)}${random.below(2 ** 32).toString(36)}`,
      code: codeOf(run, workCodeMax),
      shared: options.shared,
      isolation: options.isolation ?? 'thread',
      threads: options.threads ?? 0,
      atOnce: options.atOnce ?? 1,
      leaseMs: options.leaseMs ?? 10_000,
    });
    if (!order.success) throw bad(`'${order.error.issues[0]?.path.join('.') ?? ''}' is not valid.`);
    if (weigh(options.shared) > workItemBytesMax) throw new MycelError('MYCEL_TOO_LARGE');
    const fits = (node: NodeId): boolean => {
      if (node === mesh.self && options.here === false) return false;
      const known = world.node.members().find(({ id }) => id === node);
      if (known === undefined) return false;
      const has = (options.needs ?? []).every((need) => known.capabilities.includes(need));
      return has && selector.matches(known);
    };
    if (![mesh.self, ...mesh.peers()].some(fits)) {
      throw new MycelError('MYCEL_NO_SITE', {
        reason: `No node has ${options.needs?.join(', ') || 'the labels asked for'}, or only this one, which is left out.`,
      });
    }
    return { order: order.data, fits };
  }

  return {
    async start() {
      isStopped = false;
      ends = [
        calls.serve('work/join', async (body, { from }) => {
          const order = orderSchema.safeParse(decodeCbor(body));
          if (!order.success) throw new MycelError('MYCEL_BAD_BYTES');
          return encodeCbor(join(order.data, from));
        }),
        calls.serve('work/take', async (body, { from }) => {
          const asked = askSchema.safeParse(decodeCbor(body));
          if (!asked.success) throw new MycelError('MYCEL_BAD_BYTES');
          return encodeCbor((await jobs.get(asked.data.job)?.job.hear(from, asked.data)) ?? over);
        }),
        mesh.onChange((change) => {
          if (change.kind === 'up') {
            for (const spread of jobs.values()) void invite(change.node, spread);
          } else if (change.kind === 'down') {
            for (const { job } of jobs.values()) job.gone(change.node);
          }
        }),
      ];
    },
    async stop() {
      isStopped = true;
      for (const end of ends.splice(0)) end();
      for (const { job } of jobs.values()) job.fail(new MycelError('MYCEL_NOT_RUNNING'));
      for (const control of labours.values()) control.abort();
    },
    async *spread(items, run, options) {
      if (isStopped) throw new MycelError('MYCEL_NOT_RUNNING');
      options.signal?.throwIfAborted();
      const { order, fits } = plan(run, options);
      const source =
        Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
      const over = (): void => void jobs.delete(order.job);
      const job = createJob({ clock, source, options, weigh, over });
      const spread = { job, order, fits };
      jobs.set(order.job, spread);
      metrics.count('work.jobs');
      const abort = (): void => job.fail(options.signal?.reason);
      options.signal?.addEventListener('abort', abort);
      try {
        for (const node of [mesh.self, ...mesh.peers()]) void invite(node, spread);
        for (let next = await job.next(); next !== undefined; next = await job.next()) yield next;
      } finally {
        options.signal?.removeEventListener('abort', abort);
        const { regiven, copies, settled } = job.view();
        metrics.count('work.items', settled);
        metrics.count('work.regiven', regiven);
        metrics.count('work.copies', copies);
        job.fail(
          new MycelError('MYCEL_WORK_FAILED', { reason: 'Nobody reads its results any more.' }),
        );
      }
    },
  };
}

const over: WorkGift = { items: [], isOver: true };
