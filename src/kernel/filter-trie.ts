/** Who wants a topic: MQTT filters in a trie over their levels, looked up without comparing each of them. */

import { isReservedTopic } from './topic.ts';

interface Level<Subscriber> {
  readonly children: Map<string, Level<Subscriber>>;
  readonly subscribers: Map<Subscriber, 1 | 2>;
}

/** A filter trie. Its size is bounded by its users: subscribers times filters. */
export interface FilterTrie<Subscriber> {
  set(filter: string, subscriber: Subscriber, qos: 1 | 2): void;
  remove(filter: string, subscriber: Subscriber): void;
  /** Each subscriber once, with the highest QoS of its matching filters. */
  match(topic: string): ReadonlyMap<Subscriber, 1 | 2>;
  /** Whether anybody matches: cheaper than `match`. */
  has(topic: string): boolean;
}

/** Builds an empty trie. */
export function createFilterTrie<Subscriber>(): FilterTrie<Subscriber> {
  const root = newLevel<Subscriber>();

  /** Shows each level whose subscribers match, until `isEnough`. */
  function walk(
    level: Level<Subscriber>,
    levels: readonly string[],
    at: number,
    isEnough: (level: Level<Subscriber>) => boolean,
  ): boolean {
    const mayBeWild = at > 0 || !(levels[0] ?? '').startsWith('$');
    const rest = mayBeWild ? level.children.get('#') : undefined;
    if (rest !== undefined && isEnough(rest)) return true;
    const text = levels[at];
    if (text === undefined) return isEnough(level);
    const plus = mayBeWild ? level.children.get('+') : undefined;
    if (plus !== undefined && walk(plus, levels, at + 1, isEnough)) return true;
    const exact = level.children.get(text);
    return exact !== undefined && walk(exact, levels, at + 1, isEnough);
  }

  const isSubscribed = (level: Level<Subscriber>): boolean => level.subscribers.size > 0;

  return {
    set(filter, subscriber, qos) {
      let level = root;
      for (const text of filter.split('/')) {
        const next = level.children.get(text) ?? newLevel<Subscriber>();
        level.children.set(text, next);
        level = next;
      }
      level.subscribers.set(subscriber, qos);
    },
    remove(filter, subscriber) {
      const levels = filter.split('/');
      const path = [root];
      for (const text of levels) {
        const next = path[path.length - 1]?.children.get(text);
        if (next === undefined) return;
        path.push(next);
      }
      path[path.length - 1]?.subscribers.delete(subscriber);
      for (let at = levels.length; at > 0; at -= 1) {
        const level = path[at] as Level<Subscriber>;
        if (level.subscribers.size > 0 || level.children.size > 0) return;
        path[at - 1]?.children.delete(levels[at - 1] as string);
      }
    },
    match(topic) {
      const found = new Map<Subscriber, 1 | 2>();
      if (isReservedTopic(topic)) return found;
      walk(root, topic.split('/'), 0, ({ subscribers }) => {
        for (const [subscriber, qos] of subscribers) {
          if ((found.get(subscriber) ?? 0) < qos) found.set(subscriber, qos);
        }
        return false;
      });
      return found;
    },
    has(topic) {
      if (root.children.size === 0 || isReservedTopic(topic)) return false;
      return walk(root, topic.split('/'), 0, isSubscribed);
    },
  };
}

function newLevel<Subscriber>(): Level<Subscriber> {
  return { children: new Map(), subscribers: new Map() };
}
