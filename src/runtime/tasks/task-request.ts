/** What may be asked for, checked, with its defaults. */

import * as z from 'zod/mini';
import { MycelError } from '../../kernel/errors.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { TaskSpec } from '../../protocol/agreement/ledger.ts';
import { parseSelector } from '../../protocol/placement/selector.ts';
import {
  batchRules,
  batchTasksMax,
  isOpenRule,
  taskInputBytesMax,
  taskRules,
} from './task-types.ts';
import type { AuctionRule, TaskBody } from './task-types.ts';
import { jsonBytes } from './task-words.ts';

/** The auctions of one task. */
export type TaskRule = (typeof taskRules)[number];

/** The auctions of a batch. */
export type BatchRule = (typeof batchRules)[number];

/** Tasks that are allotted together. */
export interface BatchRequest {
  /** @default 'single-item' */
  readonly auction?: BatchRule;
  /** Up to 64, none with a `rule` of its own. */
  readonly tasks: readonly TaskRequest[];
}

/** A task as programs and people ask for it. */
export interface TaskRequest {
  /** What is to be done; some node or agent takes this kind. */
  readonly kind: string;
  /** JSON, up to 6 KiB; what is larger goes as a blob, and its hash here. @default null */
  readonly input?: unknown;
  /** Names it: the same id again is the same task. @default drawn */
  readonly id?: string;
  /**
   * What a second run would do. `idempotent`: no harm, so nothing is decided by a majority. `fenced`: its sink refuses a
   * stale fence. `none`: harm, so it runs only while a majority decides. @default 'none'
   */
  readonly effect?: TaskSpec['effect'];
  /** Capabilities that its node must have. */
  readonly needs?: readonly string[];
  /** Selector over labels and capabilities, like `location:lab/*, !battery`. */
  readonly select?: string;
  /** Capabilities that make a bid better by a second each. */
  readonly prefers?: readonly string[];
  /** How its winner is found. An open auction needs `costMax`. @default 'first-price' */
  readonly rule?: TaskRule;
  /** Bids above this are no bids, in ms. The English price begins here, the Dutch one ends here. @default none */
  readonly costMax?: number;
  /** How far the price of an open auction moves at once. @default a twentieth of `costMax` */
  readonly priceStep?: number;
  /** How long a Dutch price stands, in ms: longer than the way to a bidder and back. @default 50 */
  readonly priceStepMs?: number;
  /** How long it is thought to take, in ms: used by nodes that have not done one yet. */
  readonly expectedMs?: number;
  /** How long bids are taken when not everybody who was asked has answered, in ms. @default 400 */
  readonly biddingMs?: number;
  /** A winner that is not heard of for so long loses the task, in ms. @default 3_000 */
  readonly leaseMs?: number;
  /** Awards before it has failed. @default 5 */
  readonly attemptsMax?: number;
  /** It is given up after so long, in ms. @default 60_000 */
  readonly deadlineMs?: number;
  /** Wait for somebody who takes this kind, when nobody does yet. @default false */
  readonly mayWait?: boolean;
}

const words = z.array(z.string().check(z.minLength(1), z.maxLength(64))).check(z.maxLength(16));
const ms = (least: number) => z.int().check(z.gte(least), z.lte(86_400_000));

const requestSchema = z.strictObject({
  kind: z.string().check(z.regex(/^[A-Za-z][\w.-]{0,63}$/)),
  input: z.optional(z.unknown()),
  id: z.optional(z.string().check(z.regex(/^[\w.:-]{1,64}$/))),
  effect: z.optional(z.enum(['idempotent', 'fenced', 'none'])),
  needs: z.optional(words),
  select: z.optional(z.string().check(z.maxLength(512))),
  prefers: z.optional(words),
  rule: z.optional(z.enum(taskRules)),
  costMax: z.optional(z.number().check(z.gte(0))),
  priceStep: z.optional(z.number().check(z.gt(0))),
  priceStepMs: z.optional(ms(1)),
  expectedMs: z.optional(z.number().check(z.gte(0))),
  biddingMs: z.optional(ms(10)),
  leaseMs: z.optional(ms(100)),
  attemptsMax: z.optional(z.int().check(z.gte(1), z.lte(100))),
  deadlineMs: z.optional(ms(1)),
  mayWait: z.optional(z.boolean()),
});

