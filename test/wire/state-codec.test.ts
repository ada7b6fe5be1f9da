import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { StateMessage } from '../../src/protocol/replication/messages.ts';
import { decodeStateMessage, encodeStateMessage } from '../../src/wire/state-codec.ts';
import { decodeStateRecord, encodeStateRecord } from '../../src/wire/state-records.ts';
import { isPlain } from '../../src/wire/state-facts.ts';

const replica = fc.constantFrom('ann:1', 'bob:2', 'eve:3');
const count = fc.integer({ min: 1, max: 2 ** 45 });
const dots = fc
  .uniqueArray(fc.record({ replica, count }), {
    maxLength: 6,
    selector: (dot) => `${dot.replica} ${dot.count}`,
  })
  .map((all) =>
    [...new Set(all.map((dot) => dot.replica))].flatMap((name) =>
      all.filter((dot) => dot.replica === name).sort((left, right) => left.count - right.count),
    ),
  );
const address = fc.string({ minLength: 2, maxLength: 40 });
const value = fc
  .jsonValue({ maxDepth: 4 })
  .filter((one) => isPlain(one) && !JSON.stringify(one).includes('-0'))
  .map((one) => JSON.parse(JSON.stringify(one)) as never);
const entry = fc.record({
  replica,
  count,
  at: fc.record({ wallMs: fc.nat(), count: fc.nat(0xffff) }),
  value,
});
const facts = fc.array(fc.record({ address, live: fc.array(entry, { maxLength: 3 }), dead: dots }));
const print = fc.tuple(fc.nat(), fc.nat());
const listed = fc.array(fc.tuple(address, dots), { maxLength: 5 });
const messages: fc.Arbitrary<StateMessage> = fc.oneof(
  fc.record({ kind: fc.constant('push' as const), seq: count, facts }),
  fc.record({ kind: fc.constant('ack' as const), seq: count }),
  fc.record({ kind: fc.constant('root' as const), root: print, context: print, size: fc.nat() }),
  fc.record({
    kind: fc.constant('branches' as const),
    level: fc.nat(2),
    nodes: fc.array(fc.record({ index: fc.nat(255), children: fc.array(print) })),
  }),
  fc.record({
    kind: fc.constant('leaves' as const),
    leaves: fc.oneof(fc.constant('all' as const), fc.array(fc.nat(4095))),
    cells: listed,
  }),
  fc.record({ kind: fc.constant('repair' as const), facts, wants: listed, isPart: fc.boolean() }),
  fc.record({ kind: fc.constant('rest' as const), facts, isPart: fc.boolean() }),
  fc.record({
    kind: fc.constant('context' as const),
    root: print,
    known: fc.array(fc.tuple(replica, fc.constantFrom([1, 5], [1, 2, 9, 11]))),
    isReply: fc.boolean(),
  }),
  fc.constant({ kind: 'same' as const }),
  fc.record({ kind: fc.constant('refused' as const), aheadMs: fc.nat() }),
  fc.record({ kind: fc.constant('ask' as const), address, amount: count, replica }),
);

test('what is kept of retired replicas reads as it was written, and nothing else does', () => {
  const pair = fc.tuple(replica, fc.nat(2 ** 45));
  fc.assert(
    fc.property(fc.uniqueArray(pair, { selector: ([name]) => name }), (since) => {
      const bytes = encodeStateRecord({ kind: 'retired', since });
      expect(decodeStateRecord(bytes)).toEqual({ kind: 'retired', since });
      for (let at = 0; at < bytes.length; at += 1) {
        expect(decodeStateRecord(bytes.subarray(0, at))).toBeUndefined();
      }
    }),
  );
});

describe('messages between replicas', () => {
  test('arrive as they were sent', () => {
    fc.assert(
      fc.property(messages, (message) => {
        expect(decodeStateMessage(encodeStateMessage(message))).toEqual(message);
      }),
    );
  });

  test('that are cut, changed or made up are refused without a throw', () => {
    fc.assert(
      fc.property(messages, fc.nat(), fc.nat(255), (message, at, byte) => {
        const bytes = Uint8Array.from(encodeStateMessage(message));
        expect(decodeStateMessage(bytes.subarray(0, at % bytes.length))).toBeUndefined();
        bytes[at % bytes.length] = byte;
        decodeStateMessage(bytes);
      }),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void decodeStateMessage(bytes)),
    );
  });
});
