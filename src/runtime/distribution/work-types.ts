/** Work that is spread over a mesh: what is asked for, and what travels. */

import * as z from 'zod/mini';
import type { Isolation } from '../../ports/agent-cell.ts';

/** Longest code of a function that is spread, in characters. */
export const workCodeMax: number = 64 * 1024;

/** Largest item, result, or shared value, in bytes as CBOR. */
export const workItemBytesMax: number = 1024 * 1024;

/** Items or results in one message take no more than this, in bytes. */
export const workBatchBytesMax: number = 4 * 1024 * 1024;

/** Jobs that one node spreads, and jobs that one node works for, at once. */
export const jobsMax = 16;

/** How work is spread. */
export interface WorkOptions {
  /** Only nodes that fit this selector. @default all */
  readonly select?: string;
  /** Capabilities that a node must have. */
  readonly needs?: readonly string[];
  /** This node works, too. @default true */
  readonly here?: boolean;
  /** Where the function runs. `in-process` suits short ones: it shares the node's event loop, a slice at a time. @default 'thread' */
  readonly isolation?: Isolation;
  /** Threads or processes on each node. @default cores less one, 1 to 4 */
  readonly threads?: number;
  /** Items at once in each of them: more than 1 for functions that wait. @default 1 */
  readonly atOnce?: number;
  /** A second argument of the function, the same for all items: CBOR, up to 1 MiB. */
  readonly shared?: unknown;
  /** Results in the order of the items, or as they come. @default true */
  readonly inOrder?: boolean;
  /** Items begun and not consumed: a slow reader holds the workers back. @default 1024 */
  readonly windowMax?: number;
  /** A worker that is not heard of for so long loses its items, in ms. @default 10_000 */
  readonly leaseMs?: number;
  /** Runs of an item that throws before it has failed. @default 1 */
  readonly attempts?: number;
  /** What a failed item does: ends the work, or is a MycelError among the results. @default 'throw' */
  readonly onError?: 'throw' | 'keep';
  readonly signal?: AbortSignal;
}

/** What a worker is told of a job. */
export interface JobOrder {
  readonly job: string;
  readonly code: string;
  readonly shared: unknown;
  readonly isolation: Isolation;
  readonly threads: number;
  readonly atOnce: number;
  readonly leaseMs: number;
}

/** One result. `value` is the reason when it failed. */
export interface WorkResult {
  readonly item: number;
  readonly isOk: boolean;
  readonly value: unknown;
}

/** A worker gives results, or says what it is at and asks for more. */
export interface WorkAsk {
  readonly job: string;
  readonly results: readonly WorkResult[];
  readonly count: number;
  /** Undefined: it only gives. */
  readonly holds: readonly number[] | undefined;
}

/** What it gets. */
export interface WorkGift {
  readonly items: readonly { readonly item: number; readonly value: unknown }[];
  readonly isOver: boolean;
}

const job = z.string().check(z.maxLength(64));
const whole = z.int().check(z.gte(0));

export const orderSchema: z.ZodMiniType<JobOrder> = z.object({
  job,
  code: z.string().check(z.maxLength(workCodeMax + 512)),
  shared: z.unknown(),
  isolation: z.enum(['in-process', 'thread', 'process']),
  threads: z.int().check(z.gte(0), z.lte(64)),
  atOnce: z.int().check(z.gte(1), z.lte(256)),
  leaseMs: z.int().check(z.gte(100), z.lte(3_600_000)),
}) as never;

export const askSchema: z.ZodMiniType<WorkAsk> = z.object({
  job,
  results: z
    .array(z.object({ item: whole, isOk: z.boolean(), value: z.unknown() }))
    .check(z.maxLength(4_096)),
  count: z.int().check(z.gte(0), z.lte(256)),
  holds: z.union([z.array(whole).check(z.maxLength(8_192)), z.undefined()]),
}) as never;

export const giftSchema: z.ZodMiniType<WorkGift> = z.object({
  items: z.array(z.object({ item: whole, value: z.unknown() })).check(z.maxLength(256)),
  isOver: z.boolean(),
}) as never;
