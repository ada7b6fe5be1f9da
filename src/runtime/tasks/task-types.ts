/** Tasks of a mesh: what is asked for, what is on record about each, and what of it travels. */

import * as z from 'zod/mini';
import type { NodeId } from '../../kernel/ids.ts';
import { isNodeId } from '../../kernel/ids.ts';
import { isOver, laterRecord } from '../../protocol/agreement/ledger.ts';
import type { LedgerRecord, TaskSpec, TaskState } from '../../protocol/agreement/ledger.ts';
import type { OpenRule } from '../../protocol/agreement/open-bidding.ts';

/** Largest input and largest result of a task, as JSON, in bytes: a record of it fits one entry of the group's table. */
export const taskInputBytesMax: number = 6 * 1024;
export const taskResultBytesMax: number = 6 * 1024;

/** Tasks that are not over, submitted to one node. */
export const tasksMax = 1_024;

/** Records one node keeps, its own and copies; the one written longest ago goes, those of tasks in work last. */
export const taskRecordsMax = 4_096;

/** Bids kept on a record, the best first. */
export const bidsShownMax = 16;

/** Kinds of tasks one node takes. */
export const taskKindsMax = 64;

/** Tasks of one batch. */
export const batchTasksMax = 64;

/** How the winner of one task is found: by one sealed bid each, or in the open. */
export const taskRules = ['first-price', 'vickrey', 'english', 'dutch'] as const;

/** How tasks of a batch are allotted. */
export const batchRules = ['single-item', 'assignment', 'combinatorial'] as const;

/**
 * The auctions. Sealed: `first-price`, where the lowest cost is its own price, and `vickrey`, where it is the second one.
 * Open: `english`, whose price falls until nobody goes lower, and `dutch`, whose price rises until somebody takes it.
 * Of batches: `single-item`, `assignment`, `combinatorial`; what a batch leaves over goes by `first-price`.
 */
export type AuctionRule = (typeof taskRules)[number] | (typeof batchRules)[number];

/** Times of starts that percentiles are taken of: the last ones. */
export const queueTimesMax = 256;

/** Whether it is an auction in the open. */
export function isOpenRule(rule: AuctionRule): rule is OpenRule {
  return rule === 'english' || rule === 'dutch';
}

/** What whoever wants a task done says of it. */
export interface TaskBody {
  readonly kind: string;
  /** JSON. */
  readonly input: unknown;
  /** Capabilities that its node must have. */
  readonly needs: readonly string[];
  /** Selector over labels and capabilities of nodes. */
  readonly select: string;
  /** Capabilities it would like to find. */
  readonly prefers: readonly string[];
  readonly rule: AuctionRule;
  /** Bids above this are no bids. */
  readonly costMax: number | undefined;
  /** How far the price of an open auction moves at once, and how long a Dutch price stands, in ms. */
  readonly priceStep?: number | undefined;
  readonly priceStepMs?: number | undefined;
  /** The batch it was submitted with. */
  readonly batch?: string | undefined;
  /** What the caller thinks that it takes, in ms. */
  readonly expectedMs: number | undefined;
  /** How long bids are taken when not everybody has answered, in ms. */
  readonly biddingMs: number;
  readonly leaseMs: number;
  readonly attemptsMax: number;
  /** It has failed when it is not done after so long, in ms from its submission. */
  readonly deadlineMs: number;
  readonly by: NodeId;
  /** Wall clock of the submitting node, in ms: for people. */
  readonly at: number;
}

/** One bid as people see it. */
export interface ShownBid {
  readonly bidder: NodeId;
  readonly cost: number;
  readonly parts: Readonly<Record<string, number>>;
}

/** Everything on record about one task. */
export interface TaskRecord {
  readonly ledger: LedgerRecord<TaskBody>;
  /** Who conducts its auctions, and how often that changed. */
  readonly auctioneer: NodeId;
  readonly term: number;
  /** Of the last auction. */
  readonly bids: readonly ShownBid[];
  readonly lateBids: number;
  /** What the winner is to get; its own cost, or the second one. */
  readonly price: number | undefined;
  /** Why it stands where it stands. */
  readonly reason: string;
  /** Counts the writes of one auctioneer: a later copy replaces an earlier one. */
  readonly count: number;
  /** Wall clock of the auctioneer at the last change, in ms. */
  readonly at: number;
  /** Whether a majority decided it, or the auctioneer alone. */
  readonly isDecided: boolean;
}

/** One task, for people. */
export interface TaskInfo {
  readonly id: string;
  readonly kind: string;
  readonly state: TaskState;
  readonly effect: TaskSpec['effect'];
  readonly winner: NodeId | undefined;
  readonly attempts: number;
  readonly fence: number;
  readonly auctioneer: NodeId;
  readonly submittedAt: number;
  readonly changedAt: number;
  readonly isDecided: boolean;
  readonly reason: string;
  readonly result: unknown;
}

/** One auction, for people. */
export interface AuctionInfo {
  readonly task: string;
  readonly kind: string;
  readonly rule: AuctionRule;
  /** The batch it was submitted with. */
  readonly batch: string | undefined;
  readonly round: number;
  readonly state: TaskState;
  readonly winner: NodeId | undefined;
  readonly price: number | undefined;
  readonly bids: readonly ShownBid[];
  readonly lateBids: number;
  readonly reason: string;
}

