/** What this node alone can say about the ways of messages. */

import { compareHlc } from '../../kernel/hlc.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { MessageName } from '../../protocol/routing/message-id.ts';
import { explainListMax } from '../../wire/explain-codec.ts';
import type { MessageAnswer, TopicAnswer, TopicQuestion } from '../../wire/explain-codec.ts';
import { readEnvelope } from '../../wire/envelope.ts';
import type { NodeStatus } from '../mesh-node.ts';
import type { Messaging } from '../messaging-world.ts';

/** What it is read from. */
export interface RouteBookWorld {
  readonly self: NodeId;
  messaging(): Messaging;
  links(): NodeStatus['links'];
}

/** The book. */
export interface RouteBook {
  message(name: MessageName): MessageAnswer;
  topic(question: TopicQuestion): TopicAnswer;
}

/** Opens it. It keeps nothing: every answer is read from the node as it is. */
export function createRouteBook(world: RouteBookWorld): RouteBook {
  /** Whom this node, its origin, still owes the message, under whatever numbers its copies have. */
  function owedOf({ origin, hlc }: MessageName): NodeId[] {
    const owed = new Set<NodeId>();
    if (origin !== world.self) return [];
    const { router } = world.messaging();
    router.unsettled(0, router.lastSeq(), (raw, nodes) => {
      const envelope = readEnvelope(raw);
      if (envelope === undefined || compareHlc(envelope.hlc, hlc) !== 0) return;
      for (const node of nodes) owed.add(node);
    });
    return [...owed].slice(0, explainListMax);
  }

  return {
    message(name) {
      const { ring } = world.messaging().trace;
      const { origin, hlc } = name;
      const topic = ring.topicOf(origin, hlc);
      // The end tells more than the beginning.
      const steps = ring.of(origin, hlc).slice(-explainListMax);
      return {
        ...(topic === undefined ? {} : { topic }),
        steps: steps.map(({ at, fate, cause, peer, detail }) => ({
          at,
          fate,
          detail,
          ...(cause === undefined ? {} : { cause }),
          ...(peer === undefined ? {} : { peer }),
        })),
        owed: owedOf(name),
      };
    },
    topic({ topic, targets }) {
      const { router, trace } = world.messaging();
      return {
        links: world
          .links()
          .slice(0, explainListMax)
          .map(({ peer, rttMs, queuedBytes }) => ({
            node: peer,
            queuedBytes,
            ...(rttMs === undefined ? {} : { rttMs }),
          })),
        next: targets.map((to) => ({ to, via: router.ways(to).slice(0, explainListMax) })),
        isFlooded: router.isFlooded(topic),
        fates: trace.ring.about(topic).map(({ fate, cause, detail, count, at }) => ({
          fate,
          detail,
          count,
          at,
          ...(cause === undefined ? {} : { cause }),
        })),
      };
    },
  };
}
