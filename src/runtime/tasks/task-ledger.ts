/**
 * Where it is decided who a task belongs to: in the group's table, by compare-and-set, while there is a majority; without
 * one by the auctioneer alone, for tasks whose effect allows that. Tasks with neither fence nor idempotence wait.
 */

import type { Millis } from '../../kernel/core.ts';
import { MycelError } from '../../kernel/errors.ts';
import { isOver } from '../../protocol/agreement/ledger.ts';
import { decodeCbor, encodeCbor } from '../../wire/cbor.ts';
import type { Consensus } from '../consensus/part.ts';
import type { PartWorld } from '../parts.ts';
import { readRecord } from './task-types.ts';
import type { TaskRecord } from './task-types.ts';

/** Keys of tasks in the group's table. */
const keyPrefix = '$task/';

/** How long one decision is waited for, in ms. */
const decisionMs: Millis = 2_000;

/** After a decision did not come, fenced tasks do without for so long, in ms. */
const doubtMs: Millis = 5_000;

/** A task that is over stays in the group's table for so long, in ms: late claims meet it there. */
const overKeptMs: Millis = 60_000;

/** A record and the number of its last write in the group's table; 0: it is not there. */
export interface Entered {
  readonly record: TaskRecord;
  readonly version: number;
}

/** The ledger. */
export interface TaskLedger {
  /**
   * Writes a record over the one of this version. Resolves with what is entered now, or with the record of somebody else
   * that is there instead: then this node has nothing more to say about the task.
   * @param mayWait for tasks that need a majority: keep trying until there is one; else throws MYCEL_NO_QUORUM
   */
  enter(
    record: TaskRecord,
    version: number,
    mayWait: () => boolean,
  ): Promise<{ readonly entered: Entered } | { readonly lost: Entered }>;
  /** What the group has on record; undefined: nothing, or there is no group or no majority. */
  look(task: string): Promise<Entered | undefined>;
  /** Everything the group has on record, when this node knows of a group. */
  all(): Promise<readonly Entered[]>;
  stop(): void;
}

/** Builds it. */
export function createTaskLedger(world: PartWorld, consensus: Consensus): TaskLedger {
  const { clock, log } = world;
  let doubtUntil: Millis = -Infinity;
  let isStopped = false;

  async function write(record: TaskRecord, version: number): Promise<Entered | 'conflict'> {
    const client = await consensus.client();
    // Bids are for people; the table keeps what is decided.
    const value = encodeCbor({ ...record, bids: [] });
    const outcome = await client.submit(
      {
        op: 'cas',
        key: keyPrefix + record.ledger.spec.id,
        expect: { type: 'version', version },
        value,
      },
      { deadlineMs: decisionMs },
    );
    return outcome.type === 'done' ? { record, version: outcome.index } : 'conflict';
  }

  async function read(task: string): Promise<Entered | undefined> {
    const client = await consensus.client();
    const found = await client.query(
      { type: 'key', key: keyPrefix + task },
      { deadlineMs: decisionMs },
    );
    const record = found && readRecord(decodeCbor(Uint8Array.from(found.value)));
    return record && found && { record, version: found.version };
  }

  /** Takes what is over off the table after a while. */
  function forget({ record, version }: Entered): void {
    if (!isOver(record.ledger.state) || version === 0) return;
    clock.alarm(clock.now() + overKeptMs, () => {
      if (isStopped) return;
      const { id } = record.ledger.spec;
      const expect = { type: 'version', version } as const;
      consensus
        .client()
        .then((client) =>
          client.submit({ op: 'cas', key: keyPrefix + id, expect, value: undefined }),
        )
        .catch((error: unknown) => log.debug({ error, task: id }, 'a task stays on the table'));
    });
  }

  return {
    async enter(record, version, mayWait) {
      const { effect, id } = record.ledger.spec;
      if (effect === 'idempotent') return { entered: { record, version } };
      for (;;) {
        const isNeeded = effect === 'none';
        if (!isNeeded && clock.now() < doubtUntil) break;
        try {
          const decided = { ...record, isDecided: true };
          const entered = await write(decided, version);
          if (entered !== 'conflict') {
            forget(entered);
            return { entered };
          }
          const there = await read(id);
          const isOwn =
            there?.record.auctioneer === record.auctioneer &&
            there.record.term === record.term &&
            there.record.count === record.count;
          if (there === undefined) break;
          // An own write whose answer was lost.
          return isOwn ? { entered: there } : { lost: there };
        } catch (error) {
          if (!MycelError.is(error) || isStopped) throw error;
          if (!isNeeded) {
            doubtUntil = clock.now() + doubtMs;
            log.info({ task: id, code: error.code }, 'a task goes on without a majority behind it');
            break;
          }
          if (!mayWait()) throw error;
          await new Promise<void>((resolve) => void clock.alarm(clock.now() + 500, resolve));
        }
      }
      return { entered: { record: { ...record, isDecided: false }, version } };
    },
    async look(task) {
      try {
        return await read(task);
      } catch (error) {
        log.debug({ error, task }, 'the table of tasks cannot be read');
        return undefined;
      }
    },
    async all() {
      if (consensus.group() === undefined) return [];
      try {
        const client = await consensus.client();
        const keys = await client.query({ type: 'keys', prefix: keyPrefix });
        const found = await Promise.all(keys.map((key) => read(key.slice(keyPrefix.length))));
        return found.filter((one) => one !== undefined);
      } catch (error) {
        log.debug({ error }, 'the table of tasks cannot be listed');
        return [];
      }
    },
    stop() {
      isStopped = true;
    },
  };
}
