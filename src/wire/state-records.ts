/** Records of the journal of replicated state: who writes, facts, contexts. */

import type { Intervals, ReplicaId } from '../protocol/replication/causal-context.ts';
import type { CellFact } from '../protocol/replication/replica-state.ts';
import { decodeCbor, encodeCbor } from './cbor.ts';
import {
  BadParts,
  contextParts,
  factParts,
  listOf,
  readContext,
  readFact,
  readTable,
  ReplicaTable,
  tuple,
  wholeOf,
} from './state-facts.ts';

/** A journal takes no larger ones, in bytes. */
const recordBytesMax: number = 64 * 1024;

/** A record. */
export type StateRecord =
  /** This node writes under this name from here on. */
  | { readonly kind: 'replica'; readonly replica: ReplicaId }
  | { readonly kind: 'facts'; readonly facts: readonly CellFact[] }
  | {
      readonly kind: 'context';
      readonly known: readonly (readonly [ReplicaId, Intervals])[];
    }
  /** Replicas that write no more, and since when, in ms of the wall clock. */
  | { readonly kind: 'retired'; readonly since: readonly (readonly [ReplicaId, number])[] };

/** Encodes one. */
export function encodeStateRecord(record: StateRecord): Uint8Array {
  const table = new ReplicaTable();
  switch (record.kind) {
    case 'replica':
      return encodeCbor([1, [record.replica]]);
    case 'facts': {
      const parts = record.facts.map((fact) => factParts(fact, table));
      return encodeCbor([2, table.names, parts]);
    }
    case 'context': {
      const parts = contextParts(record.known, table);
      return encodeCbor([3, table.names, parts]);
    }
    case 'retired': {
      const parts = record.since.map(([replica, at]) => [table.number(replica), at]);
      return encodeCbor([4, table.names, parts]);
    }
  }
}

/** Decodes one; undefined for anything else. Never throws. */
export function decodeStateRecord(bytes: Uint8Array): StateRecord | undefined {
  try {
    const value = decodeCbor(bytes, { bytesMax: recordBytesMax });
    if (!Array.isArray(value)) return undefined;
    const [code, names, parts] = value as readonly unknown[];
    const table = readTable(names);
    if (code === 1) {
      const [replica] = table;
      if (replica === undefined) throw new BadParts();
      return { kind: 'replica', replica };
    }
    if (code === 2) {
      return { kind: 'facts', facts: listOf(parts, (one) => readFact(one, table)) };
    }
    if (code === 3) return { kind: 'context', known: readContext(parts, table) };
    return code === 4 ? { kind: 'retired', since: readRetired(parts, table) } : undefined;
  } catch {
    return undefined;
  }
}

function readRetired(
  value: unknown,
  table: readonly ReplicaId[],
): (readonly [ReplicaId, number])[] {
  return listOf(value, (one) => {
    const [name, since] = tuple(one, 2);
    const replica = table[wholeOf(name, 0)];
    if (replica === undefined) throw new BadParts();
    return [replica, wholeOf(since, 0)] as const;
  });
}
