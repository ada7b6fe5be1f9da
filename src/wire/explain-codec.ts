/** What members tell each other about the ways of messages: JSON, checked as a whole. */

import { z } from 'zod';
import { isNodeId } from '../kernel/ids.ts';
import type { NodeId } from '../kernel/ids.ts';
import type { TopicFate, Step } from '../protocol/routing/trace.ts';

/** Steps of one message, owed members, links and kinds of fates in one answer; more are left out. */
export const explainListMax = 128;

const node = z.custom<NodeId>((value) => typeof value === 'string' && isNodeId(value));
const nodes = z.array(node).max(explainListMax);
const text = z.string().max(1200);
const when = z
  .number()
  .min(0)
  .max(2 ** 53);
const fate = z.enum([
  'published',
  'sent',
  'queued',
  'received',
  'held',
  'delivered',
  'shared',
  'handed',
  'dropped',
]);
const cause = z
  .enum(['no-interest', 'acl', 'ttl', 'overflow', 'duplicate', 'expired', 'no-way'])
  .optional();

const messageAnswer = z.object({
  topic: text.optional(),
  steps: z
    .array(z.object({ at: when, fate, cause, peer: node.optional(), detail: text }))
    .max(explainListMax),
  owed: nodes,
});

const topicAnswer = z.object({
  links: z
    .array(z.object({ node, rttMs: z.number().optional(), queuedBytes: z.number().min(0) }))
    .max(explainListMax),
  next: z.array(z.object({ to: node, via: nodes })).max(explainListMax),
  isFlooded: z.boolean(),
  fates: z
    .array(z.object({ fate, cause, detail: text, count: z.number().int().min(0), at: when }))
    .max(explainListMax),
});

const topicQuestion = z.object({ topic: text, targets: nodes });

/** What a node knows of one message. */
export interface MessageAnswer {
  readonly topic?: string | undefined;
  readonly steps: readonly WrittenStep[];
  /** Members that it, the origin, still owes the message. */
  readonly owed: readonly NodeId[];
}

/** A step as it travels. */
export interface WrittenStep extends Omit<Step, 'cause' | 'peer'> {
  readonly cause?: Step['cause'];
  readonly peer?: Step['peer'];
}

/** What a node knows of the ways of messages on a topic. */
export interface TopicAnswer {
  readonly links: readonly {
    readonly node: NodeId;
    readonly rttMs?: number | undefined;
    readonly queuedBytes: number;
  }[];
  /** The links that a message from this node to each target would take first. */
  readonly next: readonly { readonly to: NodeId; readonly via: readonly NodeId[] }[];
  /** Whether an event of this node on the topic would be flooded. */
  readonly isFlooded: boolean;
  readonly fates: readonly (Omit<TopicFate, 'cause'> & { readonly cause?: TopicFate['cause'] })[];
}

/** A question about a topic. */
export interface TopicQuestion {
  readonly topic: string;
  readonly targets: readonly NodeId[];
}

/** Writes a question or an answer. */
export function encodeExplain(value: MessageAnswer | TopicAnswer | TopicQuestion): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}

/** Reads an answer about a message; undefined when it is none. */
export function readMessageAnswer(bytes: Uint8Array): MessageAnswer | undefined {
  return read(messageAnswer, bytes);
}

/** Reads an answer about a topic; undefined when it is none. */
export function readTopicAnswer(bytes: Uint8Array): TopicAnswer | undefined {
  return read(topicAnswer, bytes);
}

/** Reads a question about a topic; undefined when it is none. */
export function readTopicQuestion(bytes: Uint8Array): TopicQuestion | undefined {
  return read(topicQuestion, bytes);
}

function read<Shape extends z.ZodType>(
  shape: Shape,
  bytes: Uint8Array,
): z.infer<Shape> | undefined {
  try {
    const parsed = shape.safeParse(JSON.parse(new TextDecoder().decode(bytes)));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}
