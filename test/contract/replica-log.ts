/** What the storage of a replica promises; run on the disk and on its memory twin. */

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { LogRecord, ReplicaLog, ReplicaLogs } from '../../src/ports/replica-log.ts';

/** A place where replicas can be opened again. */
export interface ReplicaPlace {
  readonly logs: ReplicaLogs;
  dispose(): Promise<void>;
}

/** A record with a payload that tells its index and term. */
export function record(index: number, term = 1, size = 3): LogRecord {
  return { index, term, type: 1, payload: new Uint8Array(size).fill(index * 16 + term) };
}

/** Runs the contract. */
export function replicaLogContract(kind: string, makePlace: () => Promise<ReplicaPlace>): void {
  describe(`a replica on ${kind}`, () => {
    let place: ReplicaPlace;
    let log: ReplicaLog;

    const open = async (): Promise<ReplicaLog> => {
      const opening = await place.logs.open('one');
      if (opening.type !== 'whole') throw new Error(opening.reason);
      return opening.log;
    };
    const again = async (): Promise<ReplicaLog> => {
      await log.close();
      log = await open();
      return log;
    };
    const indices = (): string[] =>
      log.restored.records.map(({ index, term }) => `${index}/${term}`);

    beforeEach(async () => {
      place = await makePlace();
      log = await open();
    });
    afterEach(async () => {
      await log.close();
      await place.dispose();
    });

    test('holds nothing at first', () => {
      expect(log.restored).toEqual({
        hard: { term: 0, vote: 0 },
        snapshot: undefined,
        records: [],
      });
    });

    test('gives back term, vote and records after it was opened again', async () => {
      await log.write({ hard: { term: 3, vote: 2 }, records: [record(1, 3), record(2, 3, 5_000)] });
      await log.write({ records: [record(3, 3, 0)] });
      await log.write({ hard: { term: 4, vote: 0 }, records: [] });
      await again();
      expect(log.restored.hard).toEqual({ term: 4, vote: 0 });
      expect(log.restored.records).toEqual([record(1, 3), record(2, 3, 5_000), record(3, 3, 0)]);
    });

    test('records replace what is at their place and after it', async () => {
      await log.write({ records: [record(1), record(2), record(3), record(4)] });
      await log.write({ records: [record(2, 2)] });
      await log.write({ records: [record(3, 2)] });
      await again();
      expect(indices()).toEqual(['1/1', '2/2', '3/2']);
    });

    test('does in order what is asked for at once', async () => {
      const writes = [1, 2, 3, 4, 5, 6].map((index) =>
        log.write({ hard: { term: index, vote: 1 }, records: [record(index, index)] }),
      );
      await Promise.all(writes);
      await again();
      expect(indices()).toEqual(['1/1', '2/2', '3/3', '4/4', '5/5', '6/6']);
      expect(log.restored.hard.term).toBe(6);
    });

    test('a snapshot of its own lets the records before it go, but for some', async () => {
      await log.write({ records: [1, 2, 3, 4, 5].map((index) => record(index)) });
      const bytes = new Uint8Array(70_000).fill(9);
      await log.write({ snapshot: { bytes, keepFrom: 4, isForeign: false }, records: [record(6)] });
      await log.write({ records: [record(7)] });
      await again();
      expect(log.restored.snapshot).toEqual(bytes);
      expect(indices()).toEqual(['4/1', '5/1', '6/1', '7/1']);
    });

    test("a leader's snapshot replaces every record", async () => {
      await log.write({ records: [1, 2, 3].map((index) => record(index)) });
      const bytes = new Uint8Array([1]);
      await log.write({ snapshot: { bytes, keepFrom: 11, isForeign: true }, records: [] });
      await log.write({ records: [record(11, 2)] });
      await again();
      expect(indices()).toEqual(['11/2']);
    });

    test('a name that was set aside is free again', async () => {
      await log.write({ hard: { term: 9, vote: 1 }, records: [record(1)] });
      await log.close();
      await place.logs.setAside('one');
      await place.logs.setAside('one');
      log = await open();
      expect(log.restored.records).toEqual([]);
      expect(log.restored.hard).toEqual({ term: 0, vote: 0 });
    });

    test('takes nothing any more once it is closed', async () => {
      await log.close();
      await expect(log.write({ records: [record(1)] })).rejects.toMatchObject({
        code: 'MYCEL_STORE_FAILED',
      });
    });
  });
}
