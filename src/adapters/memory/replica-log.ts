/** The memory twin of the replicas' files: it forgets nothing while it lives, and fails when it is told to. */

import { MycelError } from '../../kernel/errors.ts';
import type {
  LogRecord,
  ReplicaLog,
  ReplicaLogs,
  ReplicaState,
  ReplicaWrite,
} from '../../ports/replica-log.ts';

/** Files of replicas, in the hands of their owner. */
export interface MemoryReplicaLogs extends ReplicaLogs {
  /** Every write from now on fails, as on a broken disk. */
  breakDisk(): void;
  /** What is durable of a replica is damaged: it opens as rotten. */
  rot(name: string): void;
}

interface Files {
  state: ReplicaState;
  isRotten: boolean;
}

/** Builds them. */
export function createMemoryReplicaLogs(): MemoryReplicaLogs {
  const all = new Map<string, Files>();
  let isBroken = false;

  return {
    breakDisk: () => void (isBroken = true),
    rot(name) {
      const files = all.get(name);
      if (files !== undefined) files.isRotten = true;
    },
    async open(name) {
      const known = all.get(name);
      const files = known ?? {
        state: { hard: { term: 0, vote: 0 }, snapshot: undefined, records: [] },
        isRotten: false,
      };
      all.set(name, files);
      if (files.isRotten) return { type: 'rotten', reason: 'it was damaged on purpose' };
      const isNew = known === undefined;
      return { type: 'whole', log: openLog(files, () => isBroken), isNew, mended: 0 };
    },
    async setAside(name) {
      all.delete(name);
    },
  };
}

function openLog(files: Files, isBroken: () => boolean): ReplicaLog {
  let isClosed = false;
  let isFailed = false;
  return {
    restored: files.state,
    async write(write) {
      if (isBroken()) isFailed = true;
      if (isFailed || isClosed) throw new MycelError('MYCEL_STORE_FAILED', {});
      // Copied now, done later: as on a disk, the caller goes on meanwhile.
      const copy = { ...write, records: write.records.map(copyOf) };
      await Promise.resolve();
      files.state = applied(files.state, copy);
    },
    syncMs: () => ({ p50: 0, p99: 0 }),
    async close() {
      isClosed = true;
    },
  };
}

function copyOf(record: LogRecord): LogRecord {
  return { ...record, payload: Uint8Array.from(record.payload) };
}

function applied(state: ReplicaState, { hard, snapshot, records }: ReplicaWrite): ReplicaState {
  const isKept = ({ index }: LogRecord): boolean =>
    snapshot === undefined || (!snapshot.isForeign && index >= snapshot.keepFrom);
  const first = records[0]?.index ?? Infinity;
  return {
    hard: hard ?? state.hard,
    snapshot: snapshot === undefined ? state.snapshot : Uint8Array.from(snapshot.bytes),
    records: [
      ...state.records.filter((record) => isKept(record) && record.index < first),
      ...records,
    ],
  };
}