/** Checks a request. @throws {MycelError} MYCEL_BAD_OPTION, MYCEL_TOO_LARGE */
export function specOf(
  request: unknown,
  by: NodeId,
  at: number,
  drawId: () => string,
  batch?: { readonly id: string; readonly rule: BatchRule },
): TaskSpec<TaskBody> {
  refuseRule(request, batch !== undefined);
  const read = z.safeParse(requestSchema, request);
  if (!read.success) {
    const [issue] = read.error.issues;
    const where = issue?.path.join('.') ?? '';
    const extra =
      issue?.code === 'unrecognized_keys' ? ` There is no '${issue.keys[0] ?? ''}'.` : '';
    throw new MycelError('MYCEL_BAD_OPTION', {
      reason: `The task is not valid${where === '' ? '' : ` at '${where}'`}.${extra}`,
      fix: 'Write it like {"kind":"resize","input":{"width":80},"effect":"idempotent"}.',
    });
  }
  const { data } = read;
  const selector = parseSelector(data.select ?? '');
  if ('problem' in selector) {
    throw new MycelError('MYCEL_BAD_OPTION', {
      reason: `The selector is not valid: ${selector.problem}.`,
    });
  }
  const bytes = jsonBytes(data.input);
  if (bytes > taskInputBytesMax) {
    throw new MycelError('MYCEL_TOO_LARGE', {
      reason: `The input takes ${bytes} bytes as JSON, ${taskInputBytesMax} at most.`,
      fix: 'Keep it as a blob, and its hash in the input.',
    });
  }
  const rule: AuctionRule = batch?.rule ?? data.rule ?? 'first-price';
  if (isOpenRule(rule) && !(data.costMax !== undefined && data.costMax > 0)) {
    throw new MycelError('MYCEL_BAD_OPTION', {
      reason: `The auction '${rule}' needs 'costMax', the most that is paid: its price ${rule === 'english' ? 'falls from' : 'rises to'} there.`,
      fix: 'Add "costMax":500, or use first-price or vickrey.',
    });
  }
  return {
    id: data.id ?? drawId(),
    effect: data.effect ?? 'none',
    body: {
      kind: data.kind,
      input: data.input ?? null,
      needs: data.needs ?? [],
      select: data.select ?? '',
      prefers: data.prefers ?? [],
      rule,
      costMax: data.costMax,
      priceStep: data.priceStep,
      priceStepMs: data.priceStepMs,
      batch: batch?.id,
      expectedMs: data.expectedMs,
      biddingMs: data.biddingMs ?? 400,
      leaseMs: data.leaseMs ?? 3_000,
      attemptsMax: data.attemptsMax ?? 5,
      deadlineMs: data.deadlineMs ?? 60_000,
      by,
      at,
    },
  };
}

/** Says which auctions there are, and for what. */
function refuseRule(request: unknown, isOfBatch: boolean): void {
  const given: unknown =
    typeof request === 'object' && request !== null && 'rule' in request ? request.rule : undefined;
  const rule = given === undefined ? undefined : nameOf(given);
  if (rule === undefined) return;
  if (isOfBatch) {
    throw new MycelError('MYCEL_BAD_OPTION', {
      reason: "A task of a batch has no 'rule' of its own: the batch has one for all.",
      fix: `Take it out, and say the auction of the batch: ${batchRules.join(', ')}.`,
    });
  }
  if (taskRules.some((one) => one === rule)) return;
  throw new MycelError('MYCEL_BAD_OPTION', {
    reason: batchRules.some((one) => one === rule)
      ? `The auction '${rule}' is for batches, not for one task (at 'rule').`
      : `There is no auction '${rule}' for a task (at 'rule').`,
    fix: `A task takes ${taskRules.join(', ')}; a batch takes ${batchRules.join(', ')}.`,
  });
}

/** Checks a batch: how it is auctioned, and its tasks one by one. @throws {MycelError} MYCEL_BAD_OPTION, MYCEL_TOO_LARGE */
export function batchOf(
  request: unknown,
  by: NodeId,
  at: number,
  drawId: () => string,
): { readonly rule: BatchRule; readonly specs: readonly TaskSpec<TaskBody>[] } {
  const given = (typeof request === 'object' && request !== null ? request : {}) as {
    readonly auction?: unknown;
    readonly tasks?: unknown;
  };
  const rule =
    given.auction === undefined ? 'single-item' : batchRules.find((one) => one === given.auction);
  if (rule === undefined) {
    const named = nameOf(given.auction);
    throw new MycelError('MYCEL_BAD_OPTION', {
      reason: taskRules.some((one) => one === given.auction)
        ? `The auction '${named}' is for one task, not for a batch.`
        : `There is no auction '${named}' for a batch.`,
      fix: `A batch takes ${batchRules.join(', ')}; a task takes ${taskRules.join(', ')}.`,
    });
  }
  const { tasks } = given;
  if (!Array.isArray(tasks) || tasks.length === 0 || tasks.length > batchTasksMax) {
    throw new MycelError('MYCEL_BAD_OPTION', {
      reason: `A batch is a list of 1 to ${batchTasksMax} tasks${Array.isArray(tasks) ? `, not of ${tasks.length}` : ''}.`,
      fix: 'Submit several batches.',
    });
  }
  const id = drawId();
  const specs = tasks.map((task: unknown) => specOf(task, by, at, drawId, { id, rule }));
  if (new Set(specs.map((spec) => spec.id)).size < specs.length) {
    throw new MycelError('MYCEL_BAD_OPTION', {
      reason: 'Two tasks of the batch have the same id.',
      fix: 'Give each its own, or none.',
    });
  }
  return { rule, specs };
}

function nameOf(given: unknown): string {
  return typeof given === 'string' ? given.slice(0, 64) : typeof given;
}
