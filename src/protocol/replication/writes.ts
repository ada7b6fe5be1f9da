/** What each type's writes replace and add: pure arithmetic on the live entries of a cell. */

import type { ReplicaId } from './causal-context.ts';
import {
  boundedPage,
  boundedValue,
  canonical,
  counterParts,
  newestPages,
  readBounded,
} from './cell.ts';
import type { BoundedPage, Entry, Plain } from './cell.ts';

/** A change to one cell. A removal has no value; what is too large for one entry has several. */
export interface CellChange {
  readonly replaces: (entry: Entry) => boolean;
  readonly value?: Plain;
  readonly values?: readonly Plain[];
}

const all = (): boolean => true;
const ofReplica =
  (replica: ReplicaId) =>
  (entry: Entry): boolean =>
    entry.replica === replica;

/** Registers and flags: replaces what was seen. What was written elsewhere at the same time stays beside it. */
export function assign(value: Plain): CellChange {
  return { replaces: all, value };
}

/** Removes all that was seen; a write made elsewhere at the same time survives. */
export function clear(): CellChange {
  return { replaces: all };
}

/** Adds a member; wins over a removal made elsewhere at the same time. */
export function addMember(value: Plain): CellChange {
  const text = canonical(value);
  return { replaces: (entry) => canonical(entry.value) === text, value };
}

/** Removes a member as it was seen. */
export function removeMember(value: Plain): CellChange {
  const text = canonical(value);
  return { replaces: (entry) => canonical(entry.value) === text };
}

/** Counts up or down: a replica replaces its own pair of sums only. */
export function increment(
  entries: readonly Entry[],
  replica: ReplicaId,
  amount: number,
): CellChange {
  const [ups, downs] = counterParts(lastOf(entries, replica));
  const value = [ups + Math.max(0, amount), downs + Math.max(0, -amount)];
  return { replaces: ofReplica(replica), value };
}

/** Raises a maximum (or lowers a minimum); undefined when it stands already. */
export function raise(
  entries: readonly Entry[],
  kind: 'max' | 'min',
  value: number,
): CellChange | undefined {
  const isBetter = (one: number, other: number): boolean =>
    kind === 'max' ? one > other : one < other;
  const stands = entries.some((entry) => !isBetter(value, entry.value as number));
  return stands ? undefined : { replaces: all, value };
}

/** The last page of a replica as it was kept. */
function lastOf(entries: readonly Entry[], replica: ReplicaId): Plain | undefined {
  for (const entry of newestPages(entries)) if (entry.replica === replica) return entry.value;
  return undefined;
}

function ownPage(entries: readonly Entry[], replica: ReplicaId): BoundedPage {
  return boundedPage(lastOf(entries, replica));
}

/** Makes rights out of nothing: the only way the total grows. They belong to this replica. */
export function grant(entries: readonly Entry[], replica: ReplicaId, amount: number): CellChange {
  const page = ownPage(entries, replica);
  return {
    replaces: ofReplica(replica),
    value: boundedValue({ ...page, granted: page.granted + amount }),
  };
}

/** Spends own rights; undefined when this replica has too few. */
export function spend(
  entries: readonly Entry[],
  replica: ReplicaId,
  amount: number,
): CellChange | undefined {
  if ((readBounded(entries).rights.get(replica) ?? 0) < amount) return undefined;
  const page = ownPage(entries, replica);
  return {
    replaces: ofReplica(replica),
    value: boundedValue({ ...page, spent: page.spent + amount }),
  };
}

/**
 * Replicas that one page of a bounded counter gives rights to: a page is one value, and must fit a message. Whoever comes
 * later is given rights by one of them.
 */
export const receiversMax = 128;

/** Gives own rights to another replica; undefined when this one has too few, or has given to `receiversMax` others. */
export function give(
  entries: readonly Entry[],
  replica: ReplicaId,
  to: ReplicaId,
  amount: number,
): CellChange | undefined {
  if (to === replica || (readBounded(entries).rights.get(replica) ?? 0) < amount) return undefined;
  const page = ownPage(entries, replica);
  const given = new Map(page.given);
  if (!given.has(to) && given.size >= receiversMax) return undefined;
  given.set(to, (given.get(to) ?? 0) + amount);
  return {
    replaces: ofReplica(replica),
    value: boundedValue({ ...page, given: [...given] }),
  };
}

/** What a page says beyond an earlier one of the same replica, as a page of its own. */
export function beyond(
  type: 'counter' | 'bounded-counter',
  value: Plain,
  base: Plain | undefined,
): Plain {
  if (type === 'counter') {
    const [up, down] = counterParts(value);
    const [ups, downs] = counterParts(base);
    return [up - ups, down - downs];
  }
  const [page, before] = [boundedPage(value), boundedPage(base)];
  const was = new Map(before.given);
  return boundedValue({
    granted: page.granted - before.granted,
    spent: page.spent - before.spent,
    given: page.given.map(([to, amount]) => [to, amount - (was.get(to) ?? 0)]),
  });
}

/** Two pages of one replica as one. */
export function together(type: 'counter' | 'bounded-counter', one: Plain, other: Plain): Plain {
  if (type === 'counter') {
    const [up, down] = counterParts(one);
    const [ups, downs] = counterParts(other);
    return [up + ups, down + downs];
  }
  const [page, more] = [boundedPage(one), boundedPage(other)];
  const given = new Map(page.given);
  for (const [to, amount] of more.given) given.set(to, (given.get(to) ?? 0) + amount);
  return boundedValue({
    granted: page.granted + more.granted,
    spent: page.spent + more.spent,
    given: [...given],
  });
}
