import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeCbor, encodeCbor } from '../../../src/wire/cbor.ts';
import { laterTask, readRecord } from '../../../src/runtime/tasks/task-types.ts';
import type { TaskRecord } from '../../../src/runtime/tasks/task-types.ts';
import { specOf } from '../../../src/runtime/tasks/task-request.ts';
import { simNodeId } from '../../sim/routing-mesh.ts';

const spec = specOf({ kind: 'k', id: 't' }, simNodeId(0), 1, () => 't');

const records: fc.Arbitrary<TaskRecord> = fc.record({
  ledger: fc.record({
    spec: fc.constant(spec),
    state: fc.constantFrom('open', 'awarded', 'running', 'done', 'failed', 'cancelled'),
    epoch: fc.nat(3),
    winner: fc.constantFrom(simNodeId(1), simNodeId(2), undefined),
    attempts: fc.nat(3),
    result: fc.constant(undefined),
  }),
  auctioneer: fc.constantFrom(simNodeId(1), simNodeId(2)),
  term: fc.nat(2),
  bids: fc.array(
    fc.record({
      bidder: fc.constantFrom(simNodeId(1), simNodeId(2)),
      cost: fc.nat(3),
      parts: fc.constant({}),
    }),
    { maxLength: 2 },
  ),
  lateBids: fc.constant(0),
  price: fc.constant(undefined),
  reason: fc.constant(''),
  count: fc.nat(3),
  at: fc.constant(1),
  isDecided: fc.boolean(),
});

/** What of a record decides which one holds. */
const decisive = ({ ledger, auctioneer, term, count, bids }: TaskRecord): unknown[] => [
  ledger.state,
  ledger.epoch,
  ledger.winner,
  auctioneer,
  term,
  count,
  bids.length,
];

test('copies merge to the same on every node: in any order, however often', () => {
  fc.assert(
    fc.property(records, records, records, (a, b, c) => {
      expect(decisive(laterTask(a, b))).toEqual(decisive(laterTask(b, a)));
      expect(decisive(laterTask(laterTask(a, b), c))).toEqual(
        decisive(laterTask(a, laterTask(b, c))),
      );
      expect(laterTask(a, a)).toBe(a);
    }),
    { numRuns: 2_000 },
  );
});

test("the copy on the group's table, which has no bids, does not hide those that are known", () => {
  fc.assert(
    fc.property(records, (record) => {
      const onTable = { ...record, bids: [] };
      expect(laterTask(onTable, record).bids).toEqual(record.bids);
      expect(laterTask(record, onTable).bids).toEqual(record.bids);
    }),
  );
});

test('what is over stays over, and done beats every other end', () => {
  fc.assert(
    fc.property(records, records, (a, b) => {
      const { state } = laterTask(a, b).ledger;
      const states = [a.ledger.state, b.ledger.state];
      if (states.includes('done')) expect(state).toBe('done');
      else if (states.some((one) => one === 'failed' || one === 'cancelled'))
        expect(['failed', 'cancelled']).toContain(state);
    }),
  );
});

test('a record survives its way, and what is none is refused', () => {
  fc.assert(
    fc.property(records, (record) => {
      expect(readRecord(decodeCbor(encodeCbor(record)))).toEqual(record);
    }),
  );
  expect(readRecord({})).toBeUndefined();
  expect(readRecord(undefined)).toBeUndefined();
  fc.assert(fc.property(fc.anything(), (value) => void readRecord(value)));
});
