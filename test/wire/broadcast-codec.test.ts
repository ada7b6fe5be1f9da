import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { PlumtreeMessage } from '../../src/protocol/broadcast/piece.ts';
import { decodeBroadcast, encodeBroadcast } from '../../src/wire/broadcast-codec.ts';
import { encodeCbor } from '../../src/wire/cbor.ts';
import { simNodeId } from '../sim/routing-mesh.ts';

const ids = fc.nat(50).map(simNodeId);
const u48 = fc.integer({ min: 0, max: 2 ** 48 - 1 });
const streams = fc.constantFrom(0 as const, 1 as const);
const announced = fc.record({
  origin: ids,
  boot: u48,
  seq: u48,
  stream: streams,
  hops: fc.nat(255),
  isStaged: fc.boolean(),
});
const messages: fc.Arbitrary<PlumtreeMessage> = fc.oneof(
  fc.record({
    kind: fc.constant('have' as const),
    pieces: fc.array(announced, { minLength: 1, maxLength: 256 }),
  }),
  ids.chain((root) =>
    fc.record({
      kind: fc.constant('graft' as const),
      root: fc.constant(root),
      pieces: fc.array(
        fc.record({ origin: fc.constant(root), boot: u48, seq: u48, stream: streams }),
        { maxLength: 256 },
      ),
    }),
  ),
  fc.record({ kind: fc.constant('prune' as const), root: ids }),
);

describe('broadcast messages', () => {
  test('are read back as they were written', () => {
    fc.assert(
      fc.property(messages, (message) => {
        expect(decodeBroadcast(encodeBroadcast(message))).toEqual(message);
      }),
    );
  });

  test('name a piece of a run in a few bytes', () => {
    const pieces = Array.from({ length: 200 }, (_, at) => ({
      origin: simNodeId(1),
      boot: 7,
      seq: 1_000 + at,
      stream: 1 as const,
      hops: 3,
      isStaged: false,
    }));
    expect(encodeBroadcast({ kind: 'have', pieces }).byteLength).toBeLessThan(200 * 5);
  });

  test('that are malformed are refused whole', () => {
    const id = new Uint8Array(16);
    const bad: unknown[] = [
      [],
      [9],
      [1, []],
      [1, [[id, 1, 4, [1, 1]]]],
      [1, [[id, 1, 0, [1]]]],
      [1, [[id, 1, 0, [1, 256]]]],
      [1, [[id, -1, 0, [1, 1]]]],
      [1, [[new Uint8Array(15), 1, 0, [1, 1]]]],
      [1, [[id, 1, 0, Array.from({ length: 514 }, () => 1)]]],
      [2, id],
      [2, id, [[1, 1, 2]]],
      [3],
      [3, id, 1],
    ];
    for (const value of bad) expect(decodeBroadcast(encodeCbor(value))).toBeUndefined();
  });

  test('of random bytes never throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => void decodeBroadcast(bytes)),
    );
  });
});
