/** The shared subscriptions of this node's clients and programs, over all its lives. */

import type { NodeId } from '../../kernel/ids.ts';
import type { BrokerMessage, GroupDesk } from '../../ports/broker.ts';
import type { Clock } from '../../ports/clock.ts';
import { createShareMembers } from '../../protocol/routing/share-members.ts';
import type { ShareMember, ShareMembers } from '../../protocol/routing/share-members.ts';
import type { GroupsHere } from '../../protocol/routing/shares.ts';
import type { MeshMessage } from '../mesh-node.ts';
import type { LocalInterest } from './local-interest.ts';

/** Takes what no member on this node can have; `had`: the node that sent it here, having none itself. */
export type Homeless = (filter: string, message: MeshMessage, had: NodeId | undefined) => void;

/** The groups with members on this node. */
export interface Groups extends GroupDesk, GroupsHere {
  join(filter: string, member: ShareMember<MeshMessage>): void;
  leave(filter: string, member: ShareMember<MeshMessage>): void;
  /** Whether a group with members here wants the topic. */
  wants(topic: string): boolean;
  /** Members on this node. */
  count(filter: string): number;
  /** Hands a message to one member of a group: here, or else elsewhere, at the node that sent it only if need be. */
  hand(filter: string, message: MeshMessage, had?: NodeId): void;
  /** One member of each group that has any here gets a message of this node. */
  publish(message: MeshMessage): void;
  /** Says where homeless messages go; returns the function that ends it. */
  follow(homeless: Homeless): () => void;
}

/** Builds them. */
export function createGroups(world: {
  readonly self: NodeId;
  readonly clock: Clock;
  readonly interest: LocalInterest;
}): Groups {
  const members: ShareMembers<MeshMessage> = createShareMembers((filter, isWanted) =>
    world.interest.say('groups', filter, isWanted),
  );
  let follower: Homeless | undefined;

  function hand(filter: string, message: MeshMessage, had?: NodeId): void {
    if (!members.give(filter, message)) follower?.(filter, message, had);
  }

  return {
    mayJoin: (filter) => members.mayJoin(filter),
    join: (filter, member) => members.join(filter, member),
    leave: (filter, member) => members.leave(filter, member),
    has: (filter) => members.has(filter),
    count: (filter) => members.count(filter),
    matching: (topic) => members.matching(topic),
    wants: (topic) => members.wants(topic),
    hand,
    returned(filter, message: BrokerMessage) {
      const { origin = world.self, at = world.clock.wallMs(), id = '' } = message;
      hand(filter, { ...message, origin, at, id });
    },
    publish(message) {
      for (const filter of members.matching(message.topic)) hand(filter, message);
    },
    follow(homeless) {
      follower = homeless;
      return () => {
        if (follower === homeless) follower = undefined;
      };
    },
  };
}
