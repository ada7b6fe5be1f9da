/**
 * A replica's files: `log` (records, appended and synced in groups), `slots` (term and vote, two sectors in turn) and
 * `snapshot`. Whatever was promised is found again after a power cut, or the replica is known to have lost it.
 */

import { constants, writeSync } from 'node:fs';
import { open, readFile, rename, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { MycelError } from '../../kernel/errors.ts';
import type {
  ReplicaLog,
  ReplicaLogs,
  ReplicaOpening,
  ReplicaState,
  ReplicaWrite,
} from '../../ports/replica-log.ts';
import { concatBytes, plainBytes } from '../../wire/bytes.ts';
import {
  encodeBatch,
  encodeSlot,
  isCutShort,
  readSlots,
  scanLog,
  slotBytes,
  snapshotSum,
} from '../../wire/replica-file.ts';
import type { Slot } from '../../wire/replica-file.ts';
import { DirectWrites } from './direct-writes.ts';
import { decodeRecord, encodeRecord } from './record.ts';
import { asStoreError, makeDirectory, syncDirectory } from './directory.ts';

/** Replicas that were set aside and are kept for people to look at, per name. */
const setAsideMax = 2;

/** What a replica may be called: it becomes a directory. */
const nameShape = /^[a-z0-9][a-z0-9-]{0,63}$/;

/**
 * Bytes by which a log is made longer ahead of what is written to it: a synced write that makes a file longer takes the
 * file system's journal as well (decision 0026).
 */
const roomBytes: number = 128 * 1024;

/** A log is made longer when so much of that is left. */
const roomBytesMin: number = 32 * 1024;

/** Largest batch that the loop may write itself, in bytes: a larger one comes of many who ask at once. */
const directBytesMax: number = 2 * 1024;

/**
 * A slot says that a write to the log is durable when it is at least so old, in ms: by then no cache holds it back, also
 * where a disk calls durable what is not.
 */
const markMs = 5_000;

/** Syncs whose duration is remembered. */
const syncsKept = 100;

/** Replicas under one directory, which is made when the first one is opened. */
export function createDiskReplicaLogs(directory: string): ReplicaLogs {
  return {
    async open(name) {
      const root = pathOf(directory, name);
      try {
        return await openReplica(root);
      } catch (error) {
        throw asStoreError(error, root);
      }
    },
    async setAside(name) {
      const root = pathOf(directory, name);
      try {
        for (let slot = setAsideMax; slot >= 1; slot -= 1) {
          const from = slot === 1 ? root : `${root}.lost-${slot - 1}`;
          await rm(`${root}.lost-${slot}`, { recursive: true, force: true });
          await rename(from, `${root}.lost-${slot}`).catch(ignoreMissing);
        }
        await syncDirectory(directory).catch(ignoreMissing);
      } catch (error) {
        throw asStoreError(error, root);
      }
    },
  };
}

function pathOf(directory: string, name: string): string {
  if (!nameShape.test(name)) throw new RangeError(`'${name}' is no name for a replica`);
  return join(directory, name);
}

async function openReplica(root: string): Promise<ReplicaOpening> {
  await makeDirectory(root);
  await rm(join(root, 'log.tmp'), { force: true });
  await rm(join(root, 'snapshot.tmp'), { force: true });
  const rotten = (reason: string): ReplicaOpening => ({ type: 'rotten', reason });
  const snapshotFile = await readMaybe(join(root, 'snapshot'));
  const verdict = snapshotFile === undefined ? undefined : decodeRecord(snapshotFile);
  if (verdict?.type === 'newer') {
    throw new MycelError('MYCEL_STORE_NEWER', { name: 'snapshot', version: verdict.version });
  }
  if (verdict?.type === 'damaged') return rotten(`its snapshot: ${verdict.reason}`);
  const slotsFile = (await readMaybe(join(root, 'slots'))) ?? new Uint8Array();
  const kept = await readMaybe(join(root, 'log'));
  const logFile = kept ?? new Uint8Array();
  const slot = readSlots(slotsFile);
  if (slot === 'rotten') return rotten('its term and vote are damaged');
  const scan = scanLog(logFile);
  if (scan.verdict === 'rotten') return rotten(`its log is damaged at byte ${scan.end}`);
  if (slot === 'empty' && (scan.records.length > 0 || verdict !== undefined)) {
    return rotten('its term and vote are missing');
  }
  const sum = snapshotSum(snapshotFile);
  if (slot !== 'empty' && isCutShort(scan.end, slot, sum)) {
    return rotten(`its log has lost what it held, from byte ${scan.end} on`);
  }
  // The log is made before the first slot is written.
  if (slot !== 'empty' && kept === undefined) return rotten('its log is missing');
  const log = await openSynced(join(root, 'log'));
  const slots = await openSynced(join(root, 'slots'));
  // What lies behind the end must not come back to life when new records happen to end where it begins.
  await log.truncate(scan.end);
  for (const { at, bytes } of scan.repairs) await writeAll(log, bytes, at);
  // Zeros are no records: to whoever reads the log it ends before them.
  await writeAll(log, new Uint8Array(roomBytes), scan.end);
  await syncDirectory(root);
  const last = slot === 'empty' ? { seq: 1, term: 0, vote: 0 } : slot;
  if (slot === 'empty') {
    // From now on a missing slot is a lost one.
    await writeAll(slots, encodeSlot(last), (last.seq % 2) * slotBytes);
  }
  const restored: ReplicaState = {
    hard: { term: last.term, vote: last.vote },
    snapshot: verdict?.payload,
    records: scan.records,
  };
  const mended = scan.repairs.filter(({ isRot }) => isRot).length;
  const replica = new DiskReplicaLog(root, { log, slots, sum }, scan.end, last, restored);
  return { type: 'whole', log: replica, isNew: slot === 'empty', mended };
}

interface Piece {
  readonly file: FileHandle;
  readonly bytes: Uint8Array;
  readonly at: number;
}

interface Waiting {
  readonly write: ReplicaWrite;
  /** How far this log is durable. */
  readonly mark?: { readonly end: number; readonly of: FileHandle };
  resolve(): void;
  reject(error: unknown): void;
}

class DiskReplicaLog implements ReplicaLog {
  readonly restored: ReplicaState;
  readonly #root: string;
  #log: FileHandle;
  readonly #slots: FileHandle;
  /** Of the snapshot file. */
  #sum: number;
  #end: number;
  /** How far a slot says that the log is durable; -1 when none does. */
  #marked: number;
  #marking: NodeJS.Timeout | undefined;
  /** How far the file reaches. */
  #room: number;
  #slot: Slot;
  #queue: Waiting[] = [];
  #running: Promise<void> | undefined;
  #failure: Error | undefined;
  #isClosed = false;
  #syncs: number[] = [];
  readonly #direct = new DirectWrites();

  constructor(
    root: string,
    files: { readonly log: FileHandle; readonly slots: FileHandle; readonly sum: number },
    end: number,
    slot: Slot,
    restored: ReplicaState,
  ) {
    this.#root = root;
    this.#log = files.log;
    this.#slots = files.slots;
    this.#sum = files.sum;
    this.#end = end;
    const isMarked = end === 0 || (slot.mark?.snapshot === files.sum && slot.mark.end === end);
    this.#marked = isMarked ? end : -1;
    this.#room = end + roomBytes;
    this.#slot = slot;
    this.restored = restored;
    this.#markSoon();
  }

  write(write: ReplicaWrite): Promise<void> {
    if (this.#isClosed) {
      return Promise.reject(new MycelError('MYCEL_STORE_FAILED', { reason: 'It is closed.' }));
    }
    return new Promise((resolve, reject) => {
      this.#queue.push({ write, resolve, reject });
      this.#running ??= this.#run();
    });
  }

  syncMs(): { readonly p50: number; readonly p99: number } {
    const sorted = this.#syncs.toSorted((left, right) => left - right);
    const at = (share: number): number => sorted[Math.floor((sorted.length - 1) * share)] ?? 0;
    return { p50: at(0.5), p99: at(0.99) };
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#marking);
    await this.#running;
    if (this.#failure === undefined && this.#marked !== this.#end) {
      await this.#tell({ end: this.#end, of: this.#log });
    }
    await this.#log.close();
    await this.#slots.close();
  }

  /** What is durable now is told by a slot some seconds later. */
  #markSoon(): void {
    if (this.#marked === this.#end || this.#marking !== undefined || this.#isClosed) return;
    const mark = { end: this.#end, of: this.#log };
    this.#marking = setTimeout(() => {
      this.#marking = undefined;
      void this.#tell(mark);
    }, markMs).unref();
  }

  /** A failure shows with the next write. */
  #tell(mark: NonNullable<Waiting['mark']>): Promise<void> {
    return new Promise((resolve) => {
      this.#queue.push({ write: { records: [] }, mark, resolve, reject: () => resolve() });
      this.#running ??= this.#run();
    });
  }

  /** Takes everything that waits, writes and syncs it as one, and goes on while there is more. */
  async #run(): Promise<void> {
    // What is asked for in the same turn of the loop belongs together.
    await Promise.resolve();
    while (this.#queue.length > 0) {
      const snapshotAt = this.#queue.findIndex(({ write }) => write.snapshot !== undefined);
      const count = snapshotAt < 0 ? this.#queue.length : Math.max(1, snapshotAt);
      const group = this.#queue.splice(0, count);
      try {
        // A failed sync says that pages are lost, and forgets it: the next one would succeed (fsyncgate). Never again, then.
        if (this.#failure !== undefined) throw this.#failure;
        const snapshot = group[0]?.write.snapshot;
        const writes = group.map(({ write }) => write);
        const mark = group.findLast((one) => one.mark !== undefined)?.mark;
        if (snapshot !== undefined) {
          await this.#append(writes.map(({ hard }) => ({ hard, records: [] })));
          await this.#compact(snapshot);
        }
        const isHardDone = snapshot !== undefined;
        await this.#append(isHardDone ? writes.map(({ records }) => ({ records })) : writes, mark);
        for (const { resolve } of group) resolve();
        await this.#makeRoom();
        this.#markSoon();
      } catch (error) {
        this.#failure ??= asStoreError(error, this.#root) as Error;
        for (const { reject } of group) reject(this.#failure);
      }
    }
    this.#running = undefined;
  }

  async #append(writes: readonly ReplicaWrite[], marked?: Waiting['mark']): Promise<void> {
    const records = writes.flatMap((write) => write.records);
    const hard = writes.findLast((write) => write.hard !== undefined)?.hard;
    const pieces: Piece[] = [];
    // Of a log that a snapshot has replaced meanwhile there is nothing to tell.
    const markEnd = marked?.of === this.#log ? marked.end : undefined;
    if (records.length > 0) {
      const bytes = encodeBatch(records, this.#end);
      pieces.push({ file: this.#log, bytes, at: this.#end });
      this.#end += bytes.length;
    }
    if (hard !== undefined || markEnd !== undefined) {
      const { seq, term, vote } = this.#slot;
      const mark = markEnd === undefined ? this.#slot.mark : { end: markEnd, snapshot: this.#sum };
      this.#slot = { seq: seq + 1, term, vote, ...hard, mark };
      const at = (this.#slot.seq % 2) * slotBytes;
      pieces.push({ file: this.#slots, bytes: encodeSlot(this.#slot), at });
    }
    if (pieces.length === 0) return;
    const began = performance.now();
    const isSmall = pieces.every(({ bytes }) => bytes.length <= directBytesMax);
    const isWaited = isSmall && this.#direct.mayWait(began);
    if (isWaited) for (const { file, bytes, at } of pieces) writeNow(file, bytes, at);
    else await Promise.all(pieces.map(({ file, bytes, at }) => writeAll(file, bytes, at)));
    if (markEnd !== undefined) this.#marked = markEnd;
    const tookMs = performance.now() - began;
    if (isSmall) this.#direct.took(tookMs, isWaited);
    this.#syncs.push(tookMs);
    if (this.#syncs.length > syncsKept) this.#syncs.shift();
  }

  async #makeRoom(): Promise<void> {
    if (this.#room - this.#end >= roomBytesMin) return;
    const from = Math.max(this.#room, this.#end);
    await writeAll(this.#log, new Uint8Array(roomBytes), from);
    this.#room = from + roomBytes;
  }

  /** The snapshot is durable before anything that it replaces goes. */
  async #compact(snapshot: NonNullable<ReplicaWrite['snapshot']>): Promise<void> {
    const snapshotFile = encodeRecord(snapshot.bytes);
    await this.#replace('snapshot', snapshotFile);
    // From here on no mark speaks of this log; not even if it is the same snapshot once more.
    const sum = snapshotSum(snapshotFile);
    if (sum === this.#sum) {
      this.#slot = { ...this.#slot, seq: this.#slot.seq + 1, mark: undefined };
      await writeAll(this.#slots, encodeSlot(this.#slot), (this.#slot.seq % 2) * slotBytes);
    }
    this.#sum = sum;
    this.#marked = -1;
    clearTimeout(this.#marking);
    this.#marking = undefined;
    const file = snapshot.isForeign
      ? new Uint8Array()
      : plainBytes(await readFile(join(this.#root, 'log')));
    const { records, end: fileEnd, verdict } = scanLog(file);
    if (!snapshot.isForeign && (verdict === 'rotten' || fileEnd !== this.#end)) {
      // To go on with what can be read would be to forget the rest.
      const reason = `${this.#root}/log does not hold what was written to it.`;
      throw new MycelError('MYCEL_STORE_FAILED', { directory: this.#root, reason });
    }
    const kept = records.filter(({ index }) => index >= snapshot.keepFrom);
    const parts: Uint8Array[] = [];
    let end = 0;
    // Each is its own batch: all of them are durable, so damage to any of them is damage.
    for (const record of kept) {
      const part = encodeBatch([record], end);
      parts.push(part);
      end += part.length;
    }
    await this.#replace('log', concatBytes(...parts, new Uint8Array(roomBytes)));
    const old = this.#log;
    this.#log = await openSynced(join(this.#root, 'log'));
    this.#end = end;
    this.#room = end + roomBytes;
    await old.close();
  }

  async #replace(file: string, bytes: Uint8Array): Promise<void> {
    const draft = await open(join(this.#root, `${file}.tmp`), 'w', 0o600);
    try {
      await draft.writeFile(bytes);
      await draft.sync();
    } finally {
      await draft.close();
    }
    await rename(join(this.#root, `${file}.tmp`), join(this.#root, file));
    await syncDirectory(this.#root);
  }
}

/**
 * Opens a file, which is made when it is missing, so that a write is done when it is on disk: one trip to a thread of
 * the pool where writing and syncing are two.
 */
function openSynced(path: string): Promise<FileHandle> {
  return open(path, constants.O_RDWR | constants.O_CREAT | constants.O_DSYNC, 0o600);
}

async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}

function writeNow(file: FileHandle, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.length;) {
    done += writeSync(file.fd, bytes, done, bytes.length - done, position + done);
  }
}

async function readMaybe(path: string): Promise<Uint8Array | undefined> {
  try {
    return plainBytes(await readFile(path));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function ignoreMissing(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
}
