/** What members tell each other about the ways of messages: JSON, checked as a whole. */

import * as z from 'zod/mini';
import { isNodeId } from '../kernel/ids.ts';
import type { NodeId } from '../kernel/ids.ts';
import type { TopicFate, Step } from '../protocol/routing/trace.ts';

/** Steps of one message, owed members, links and kinds of fates in one answer; more are left out. */
export const explainListMax = 128;

const node = z.custom<NodeId>((value) => typeof value === 'string' && isNodeId(value));
const listOf = <Item extends z.ZodMiniType>(item: Item): z.ZodMiniArray<Item> =>
  z.array(item).check(z.maxLength(explainListMax));
const nodes = listOf(node);
const text = z.string().check(z.maxLength(1200));
const when = z.number().check(z.gte(0), z.lte(2 ** 53));
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
const cause = z.optional(
  z.enum(['no-interest', 'acl', 'ttl', 'overflow', 'duplicate', 'expired', 'no-way']),
);

const messageAnswer = z.object({
  topic: z.optional(text),
  steps: listOf(z.object({ at: when, fate, cause, peer: z.optional(node), detail: text })),
  owed: nodes,
});

const topicAnswer = z.object({
  links: listOf(
    z.object({ node, rttMs: z.optional(z.number()), queuedBytes: z.number().check(z.gte(0)) }),
  ),
  next: listOf(z.object({ to: node, via: nodes })),
  isFlooded: z.boolean(),
  fates: listOf(z.object({ fate, cause, detail: text, count: z.int().check(z.gte(0)), at: when })),
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

function read<Shape extends z.ZodMiniType>(
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
