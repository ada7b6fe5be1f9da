/** What auctioneers and contractors of different nodes say to each other, and how it is read. */

import * as z from 'zod/mini';
import { isNodeId } from '../../kernel/ids.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { TaskSpec } from '../../protocol/agreement/ledger.ts';
import { decodeCbor } from '../../wire/cbor.ts';
import { partsSchema, specSchema, taskResultBytesMax } from './task-types.ts';
import type { TaskBody } from './task-types.ts';

/** The protocol's name on the mesh. */
export const taskProtocol = 'tasks';

/** About one award of one task. */
interface About {
  readonly task: string;
  readonly epoch: number;
}

/** One word. */
export type TaskWord =
  | {
      readonly t: 'call';
      readonly epoch: number;
      readonly closesInMs: number;
      readonly spec: TaskSpec<TaskBody>;
      /** The first price of an open auction, and whose it is. */
      readonly ask?: number | undefined;
      readonly leader?: string | undefined;
    }
  /** The price of an open auction that is called already. */
  | (About & { readonly t: 'ask'; readonly ask: number; readonly leader?: string | undefined })
  | (About & { readonly t: 'revoke' | 'acknowledge' })
  /** `bestOther`: the lowest bid but the hearer's own, for those who learn from it. */
  | (About & { readonly t: 'award' | 'reject'; readonly bestOther?: number | undefined })
  | (About & { readonly t: 'start'; readonly leaseMs: number })
  | (About & { readonly t: 'renewal'; readonly turn: number; readonly isHeld: boolean })
  /** Another node conducts the auctions of this task now. */
  | { readonly t: 'moved'; readonly task: string; readonly to: NodeId }
  | (About & {
      readonly t: 'bid';
      readonly cost: number;
      readonly parts: Readonly<Record<string, number>>;
    })
  | (About & { readonly t: 'decline' | 'accept' })
  | (About & { readonly t: 'renew'; readonly turn: number })
  | (About & {
      readonly t: 'report';
      readonly outcome: 'done' | 'failed';
      readonly result: unknown;
    });

const count = z.int().check(z.gte(0));
const about = { task: z.string().check(z.maxLength(64)), epoch: count };
const leader = z.optional(z.union([z.string().check(z.maxLength(64)), z.undefined()]));
const wordSchema: z.ZodMiniType<TaskWord> = z.discriminatedUnion('t', [
  z.object({
    t: z.literal('call'),
    epoch: count,
    closesInMs: count,
    spec: specSchema,
    ask: z.optional(z.union([z.number(), z.undefined()])),
    leader,
  }),
  z.object({ t: z.literal('ask'), ...about, ask: z.number(), leader }),
  z.object({
    t: z.enum(['revoke', 'acknowledge', 'decline', 'accept']),
    ...about,
  }),
  z.object({
    t: z.enum(['award', 'reject']),
    ...about,
    bestOther: z.optional(z.union([z.number(), z.undefined()])),
  }),
  z.object({ t: z.literal('start'), ...about, leaseMs: count }),
  z.object({ t: z.literal('renewal'), ...about, turn: count, isHeld: z.boolean() }),
  z.object({ t: z.literal('moved'), task: about.task, to: z.string().check(z.refine(isNodeId)) }),
  z.object({ t: z.literal('bid'), ...about, cost: z.number(), parts: partsSchema }),
  z.object({ t: z.literal('renew'), ...about, turn: count }),
  z.object({
    t: z.literal('report'),
    ...about,
    outcome: z.enum(['done', 'failed']),
    result: z.unknown(),
  }),
]) as never;

/** Reads a word; undefined when it is none. */
export function readWord(bytes: Uint8Array): TaskWord | undefined {
  let decoded: unknown;
  try {
    decoded = decodeCbor(bytes);
  } catch {
    return undefined;
  }
  const read = z.safeParse(wordSchema, decoded);
  if (!read.success) return undefined;
  if (read.data.t === 'report' && jsonBytes(read.data.result) > taskResultBytesMax)
    return undefined;
  return read.data;
}

/** How many bytes a value takes as JSON; infinite when JSON cannot say it. */
export function jsonBytes(value: unknown): number {
  if (value === undefined) return 0;
  try {
    const said = JSON.stringify(value) as string | undefined;
    return said === undefined ? Infinity : new TextEncoder().encode(said).byteLength;
  } catch {
    return Infinity;
  }
}