const text = z.string().check(z.maxLength(512));
const words = z.array(z.string().check(z.maxLength(64))).check(z.maxLength(16));
const node = z.string().check(z.refine(isNodeId));
const count = z.int().check(z.gte(0));
const optionalNumber = z.union([z.number(), z.undefined()]);

export const specSchema: z.ZodMiniType<TaskSpec<TaskBody>> = z.object({
  id: z.string().check(z.regex(/^[\w.:-]{1,64}$/)),
  effect: z.enum(['idempotent', 'fenced', 'none']),
  body: z.object({
    kind: z.string().check(z.maxLength(64)),
    input: z.unknown(),
    needs: words,
    select: text,
    prefers: words,
    rule: z.enum([...taskRules, ...batchRules]),
    costMax: optionalNumber,
    priceStep: z.optional(optionalNumber),
    priceStepMs: z.optional(optionalNumber),
    batch: z.optional(z.union([text, z.undefined()])),
    expectedMs: optionalNumber,
    biddingMs: z.int().check(z.gte(1)),
    leaseMs: z.int().check(z.gte(1)),
    attemptsMax: z.int().check(z.gte(1)),
    deadlineMs: z.int().check(z.gte(1)),
    by: node,
    at: z.number(),
  }),
}) as never;

export const partsSchema: z.ZodMiniType<Readonly<Record<string, number>>> = z.record(
  z.string().check(z.maxLength(16)),
  z.number(),
) as never;

const recordSchema: z.ZodMiniType<TaskRecord> = z.object({
  ledger: z.object({
    spec: specSchema,
    state: z.enum(['open', 'awarded', 'running', 'done', 'failed', 'cancelled']),
    epoch: count,
    winner: z.union([node, z.undefined()]),
    attempts: count,
    result: z.unknown(),
  }),
  auctioneer: node,
  term: count,
  bids: z
    .array(z.object({ bidder: node, cost: z.number(), parts: partsSchema }))
    .check(z.maxLength(bidsShownMax)),
  lateBids: count,
  price: optionalNumber,
  reason: text,
  count,
  at: z.number(),
  isDecided: z.boolean(),
}) as never;

/** The record of a task that nobody has bid for. */
export function newRecord(spec: TaskSpec<TaskBody>, auctioneer: NodeId, at: number): TaskRecord {
  return {
    ledger: { spec, state: 'open', epoch: 0, winner: undefined, attempts: 0, result: undefined },
    auctioneer,
    term: 0,
    bids: [],
    lateBids: 0,
    price: undefined,
    reason: 'bids are taken',
    count: 0,
    at,
    isDecided: false,
  };
}

/** Reads a record that came from elsewhere; undefined when it is none. */
export function readRecord(value: unknown): TaskRecord | undefined {
  const read = z.safeParse(recordSchema, value);
  return read.success ? read.data : undefined;
}

/**
 * Which of two copies holds, the same on every node and in any order: what is over, then the later auctioneer, then what
 * the ledger says, then the later word of the same auctioneer, then the copy that has its bids.
 */
export function laterTask(one: TaskRecord, other: TaskRecord): TaskRecord {
  const areOver = [isOver(one.ledger.state), isOver(other.ledger.state)];
  if (areOver[0] !== areOver[1] || areOver[0] === true) {
    const later = laterRecord(one.ledger, other.ledger);
    if (one.ledger.state !== other.ledger.state) return later === one.ledger ? one : other;
  }
  if (one.term !== other.term) return one.term > other.term ? one : other;
  if (one.auctioneer !== other.auctioneer) return one.auctioneer < other.auctioneer ? one : other;
  if (one.count !== other.count) return one.count > other.count ? one : other;
  // The group's table keeps no bids: of one and the same word the fuller copy is shown.
  if (one.bids.length !== other.bids.length)
    return one.bids.length > other.bids.length ? one : other;
  return laterRecord(one.ledger, other.ledger) === one.ledger ? one : other;
}

/** What is shown of a task. */
export function taskInfo(record: TaskRecord): TaskInfo {
  const { spec, state, winner, attempts, epoch, result } = record.ledger;
  return {
    id: spec.id,
    kind: spec.body.kind,
    state,
    effect: spec.effect,
    winner: winner as NodeId | undefined,
    attempts,
    fence: epoch,
    auctioneer: record.auctioneer,
    submittedAt: spec.body.at,
    changedAt: record.at,
    isDecided: record.isDecided,
    reason: record.reason,
    result,
  };
}

/** What is shown of a task's last auction. */
export function auctionInfo(record: TaskRecord): AuctionInfo {
  const { spec, state, winner, epoch } = record.ledger;
  const { bids, lateBids, price, reason } = record;
  return {
    task: spec.id,
    kind: spec.body.kind,
    rule: spec.body.rule,
    batch: spec.body.batch,
    round: epoch,
    state,
    winner: winner as NodeId | undefined,
    price,
    bids,
    lateBids,
    reason,
  };
}
