/**
 * Which member wants which topics, as far as this node knows: what each member says of its subscribers, and, for each
 * topic, whom a message need not be sent to.
 *
 * A member that has said nothing yet (in this life of it) is taken to want everything.
 */

import { BoundedMap } from '../../kernel/bounded-map.ts';
import { createFilterTrie } from '../../kernel/filter-trie.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { isShared, sharedFilter } from '../../kernel/topic.ts';

/** Filters of one member; beyond it the member says that it wants everything. */
export const filtersMax = 256;

/** UTF-16 units of them together. */
const filtersLengthMax = 16_384;

/** Filters that are compared with each other; with more of them the member says that it wants everything. */
const comparedMax = 2048;

/** Topics whose answer is remembered; the oldest is worked out again. */
const answersMax = 1024;

/** What one member wants. `everything`: it has more filters than it may name. */
export interface Wish {
  readonly node: NodeId;
  readonly boot: number;
  /** Counts up with every change within the boot. */
  readonly version: number;
  readonly filters: ReadonlySet<string> | 'everything';
  /** When the youngest of them was added, by the wall clock of the member: what is published later is meant for it. */
  readonly sinceMs: number;
}

/** The wishes of all members. Bounded by membership, times `filtersMax`. */
export interface InterestTable {
  get(node: NodeId): Wish | undefined;
  /** The same, if it was said in the member's present life. */
  current(node: NodeId): Wish | undefined;
  all(): IterableIterator<Wish>;
  /** Takes a wish in place of an older one. */
  set(wish: Wish): void;
  /** A member is there, in this life. Until it says what it wants it wants everything. */
  joined(node: NodeId, boot: number): void;
  /** It is gone for good. */
  forget(node: NodeId): void;
  /** The members that do not want the topic; undefined: all want it. The same set for the same answer while nothing changes. */
  excluded(topic: string): ReadonlySet<NodeId> | undefined;
  /** The shared subscriptions of other members that want the topic. */
  shares(topic: string): readonly string[];
  /** The members that are in a group, by what they said last in their present life. */
  sharers(filter: string): readonly NodeId[];
  /** Groups that have a member somewhere else. */
  sharesCount(): number;
  /** Counts up with every change: whoever remembers answers forgets them. */
  revision(): number;
}

/** Builds an empty table. */
export function createInterestTable(): InterestTable {
  const wishes = new Map<NodeId, Wish>();
  const boots = new Map<NodeId, number>();
  const trie = createFilterTrie<NodeId>();
  const groups = new Map<string, Set<NodeId>>();
  const groupTrie = createFilterTrie<string>();
  const answers = new BoundedMap<string, ReadonlySet<NodeId> | 'nobody'>(answersMax);
  const groupAnswers = new BoundedMap<string, readonly string[]>(answersMax);
  const sharerAnswers = new Map<string, readonly NodeId[]>();
  let revision = 0;

  function changed(): void {
    revision += 1;
    answers.clear();
    groupAnswers.clear();
    sharerAnswers.clear();
  }

  function add(filter: string, node: NodeId): void {
    if (!isShared(filter)) return trie.set(filter, node, 1);
    const group = groups.get(filter) ?? new Set();
    groups.set(filter, group.add(node));
    groupTrie.set(sharedFilter(filter), filter, 1);
  }

  function remove(filter: string, node: NodeId): void {
    if (!isShared(filter)) return trie.remove(filter, node);
    const group = groups.get(filter);
    if (group?.delete(node) !== true || group.size > 0) return;
    groups.delete(filter);
    groupTrie.remove(sharedFilter(filter), filter);
  }

  function drop(node: NodeId): void {
    const wish = wishes.get(node);
    if (wish === undefined) return;
    wishes.delete(node);
    if (wish.filters !== 'everything') for (const one of wish.filters) remove(one, node);
  }

  /** Whether what it said last was said in its present life. */
  function isCurrent(wish: Wish): boolean {
    return wish.boot >= (boots.get(wish.node) ?? 0);
  }

  function answer(topic: string): ReadonlySet<NodeId> | 'nobody' {
    const wanting = trie.match(topic);
    const without = new Set<NodeId>();
    for (const wish of wishes.values()) {
      if (wish.filters === 'everything' || wanting.has(wish.node) || !isCurrent(wish)) continue;
      without.add(wish.node);
    }
    return without.size === 0 ? 'nobody' : without;
  }

  return {
    get: (node) => wishes.get(node),
    current(node) {
      const wish = wishes.get(node);
      return wish !== undefined && isCurrent(wish) ? wish : undefined;
    },
    all: () => wishes.values(),
    set(wish) {
      const before = wishes.get(wish.node)?.filters;
      if (before !== undefined && before !== 'everything') {
        for (const one of before) {
          if (wish.filters === 'everything' || !wish.filters.has(one)) remove(one, wish.node);
        }
      }
      wishes.set(wish.node, wish);
      if (wish.filters !== 'everything') for (const one of wish.filters) add(one, wish.node);
      changed();
    },
    joined(node, boot) {
      if ((boots.get(node) ?? -1) >= boot) return;
      boots.set(node, boot);
      changed();
    },
    forget(node) {
      boots.delete(node);
      drop(node);
      changed();
    },
    excluded(topic) {
      if (wishes.size === 0) return undefined;
      let known = answers.get(topic);
      if (known === undefined) {
        known = answer(topic);
        answers.set(topic, known);
      }
      return known === 'nobody' ? undefined : known;
    },
    shares(topic) {
      if (groups.size === 0) return none;
      let known = groupAnswers.get(topic);
      if (known === undefined) {
        known = [...groupTrie.match(topic).keys()];
        groupAnswers.set(topic, known);
      }
      return known;
    },
    sharers(filter) {
      let known = sharerAnswers.get(filter);
      if (known === undefined) {
        known = [...(groups.get(filter) ?? [])].filter((node) => {
          const wish = wishes.get(node);
          return wish !== undefined && isCurrent(wish);
        });
        if (groups.has(filter)) sharerAnswers.set(filter, known);
      }
      return known;
    },
    sharesCount: () => groups.size,
    revision: () => revision,
  };
}

