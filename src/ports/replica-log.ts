/** What one replica of a group keeps so that it can keep its promises: term and vote, the log, and a snapshot. */

/** One entry as it is kept. */
export interface LogRecord {
  readonly index: number;
  readonly term: number;
  /** What the payload is, 0 to 255. */
  readonly type: number;
  readonly payload: Uint8Array;
}

/** What was kept, when it is opened. */
export interface ReplicaState {
  readonly hard: { readonly term: number; readonly vote: number };
  readonly snapshot: Uint8Array | undefined;
  /** In order of their indices, without a gap. Older than the snapshot at first, perhaps. */
  readonly records: readonly LogRecord[];
}

/** One write. All of it is durable when its promise resolves; writes are done in the order they were asked for. */
export interface ReplicaWrite {
  readonly hard?: { readonly term: number; readonly vote: number } | undefined;
  /** Durable before the records up to `keepFrom` go. `isForeign`: every record goes. */
  readonly snapshot?:
    | { readonly bytes: Uint8Array; readonly keepFrom: number; readonly isForeign: boolean }
    | undefined;
  /** They replace whatever is kept at the first one's index and after it. */
  readonly records: readonly LogRecord[];
}

/** The storage of one replica. */
export interface ReplicaLog {
  readonly restored: ReplicaState;
  /**
   * Everything that is asked for while a write runs becomes the next one: one sync for all of it.
   * @throws {MycelError} MYCEL_STORE_FULL, MYCEL_STORE_READ_ONLY or MYCEL_STORE_FAILED. After that every write fails:
   *   what the disk holds is not known any more, so this replica must not promise anything until it is opened again.
   */
  write(write: ReplicaWrite): Promise<void>;
  /** How long syncs take, in ms: the 50th and the 99th percentile of the latest hundred; 0 before the first. */
  syncMs(): { readonly p50: number; readonly p99: number };
  /** Waits for what is being written. Idempotent. */
  close(): Promise<void>;
}

/**
 * What opening gives. `isNew`: there was nothing, and now there are empty files. `mended`: stretches that had rotted and were written anew from their copies. `rotten`: something
 * that was durable is damaged beyond that; whatever this replica promised must not be relied on.
 */
export type ReplicaOpening =
  | {
      readonly type: 'whole';
      readonly log: ReplicaLog;
      readonly isNew: boolean;
      readonly mended: number;
    }
  | { readonly type: 'rotten'; readonly reason: string };

/** Where replicas keep themselves. */
export interface ReplicaLogs {
  /** Opens, and makes when it is missing. A torn end, which nobody was told of, is cut off. @throws {MycelError} MYCEL_STORE_FAILED… */
  open(name: string): Promise<ReplicaOpening>;
  /** Sets a replica's files aside (two generations are kept) so that its name is free. */
  setAside(name: string): Promise<void>;
}
