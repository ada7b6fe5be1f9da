/** `explain`: asks every member what it knows of a message or a topic, and puts the answers together. */

import { MycelError } from '../../kernel/errors.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Calls } from '../../ports/calls.ts';
import { readMessageId } from '../../protocol/routing/message-id.ts';
import {
  encodeExplain,
  explainListMax,
  readMessageAnswer,
  readTopicAnswer,
  readTopicQuestion,
} from '../../wire/explain-codec.ts';
import type { MessageAnswer, TopicAnswer } from '../../wire/explain-codec.ts';
import type { MemberInfo, MeshNode } from '../mesh-node.ts';
import type { NodePart } from '../parts.ts';
import { followWay, hopsOf, receiversOf } from './explanation.ts';
import type {
  ExplainedHop,
  ExplainedNode,
  ExplainedReceiver,
  MessageExplanation,
  TopicExplanation,
} from './explanation.ts';
import type { RouteBook } from './route-book.ts';

/** How long a member may take to answer, in ms. */
const askMs = 3_000;

/** Members asked at one time. */
const askedMax = 32;

const messageMethod = 'explain.message';
const topicMethod = 'explain.topic';

/** Explanations of the ways of messages. */
export interface ExplainHandle {
  /**
   * What would happen to a message on this topic that is published on this node now: who gets it, why, and along which
   * links; and what became of the last ones.
   * @throws {MycelError} MYCEL_BAD_TOPIC
   */
  topic(topic: string): Promise<TopicExplanation>;
  /**
   * What happened to a message, by its id, on every member that still remembers it.
   * @throws {MycelError} MYCEL_BAD_OPTION for what is no message id
   */
  message(id: string): Promise<MessageExplanation>;
}

/** What it works with. */
export interface ExplainWorld {
  readonly node: MeshNode;
  readonly calls: Calls;
  readonly routes: RouteBook;
}