const none: readonly string[] = [];

/**
 * The fewest of these filters that match what all of them match: those that another one covers are left out. Shared
 * subscriptions are named one by one. Too many others, or too long ones, are 'everything', which takes more topics and
 * never fewer; beside shared subscriptions, which must keep their names, that is written with wildcards.
 */
export function coveringFilters(filters: Iterable<string>): ReadonlySet<string> | 'everything' {
  const shares: string[] = [];
  const others: string[] = [];
  let length = 0;
  for (const filter of filters) {
    if (!isShared(filter)) others.push(filter);
    else {
      shares.push(filter);
      length += filter.length;
    }
  }
  const lengthMax = filtersLengthMax - length;
  const least = leastOf(others, filtersMax - shares.length, lengthMax);
  if (least !== undefined) return new Set([...least, ...shares]);
  if (shares.length === 0) return 'everything';
  // '#' matches nothing below $: those roots are named beside it.
  const roots = new Set(others.map((filter) => filter.split('/', 1)[0] ?? ''));
  const wide = [...roots].filter((root) => root.startsWith('$')).map((root) => `${root}/#`);
  const all = leastOf(['#', ...wide], filtersMax - shares.length, lengthMax);
  return all === undefined ? 'everything' : new Set([...all, ...shares]);
}

/** What is left of filters without those that others cover; undefined: too many, or too long. */
function leastOf(
  filters: readonly string[],
  countMax: number,
  lengthMax: number,
): readonly string[] | undefined {
  const all = new Map<string, readonly string[]>();
  for (const filter of filters) {
    all.set(filter, filter.split('/'));
    if (all.size > comparedMax) return undefined;
  }
  const least: string[] = [];
  let length = 0;
  for (const [filter, levels] of all) {
    let isCovered = false;
    for (const [wide, above] of all) {
      isCovered = wide !== filter && coversLevels(above, levels);
      if (isCovered) break;
    }
    if (isCovered) continue;
    least.push(filter);
    length += filter.length;
    if (least.length > countMax || length > lengthMax) return undefined;
  }
  return least;
}

/** Whether every topic that matches `narrow` matches `wide`, too. Never wrongly yes. */
export function covers(wide: string, narrow: string): boolean {
  return wide === narrow || coversLevels(wide.split('/'), narrow.split('/'));
}

function coversLevels(above: readonly string[], below: readonly string[]): boolean {
  const first = above[0];
  // Topics that begin with $ match no filter that begins with a wildcard.
  if ((first === '+' || first === '#') && (below[0] ?? '').startsWith('$')) return false;
  for (let at = 0; at < above.length; at += 1) {
    const level = above[at];
    if (level === '#') return true;
    const other = below[at];
    if (other === undefined || other === '#') return false;
    if (level !== '+' && level !== other) return false;
  }
  return above.length === below.length;
}
