/** Facts of replicated state as CBOR parts: the same on the wire and in the journal. Replica names stand in a table once. */

import type { Intervals, ReplicaId } from '../protocol/replication/causal-context.ts';
import type { Dot } from '../protocol/replication/causal-context.ts';
import type { Entry, Plain } from '../protocol/replication/cell.ts';
import type { CellFact } from '../protocol/replication/replica-state.ts';

/** Longest address, in UTF-16 units. */
export const addressLengthMax = 512;

/** Longest replica name. */
const replicaLengthMax = 64;

/** Levels of arrays and objects inside a value. */
export const valueDepthMax = 8;

const countMax = Number.MAX_SAFE_INTEGER;

/** Numbers replica names in the order of their first use. */
export class ReplicaTable {
  readonly names: ReplicaId[] = [];
  #numbers = new Map<ReplicaId, number>();

  number(replica: ReplicaId): number {
    const known = this.#numbers.get(replica);
    if (known !== undefined) return known;
    this.#numbers.set(replica, this.names.length);
    this.names.push(replica);
    return this.names.length - 1;
  }
}

/** A fact as parts. */
export function factParts({ address, live, dead }: CellFact, table: ReplicaTable): unknown[] {
  return [
    address,
    live.map(({ replica, count, at, value }) => [
      table.number(replica),
      count,
      at.wallMs,
      at.count,
      value,
    ]),
    dotParts(dead, table),
  ];
}

/** Dots by replica: its number, then its counters as steps. */
export function dotParts(dots: readonly Dot[], table: ReplicaTable): number[][] {
  const byReplica = new Map<ReplicaId, number[]>();
  for (const { replica, count } of dots) {
    const counts = byReplica.get(replica) ?? [];
    counts.push(count);
    byReplica.set(replica, counts);
  }
  return [...byReplica].map(([replica, counts]) => {
    counts.sort((left, right) => left - right);
    return [
      table.number(replica),
      ...counts.map((count, at) => count - (at === 0 ? 0 : (counts[at - 1] ?? 0))),
    ];
  });
}

/** Intervals by replica: its number, then the ends as steps. */
export function contextParts(
  known: Iterable<readonly [ReplicaId, Intervals]>,
  table: ReplicaTable,
): number[][] {
  return [...known].map(([replica, spans]) => [
    table.number(replica),
    ...spans.map((end, at) => end - (at === 0 ? 0 : (spans[at - 1] ?? 0))),
  ]);
}

/** Thrown inside a reader; never leaves the codecs. */
export class BadParts extends Error {}

/** Reads a table. */
export function readTable(value: unknown): readonly ReplicaId[] {
  return listOf(value, (name) => textOf(name, replicaLengthMax));
}

/** Reads a fact. */
export function readFact(value: unknown, table: readonly ReplicaId[]): CellFact {
  const [address, live, dead] = tuple(value, 3);
  return {
    address: readAddress(address),
    live: listOf(live, (parts) => readEntry(parts, table)),
    dead: readDots(dead, table),
  };
}

export function readAddress(value: unknown): string {
  const address = textOf(value, addressLengthMax);
  if (address.length < 2) throw new BadParts();
  return address;
}

function readEntry(value: unknown, table: readonly ReplicaId[]): Entry {
  const [replica, count, wallMs, tick, content] = tuple(value, 5);
  if (!isPlain(content)) throw new BadParts();
  return {
    replica: replicaOf(replica, table),
    count: wholeOf(count, 1),
    at: { wallMs: wholeOf(wallMs, 0), count: wholeOf(tick, 0) },
    value: content,
  };
}

/** Reads dots. */
export function readDots(value: unknown, table: readonly ReplicaId[]): Dot[] {
  const dots: Dot[] = [];
  for (const parts of listOf(value, (one) => one)) {
    const [first, ...steps] = listOf(parts, (one) => wholeOf(one, 0));
    const replica = replicaOf(first, table);
    let count = 0;
    for (const step of steps) {
      count = wholeOf(count + step, 1);
      dots.push({ replica, count });
    }
  }
  return dots;
}

/** Reads a context. */
export function readContext(
  value: unknown,
  table: readonly ReplicaId[],
): (readonly [ReplicaId, Intervals])[] {
  return listOf(value, (parts) => {
    const [first, ...steps] = listOf(parts, (one) => wholeOf(one, 0));
    if (steps.length % 2 !== 0) throw new BadParts();
    let end = 0;
    const spans = steps.map((step) => (end = wholeOf(end + step, 1)));
    return [replicaOf(first, table), spans] as const;
  });
}

function replicaOf(value: unknown, table: readonly ReplicaId[]): ReplicaId {
  const name = typeof value === 'number' ? table[value] : undefined;
  if (name === undefined) throw new BadParts();
  return name;
}

/** An array of exactly so many parts. */
export function tuple(value: unknown, length: number): readonly unknown[] {
  if (!Array.isArray(value) || value.length !== length) throw new BadParts();
  return value as readonly unknown[];
}

export function listOf<Item>(value: unknown, read: (item: unknown) => Item): Item[] {
  if (!Array.isArray(value)) throw new BadParts();
  return (value as readonly unknown[]).map((item) => read(item));
}

function textOf(value: unknown, lengthMax: number): string {
  if (typeof value !== 'string' || value.length === 0 || value.length > lengthMax) {
    throw new BadParts();
  }
  return value;
}

export function wholeOf(value: unknown, least: number): number {
  if (!Number.isSafeInteger(value)) throw new BadParts();
  const whole = value as number;
  if (whole < least || whole > countMax) throw new BadParts();
  return whole;
}

/** Whether it is plain data that a register may hold. */
export function isPlain(value: unknown, depthLeft: number = valueDepthMax): value is Plain {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return true;
    case 'number':
      return Number.isFinite(value);
    case 'object':
      break;
    default:
      return false;
  }
  if (value === null || value instanceof Uint8Array) return true;
  if (depthLeft === 0) return false;
  if (Array.isArray(value)) return value.every((item) => isPlain(item, depthLeft - 1));
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return false;
  return Object.entries(value).every(
    ([key, item]) => !key.endsWith('__proto__') && isPlain(item, depthLeft - 1),
  );
}