/** Builds it. */
export function createExplain(world: ExplainWorld): NodePart & { readonly handle: ExplainHandle } {
  const { node, calls, routes } = world;
  let stops: (() => void)[] = [];

  function names(): ReadonlyMap<NodeId, string> {
    return new Map(node.members().map(({ id, name }) => [id, name]));
  }

  /** Asks this node and every member that may answer; those who do not are left out. */
  async function ask<Answer>(
    method: string,
    body: Uint8Array,
    read: (bytes: Uint8Array) => Answer | undefined,
    own: Answer,
  ): Promise<Map<NodeId, Answer>> {
    const answers = new Map<NodeId, Answer>([[node.id, own]]);
    const asked = node.members().filter((one) => !one.isSelf && mayAnswer(one));
    async function askOne({ id }: MemberInfo): Promise<void> {
      try {
        const answer = read(await calls.call(id, method, body, { deadlineMs: askMs }));
        if (answer !== undefined) answers.set(id, answer);
      } catch {
        // It is told as silent: an explanation must come while a part of the mesh is away.
      }
    }
    async function worker(): Promise<void> {
      for (let next = asked.shift(); next !== undefined; next = asked.shift()) await askOne(next);
    }
    await Promise.all(Array.from({ length: Math.min(askedMax, asked.length) }, worker));
    return answers;
  }

  function silentOf(answers: ReadonlyMap<NodeId, unknown>): ExplainedNode[] {
    return node
      .members()
      .filter((one) => mayAnswer(one) && !answers.has(one.id))
      .map(({ id, name }) => ({ node: id, name }));
  }

  async function topic(wanted: string): Promise<TopicExplanation> {
    const report = node.listeners(wanted);
    const receivers = receiversOf(report);
    const targets = [...new Set(receivers.map((one) => one.node))]
      .filter((id) => id !== node.id)
      .slice(0, explainListMax);
    const question = { topic: wanted, targets };
    const body = encodeExplain(question);
    const answers = await ask(topicMethod, body, readTopicAnswer, routes.topic(question));
    const byId = names();
    const named = (id: NodeId): ExplainedNode => ({ node: id, name: byId.get(id) ?? '' });
    const heard = new Set(receivers.map((one) => one.node));
    return {
      topic: wanted,
      from: named(node.id),
      channels: report.channels,
      receivers: receivers.map((one) => withWay(one, node.id, answers, named)),
      others: node
        .members()
        .filter(({ id, state }) => !heard.has(id) && state !== 'left')
        .map(({ id, name, state }) => ({
          node: id,
          name,
          why: state === 'dead' || state === 'dormant' ? state : ('no-interest' as const),
        })),
      fates: [...answers]
        .filter(([, { fates }]) => fates.length > 0)
        .map(([id, { fates }]) => ({
          ...named(id),
          fates: fates.map((one) => ({ ...one, cause: one.cause })),
        })),
      silent: silentOf(answers),
    };
  }

  async function message(id: string): Promise<MessageExplanation> {
    const name = readMessageId(id);
    if (name === undefined) {
      throw new MycelError('MYCEL_BAD_OPTION', {
        reason: `'${id.slice(0, 80)}' is no message id.`,
        fix: 'Take the id that "mycel pub --json" or "mycel sub --json" shows.',
      });
    }
    const body = new TextEncoder().encode(id);
    const answers = await ask(messageMethod, body, readMessageAnswer, routes.message(name));
    const byId = names();
    const named = (one: NodeId): ExplainedNode => ({ node: one, name: byId.get(one) ?? '' });
    const hops = hopsOf(name.origin, answers);
    const had = [...answers].filter(([, { steps }]) => steps.length > 0);
    const topics = had.flatMap(([, answer]) => answer.topic ?? []);
    const stations = had
      .map(([one, { steps }]) => ({
        ...named(one),
        hop: hops.get(one),
        steps: steps.map((step) => ({
          ...step,
          cause: step.cause,
          peer: step.peer === undefined ? undefined : named(step.peer),
        })),
      }))
      .toSorted((left, right) => (left.hop ?? Infinity) - (right.hop ?? Infinity));
    const owed = answers.get(name.origin)?.owed ?? [];
    return {
      id,
      origin: named(name.origin),
      isKnown: had.length > 0,
      topic: topics[0],
      stations,
      owed: owed.map(named),
      without: had.length === 0 ? [] : withoutOf(answers, topics[0]).map((one) => one),
      silent: silentOf(answers),
    };
  }

  /** Members that answered and never had the message. */
  function withoutOf(
    answers: ReadonlyMap<NodeId, MessageAnswer>,
    topicOf: string | undefined,
  ): MessageExplanation['without'] {
    const report = topicOf === undefined ? undefined : node.listeners(topicOf);
    const wanting = new Set(report && receiversOf(report).map((one) => one.node));
    return node
      .members()
      .filter(({ id }) => answers.get(id)?.steps.length === 0)
      .map(({ id, name }) => {
        const isUnwanted = report !== undefined && !wanting.has(id);
        return { node: id, name, why: isUnwanted ? ('no-interest' as const) : undefined };
      });
  }

  return {
    handle: { topic, message },
    async start() {
      stops = [
        calls.serve(messageMethod, async (body) => {
          const name = readMessageId(new TextDecoder().decode(body));
          if (name === undefined) throw new MycelError('MYCEL_BAD_OPTION', { reason: 'No id.' });
          return encodeExplain(routes.message(name));
        }),
        calls.serve(topicMethod, async (body) => {
          const question = readTopicQuestion(body);
          if (question === undefined) {
            throw new MycelError('MYCEL_BAD_OPTION', { reason: 'No question about a topic.' });
          }
          return encodeExplain(routes.topic(question));
        }),
      ];
    },
    async stop() {
      for (const end of stops.splice(0)) end();
    },
  };
}

function mayAnswer({ state }: MemberInfo): boolean {
  return state === 'alive' || state === 'suspect';
}

function withWay(
  receiver: Omit<ExplainedReceiver, 'hops' | 'way'>,
  self: NodeId,
  answers: ReadonlyMap<NodeId, TopicAnswer>,
  named: (id: NodeId) => ExplainedNode,
): ExplainedReceiver {
  if (receiver.isSelf) return { ...receiver, way: 'here', hops: [] };
  const { way, hops } = followWay(self, receiver.node, answers);
  const isFlooded = way === 'relayed' && answers.get(self)?.isFlooded === true;
  const links = (from: NodeId, to: NodeId): ExplainedHop => {
    const link = answers.get(from)?.links.find((one) => one.node === to);
    const { rttMs, queuedBytes } = link ?? {};
    return { from: named(from), to: named(to), rttMs, queuedBytes };
  };
  return {
    ...receiver,
    way: isFlooded ? 'flooded' : way,
    hops: hops.map(([from, to]) => links(from, to)),
  };
}
