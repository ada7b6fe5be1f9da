/**
 * What is written at one address: a handful of live entries. All types share one shape and one join; they differ in
 * what a write replaces and in how the entries are read (protocols 3.1).
 */

import type { Hlc } from '../../kernel/hlc.ts';
import type { ReplicaId } from './causal-context.ts';

/** Plain data. Byte strings are for documents only. */
export type Plain =
  | null
  | boolean
  | number
  | string
  | Uint8Array
  | readonly Plain[]
  | { readonly [key: string]: Plain };

/** A live write. */
export interface Entry {
  readonly replica: ReplicaId;
  readonly count: number;
  readonly at: Hlc;
  readonly value: Plain;
}

/** The types, by the letter that begins an address. */
export const cellTypes = {
  register: 'r',
  'multi-register': 'm',
  set: 's',
  counter: 'c',
  'bounded-counter': 'b',
  'enable-flag': 'e',
  'disable-flag': 'd',
  max: 'x',
  min: 'n',
  document: 'y',
} as const;

export type CellType = keyof typeof cellTypes;

/** A type's letter and a path; the same path under two types is two cells, so that a merge never meets a wrong type. */
export type CellAddress = string;

/** Between the parts of a path: no part may contain a control character. */
export const pathSeparator = '\u0000';

/** Makes an address. */
export function addressOf(type: CellType, path: readonly string[]): CellAddress {
  return cellTypes[type] + path.join(pathSeparator);
}

const typesByLetter = new Map<string, CellType>(
  Object.entries(cellTypes).map(([type, letter]) => [letter, type as CellType]),
);

/** Takes an address apart; undefined for what is none. */
export function parseAddress(
  address: CellAddress,
): { readonly type: CellType; readonly path: readonly string[] } | undefined {
  const type = typesByLetter.get(address.charAt(0));
  return type && { type, path: address.slice(1).split(pathSeparator) };
}

/** Text that is equal exactly when the values are: object keys in order. */
export function canonical(value: Plain): string {
  if (value instanceof Uint8Array) return `b${value.join(',')}`;
  if (Array.isArray(value)) return `[${(value as readonly Plain[]).map(canonical).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    const fields = Object.entries(value as { readonly [key: string]: Plain })
      .sort(([left], [right]) => (left < right ? -1 : 1))
      .map(([key, one]) => `${JSON.stringify(key)}:${canonical(one)}`);
    return `{${fields.join(',')}}`;
  }
  return JSON.stringify(value);
}

/** Later writes first; ties by replica, then by counter, the same everywhere. */
export function byRecency(left: Entry, right: Entry): number {
  return (
    right.at.wallMs - left.at.wallMs ||
    right.at.count - left.at.count ||
    (left.replica < right.replica ? 1 : left.replica > right.replica ? -1 : 0) ||
    right.count - left.count
  );
}

/** What the entries of a cell mean; undefined when there is nothing. */
export function readCell(type: CellType, entries: readonly Entry[]): Plain | undefined {
  if (entries.length === 0) return undefined;
  switch (type) {
    case 'register':
      return [...entries].sort(byRecency)[0]?.value;
    case 'multi-register':
      return [...entries].sort(byRecency).map(({ value }) => value);
    case 'set':
      return readSet(entries);
    case 'counter':
      return readCounter(entries);
    case 'bounded-counter':
      return readBounded(entries).left;
    case 'enable-flag':
      return entries.some(({ value }) => value === true);
    case 'disable-flag':
      return !entries.some(({ value }) => value !== true);
    case 'max':
      return Math.max(...entries.map(({ value }) => asNumber(value, -Infinity)));
    case 'min':
      return Math.min(...entries.map(({ value }) => asNumber(value, Infinity)));
    case 'document':
      // What it says only its library can read.
      return { writes: entries.length };
  }
}

function readSet(entries: readonly Entry[]): readonly Plain[] {
  const members = new Map(entries.map(({ value }) => [canonical(value), value]));
  return [...members]
    .sort(([left], [right]) => (left < right ? -1 : left > right ? 1 : 0))
    .map(([, value]) => value);
}

function readCounter(entries: readonly Entry[]): number {
  let sum = 0;
  for (const { value } of newestPages(entries)) {
    const [up, down] = counterParts(value);
    sum += up - down;
  }
  return sum;
}

/**
 * Of each replica the last page it wrote. A page may be learned before the death of the one it replaces, and must never
 * count beside it.
 */
export function newestPages(entries: readonly Entry[]): Iterable<Entry> {
  const newest = new Map<ReplicaId, Entry>();
  for (const entry of entries) {
    if ((newest.get(entry.replica)?.count ?? 0) < entry.count) newest.set(entry.replica, entry);
  }
  return newest.values();
}

/** What a replica has counted up and down. */
export function counterParts(value: Plain | undefined): readonly [number, number] {
  if (!Array.isArray(value)) return [0, 0];
  return [asNumber(value[0], 0), asNumber(value[1], 0)];
}

/** A replica's page in the book of a bounded counter; only that replica writes it (Balegas et al., 2015). */
export interface BoundedPage {
  readonly granted: number;
  readonly spent: number;
  /** Rights given away, in all, by receiver. */
  readonly given: readonly (readonly [ReplicaId, number])[];
}

/** The page as it is kept. */
export function boundedValue({ granted, spent, given }: BoundedPage): Plain {
  return [granted, spent, given.map(([to, amount]) => [to, amount])];
}

/** The page as it was kept; what is not one is empty. */
export function boundedPage(value: Plain | undefined): BoundedPage {
  if (!Array.isArray(value)) return { granted: 0, spent: 0, given: [] };
  const parts = value as readonly Plain[];
  const given: [ReplicaId, number][] = [];
  for (const pair of Array.isArray(parts[2]) ? (parts[2] as readonly Plain[]) : []) {
    if (!Array.isArray(pair) || typeof pair[0] !== 'string') continue;
    given.push([pair[0], asNumber(pair[1] as Plain, 0)]);
  }
  return { granted: asNumber(parts[0], 0), spent: asNumber(parts[1], 0), given };
}

/** What all pages together say. */
export function readBounded(entries: readonly Entry[]): {
  readonly granted: number;
  readonly spent: number;
  readonly left: number;
  /** What each replica may still spend without asking anybody. */
  readonly rights: ReadonlyMap<ReplicaId, number>;
} {
  let granted = 0;
  let spent = 0;
  const rights = new Map<ReplicaId, number>();
  const change = (replica: ReplicaId, by: number): void =>
    void rights.set(replica, (rights.get(replica) ?? 0) + by);
  for (const { replica, value } of newestPages(entries)) {
    const page = boundedPage(value);
    granted += page.granted;
    spent += page.spent;
    change(replica, page.granted - page.spent);
    for (const [to, amount] of page.given) {
      change(replica, -amount);
      change(to, amount);
    }
  }
  return { granted, spent, left: granted - spent, rights };
}

function asNumber(value: Plain | undefined, otherwise: number): number {
  return typeof value === 'number' && !Number.isNaN(value) ? value : otherwise;
}
