/** What may be asked for, checked, with its defaults. */

import * as z from 'zod/mini';
import { MycelError } from '../../kernel/errors.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { TaskSpec } from '../../protocol/agreement/ledger.ts';
import { parseSelector } from '../../protocol/placement/selector.ts';
import { taskInputBytesMax } from './task-types.ts';
import type { AuctionRule, TaskBody } from './task-types.ts';
import { jsonBytes } from './task-words.ts';

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
  /** @default 'first-price' */
  readonly rule?: AuctionRule;
  /** Bids above this are no bids, in ms. @default none */
  readonly costMax?: number;
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
  rule: z.optional(z.enum(['first-price', 'vickrey'])),
  costMax: z.optional(z.number().check(z.gte(0))),
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
): TaskSpec<TaskBody> {
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
  return {
    id: data.id ?? drawId(),
    effect: data.effect ?? 'none',
    body: {
      kind: data.kind,
      input: data.input ?? null,
      needs: data.needs ?? [],
      select: data.select ?? '',
      prefers: data.prefers ?? [],
      rule: data.rule ?? 'first-price',
      costMax: data.costMax,
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
