/** What this node knows of tasks: records of its own auctions and copies of others', merged, and spread to where they are kept. */

import type { Millis } from '../../kernel/core.ts';
import { rendezvousOrder } from '../../kernel/hash.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { isOver } from '../../protocol/agreement/ledger.ts';
import { decodeCbor, encodeCbor } from '../../wire/cbor.ts';
import type { PartWorld } from '../parts.ts';
import { laterTask, readRecord, taskRecordsMax } from './task-types.ts';
import type { TaskRecord } from './task-types.ts';

/** Other nodes that keep a copy of a record; whoever submitted the task is one of them. */
export const taskCopies = 8;

/** One copying, in ms, and the pause after one that failed. */
const copyMs: Millis = 2_000;
const retryMs: Millis = 1_000;

/** Records of one copying take no more than this, in bytes. */
const batchBytesMax: number = 48 * 1024;

/** The shelf. */
export interface TaskShelf {
  get(task: string): TaskRecord | undefined;
  /** Takes in a record; true when it is news. `isOwn`: it is spread from here. */
  put(record: TaskRecord, isOwn: boolean): boolean;
  all(): readonly TaskRecord[];
  /** Hears of every record that changed. */
  onChange(listener: (record: TaskRecord) => void): () => void;
  start(): void;
  stop(): void;
}

/** Builds an empty one. */
export function createTaskShelf(world: PartWorld): TaskShelf {
  const { calls, clock, log, mesh, metrics } = world;
  const records = new Map<string, TaskRecord>();
  const listeners = new Set<(record: TaskRecord) => void>();
  /** What each node is still to be given. */
  const owed = new Map<NodeId, Set<string>>();
  const busy = new Set<NodeId>();
  let ends: (() => void)[] = [];
  let isStopped = true;

  function makeRoom(): void {
    if (records.size <= taskRecordsMax) return;
    for (const [id, { ledger }] of records) {
      if (!isOver(ledger.state)) continue;
      records.delete(id);
      return;
    }
    const [oldest] = records.keys();
    if (oldest !== undefined) records.delete(oldest);
    metrics.drop('tasks', 'records');
  }

  function put(record: TaskRecord, isOwn: boolean): boolean {
    const { id } = record.ledger.spec;
    const known = records.get(id);
    const later = known === undefined ? record : laterTask(record, known);
    if (later === known) return false;
    records.delete(id);
    records.set(id, later);
    makeRoom();
    if (isOwn) spread(later);
    for (const listener of listeners) listener(later);
    return true;
  }

  function spread(record: TaskRecord): void {
    const { id, body } = record.ledger.spec;
    const peers = mesh.peers();
    const homes = rendezvousOrder(`task ${id}`, peers).slice(0, taskCopies);
    if (peers.includes(body.by) && !homes.includes(body.by)) homes.push(body.by);
    for (const node of homes) {
      const due = owed.get(node) ?? new Set();
      owed.set(node, due.add(id));
      if (!busy.has(node)) void give(node);
    }
  }

  /** One batch after the other: what changes while one is under way goes with the next. */
  async function give(node: NodeId): Promise<void> {
    busy.add(node);
    try {
      for (let due = owed.get(node); due !== undefined && due.size > 0; due = owed.get(node)) {
        if (isStopped || !mesh.peers().includes(node)) return void owed.delete(node);
        const batch: Uint8Array[] = [];
        const ids: string[] = [];
        let bytes = 0;
        for (const id of due) {
          const record = records.get(id);
          const packed = record && encodeCbor(record);
          if (packed !== undefined && bytes > 0 && bytes + packed.byteLength > batchBytesMax) break;
          due.delete(id);
          if (packed === undefined) continue;
          ids.push(id);
          batch.push(packed);
          bytes += packed.byteLength;
        }
        if (batch.length === 0) continue;
        try {
          await calls.call(node, 'tasks/keep', encodeCbor(batch), { deadlineMs: copyMs });
        } catch (error) {
          log.debug({ error, node }, 'copies of tasks were not taken');
          for (const id of ids) due.add(id);
          await new Promise<void>((resolve) => void clock.alarm(clock.now() + retryMs, resolve));
        }
      }
    } finally {
      busy.delete(node);
    }
  }

  return {
    get: (task) => records.get(task),
    put,
    all: () => [...records.values()],
    onChange(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    start() {
      isStopped = false;
      ends = [
        calls.serve('tasks/keep', async (body) => {
          const batch = decodeCbor(body);
          for (const packed of Array.isArray(batch) ? batch : []) {
            const record =
              packed instanceof Uint8Array
                ? readRecord(decodeCbor(Uint8Array.from(packed)))
                : undefined;
            if (record === undefined) metrics.drop('tasks', 'malformed');
            else put(record, false);
          }
          return new Uint8Array(0);
        }),
      ];
    },
    stop() {
      isStopped = true;
      for (const end of ends.splice(0)) end();
      owed.clear();
      listeners.clear();
    },
  };
}
