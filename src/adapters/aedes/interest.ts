/** Which filters somebody on this node wants, counted over clients and sessions. */

import { createFilterTrie } from '../../kernel/filter-trie.ts';

/** Counts holders per filter and reports the first and the last one. Bounded by clients times subscriptions. */
export interface Interest {
  add(holder: object | string, filter: string): void;
  remove(holder: object | string, filter: string): void;
  /** The holder is gone. */
  removeAll(holder: object | string): void;
  /** Whether any filter that somebody wants matches the topic. */
  wants(topic: string): boolean;
}

/** Builds an empty count; `changed` is called when a filter's count becomes 1 or 0. */
export function createInterest(changed: (filter: string, isWanted: boolean) => void): Interest {
  const holders = new Map<string, Set<object | string>>();
  const filters = new Map<object | string, Set<string>>();
  const index = createFilterTrie<string>();

  function remove(holder: object | string, filter: string): void {
    const held = filters.get(holder);
    if (held?.delete(filter) !== true) return;
    if (held.size === 0) filters.delete(holder);
    const among = holders.get(filter);
    among?.delete(holder);
    if (among?.size !== 0) return;
    holders.delete(filter);
    index.remove(filter, filter);
    changed(filter, false);
  }

  return {
    add(holder, filter) {
      const held = filters.get(holder) ?? new Set();
      filters.set(holder, held.add(filter));
      const among = holders.get(filter);
      if (among !== undefined) {
        among.add(holder);
        return;
      }
      holders.set(filter, new Set([holder]));
      index.set(filter, filter, 1);
      changed(filter, true);
    },
    remove,
    removeAll(holder) {
      for (const filter of filters.get(holder) ?? []) remove(holder, filter);
    },
    wants: (topic) => index.has(topic),
  };
}
