/** Who would hear a message, as far as this node knows. */

import { MycelError } from '../../kernel/errors.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { isReservedTopic, isShared, topicProblem } from '../../kernel/topic.ts';
import type { ChannelTable } from '../../protocol/channels/channel-table.ts';
import type { Wish } from '../../protocol/routing/interest.ts';
import type { MemberInfo } from '../mesh-node.ts';
import { wants } from './local-interest.ts';

/** A node with subscribers for a topic. */
export interface ListenerNode {
  readonly node: NodeId;
  readonly name: string;
  readonly isSelf: boolean;
  /** Its filters that match, the fewest that cover its subscribers; empty unless `why` is 'filter'. */
  readonly filters: readonly string[];
  /** `everything`: it has more filters than it may name. `unknown`: it has not said yet what it wants, and gets all. */
  readonly why: 'filter' | 'everything' | 'unknown';
}

/** A group of a shared subscription: one of its members gets each message. */
export interface ListenerGroup {
  /** `$share/<group>/<filter>` */
  readonly filter: string;
  readonly group: string;
  /** The nodes that have members; when this node is one of them it serves the group. */
  readonly nodes: readonly {
    readonly node: NodeId;
    readonly name: string;
    readonly isSelf: boolean;
  }[];
}

/** The answer to "does anyone listen?". */
export interface ListenersReport {
  readonly topic: string;
  /** Whether any subscriber is known; nodes that have not spoken yet are not counted. */
  readonly isHeard: boolean;
  readonly nodes: readonly ListenerNode[];
  readonly groups: readonly ListenerGroup[];
  /** The channel that a small message of each class takes from here, when its publisher names none. */
  readonly channels: { readonly signal: string; readonly event: string };
}

/** What it is worked out from. */
export interface ListenersWorld {
  readonly channels: ChannelTable;
  members(): readonly MemberInfo[];
  /** This node's own filters that match. */
  here(topic: string): readonly string[];
  /** What another member says it wants. */
  wish(node: NodeId): Wish | undefined;
}

/**
 * Works it out from what the members said last, without asking anybody.
 * @throws {MycelError} MYCEL_BAD_TOPIC
 */
export function listenersOf(world: ListenersWorld, topic: string): ListenersReport {
  const problem = isReservedTopic(topic) ? 'it is reserved' : topicProblem(topic);
  if (problem !== undefined) {
    throw new MycelError('MYCEL_BAD_TOPIC', { topic, reason: `Topic '${topic}': ${problem}.` });
  }
  const nodes: ListenerNode[] = [];
  const groups = new Map<string, ListenerGroup['nodes'][number][]>();

  function add(member: MemberInfo, filters: readonly string[]): void {
    const { id: node, name, isSelf } = member;
    for (const filter of filters) {
      if (!isShared(filter)) continue;
      groups.set(filter, [...(groups.get(filter) ?? []), { node, name, isSelf }]);
    }
    const plain = filters.filter((one) => !isShared(one));
    if (plain.length > 0) nodes.push({ node, name, isSelf, filters: plain, why: 'filter' });
  }

  for (const member of world.members()) {
    const { id: node, name, isSelf } = member;
    if (isSelf) {
      add(member, world.here(topic));
      continue;
    }
    if (member.state === 'dead' || member.state === 'left') continue;
    const wish = world.wish(node);
    if (wish === undefined) nodes.push({ node, name, isSelf, filters: [], why: 'unknown' });
    else if (wish.filters === 'everything') {
      nodes.push({ node, name, isSelf, filters: [], why: 'everything' });
    } else add(member, [...wish.filters].filter((one) => wants(one, topic)).toSorted());
  }
  const { channels } = world;
  return {
    topic,
    isHeard: nodes.some(({ why }) => why !== 'unknown') || groups.size > 0,
    nodes,
    groups: [...groups]
      .map(([filter, members]) => ({ filter, group: filter.split('/')[1] ?? '', nodes: members }))
      .toSorted((left, right) => (left.filter < right.filter ? -1 : 1)),
    channels: {
      signal: channels.choose('signal', topic, 0).name,
      event: channels.choose('event', topic, 0).name,
    },
  };
}
