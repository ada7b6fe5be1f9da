/**
 * The members of shared subscriptions on one node: plain clients and programs alike. Each message goes to one member of
 * each group, in turn; a member that does not keep up is passed over while another one does.
 */

import { createFilterTrie } from '../../kernel/filter-trie.ts';
import { sharedFilter } from '../../kernel/topic.ts';
import { nextInTurn } from './turns.ts';

/** Shared subscriptions with members on one node; one more is refused. */
export const sharesMax = 64;

/** UTF-16 units of them together: each is told to every member of the mesh. */
export const sharesLengthMax = 8192;

/** One member. */
export interface ShareMember<Message> {
  /** Takes a message in place of its whole group. */
  take(message: Message): void;
  /** Whether it keeps up. */
  isReady(): boolean;
}

/** Who is in which group. Groups of the same name with different filters are different groups. */
export interface ShareMembers<Message> {
  /** Whether the node can name this shared subscription to the mesh, too. */
  mayJoin(filter: string): boolean;
  /** A member joins; it may join a group once. */
  join(filter: string, member: ShareMember<Message>): void;
  leave(filter: string, member: ShareMember<Message>): void;
  /** Whether the group has a member here. */
  has(filter: string): boolean;
  count(filter: string): number;
  /** Hands a message to the member whose turn it is. False: the group has no member here. */
  give(filter: string, message: Message): boolean;
  /** Whether any group with members here wants a topic. */
  wants(topic: string): boolean;
  /** The groups with members here that want a topic. */
  matching(topic: string): Iterable<string>;
}

interface Group<Message> {
  readonly members: Map<number, ShareMember<Message>>;
  last: number | undefined;
}

const none: readonly string[] = [];

/** Builds the table. `changed`: a group has its first member, or none any more. Bounded by the subscriptions of clients. */
export function createShareMembers<Message>(
  changed: (filter: string, isWanted: boolean) => void,
): ShareMembers<Message> {
  const groups = new Map<string, Group<Message>>();
  const trie = createFilterTrie<string>();
  let length = 0;
  let joined = 0;

  function numberOf(group: Group<Message>, member: ShareMember<Message>): number | undefined {
    for (const [number, one] of group.members) if (one === member) return number;
    return undefined;
  }

  return {
    mayJoin(filter) {
      if (groups.has(filter)) return true;
      return groups.size < sharesMax && length + filter.length <= sharesLengthMax;
    },
    join(filter, member) {
      let group = groups.get(filter);
      if (group === undefined) {
        group = { members: new Map(), last: undefined };
        groups.set(filter, group);
        trie.set(sharedFilter(filter), filter, 1);
        length += filter.length;
        changed(filter, true);
      }
      if (numberOf(group, member) !== undefined) return;
      joined += 1;
      group.members.set(joined, member);
    },
    leave(filter, member) {
      const group = groups.get(filter);
      const number = group && numberOf(group, member);
      if (group === undefined || number === undefined) return;
      group.members.delete(number);
      if (group.members.size > 0) return;
      groups.delete(filter);
      trie.remove(sharedFilter(filter), filter);
      length -= filter.length;
      changed(filter, false);
    },
    has: (filter) => groups.has(filter),
    count: (filter) => groups.get(filter)?.members.size ?? 0,
    give(filter, message) {
      const group = groups.get(filter);
      if (group === undefined) return false;
      const { members } = group;
      const chosen = nextInTurn(members.keys(), group.last, (number) =>
        members.get(number)?.isReady() === true ? 0 : 1,
      );
      if (chosen === undefined) return false;
      group.last = chosen;
      members.get(chosen)?.take(message);
      return true;
    },
    wants: (topic) => trie.has(topic),
    matching: (topic) => (groups.size === 0 ? none : trie.match(topic).keys()),
  };
}
