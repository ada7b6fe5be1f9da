/** The journal of replicated state: what is put back at the start, and what is told again when the journal is compacted. */

import type { Journal, OpenJournal } from '../../ports/journal.ts';
import type { Intervals, ReplicaId } from '../../protocol/replication/causal-context.ts';
import { contextIntervalsMax } from '../../protocol/replication/messages.ts';
import type { CellFact, ReplicaState } from '../../protocol/replication/replica-state.ts';
import { FactBasket } from '../../protocol/replication/weight.ts';
import { decodeStateRecord, encodeStateRecord } from '../../wire/state-records.ts';

type Known = readonly (readonly [ReplicaId, Intervals])[];

/** Facts of one record of a compacted journal, in bytes. */
const recordBytes: number = 24 * 1024;

/** Retired replicas of one such record. */
const retiredInRecord = 256;

/** An open journal with the state put back. */
export interface StateStorage {
  readonly journal: Journal;
  /** The name this node writes under; new when there was none, or when records were lost. */
  readonly replica: ReplicaId;
  /** Tells the whole state again when the journal asks for it. */
  compactIfWanted(): void;
  /** Facts of this node: on disk when it resolves. */
  keep(facts: readonly CellFact[]): Promise<void>;
  /** Facts of others: they have them, too. */
  keepLazily(facts: readonly CellFact[]): void;
  keepContext(known: Known): void;
  /** These replicas have retired, at this time of the wall clock. */
  keepRetired(replicas: readonly ReplicaId[], since: number): void;
}

/** Opens the journal and fills the state. */
export async function openStateStorage(
  open: OpenJournal,
  state: ReplicaState,
  newReplica: () => ReplicaId,
): Promise<StateStorage> {
  let replica: ReplicaId | undefined;
  const contexts: Known[] = [];
  const retired: (readonly [ReplicaId, number])[] = [];
  const journal = await open('state', (bytes) => {
    const record = decodeStateRecord(bytes);
    if (record?.kind === 'replica') replica = record.replica;
    else if (record?.kind === 'context') contexts.push(record.known);
    else if (record?.kind === 'retired') retired.push(...record.since);
    else for (const fact of record?.facts ?? []) state.join(fact);
  });
  const { hasLosses } = journal.findings;
  // A context vouches for records that are gone: without it, the mesh fills the holes.
  if (!hasLosses) for (const known of contexts) state.joinContext(known);
  for (const [name, since] of retired) state.restoreRetired(name, since);
  const isNew = replica === undefined || hasLosses;
  const own = isNew || replica === undefined ? newReplica() : replica;
  if (isNew) await journal.append(encodeStateRecord({ kind: 'replica', replica: own }), 'now');
  let isCompacting = false;

  function compactIfWanted(): void {
    if (isCompacting || !journal.wantsCompaction()) return;
    isCompacting = true;
    void journal.compact(snapshot(state, own)).finally(() => {
      isCompacting = false;
    });
  }
  compactIfWanted();

  return {
    journal,
    replica: own,
    compactIfWanted,
    async keep(facts) {
      await Promise.all([...records(facts)].map((record) => journal.append(record, 'now')));
      compactIfWanted();
    },
    keepLazily(facts) {
      for (const record of records(facts)) void journal.append(record, 'lazy');
      compactIfWanted();
    },
    keepRetired(replicas, since) {
      const pairs = replicas.map((name) => [name, since] as const);
      void journal.append(encodeStateRecord({ kind: 'retired', since: pairs }), 'lazy');
    },
    keepContext(known) {
      for (const part of slices(known)) {
        void journal.append(encodeStateRecord({ kind: 'context', known: part }), 'lazy');
      }
    },
  };
}

/** The whole state as records. The context is taken first and told last: it never vouches for what follows it. */
function* snapshot(state: ReplicaState, replica: ReplicaId): Generator<Uint8Array> {
  const known = state.context.entries().map(([name, spans]) => [name, spans.slice()] as const);
  yield encodeStateRecord({ kind: 'replica', replica });
  yield* records(state.facts());
  for (const part of slices(known)) yield encodeStateRecord({ kind: 'context', known: part });
  const retired = state.retired();
  for (let at = 0; at < retired.length; at += retiredInRecord) {
    const since = retired.slice(at, at + retiredInRecord);
    yield encodeStateRecord({ kind: 'retired', since });
  }
}

/** Facts in as many records as they need. Deaths come behind the writes that take their place. */
function* records(facts: Iterable<CellFact>): Generator<Uint8Array> {
  let basket = new FactBasket(recordBytes);
  for (const fact of facts) {
    let rest = fact;
    while (!basket.put(rest)) {
      const part = basket.facts.at(-1);
      // A peer may hold larger values to be right than this version does.
      const isTooLarge = part === undefined;
      yield encodeStateRecord({ kind: 'facts', facts: isTooLarge ? [rest] : basket.facts });
      basket = new FactBasket(recordBytes);
      if (isTooLarge) break;
      if (part.address === rest.address) rest = without(rest, part);
    }
  }
  if (!basket.isEmpty) yield encodeStateRecord({ kind: 'facts', facts: basket.facts });
}

function without({ address, live, dead }: CellFact, part: CellFact): CellFact {
  return {
    address,
    live: live.filter((entry) => !part.live.includes(entry)),
    dead: dead.filter((dot) => !part.dead.includes(dot)),
  };
}

/** A large context in records of their own. */
function* slices(known: Known): Generator<Known> {
  for (const [replica, spans] of known) {
    for (let at = 0; at < spans.length; at += 2 * contextIntervalsMax) {
      yield [[replica, spans.slice(at, at + 2 * contextIntervalsMax)]];
    }
  }
}
