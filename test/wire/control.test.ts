import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { overlayNames } from '../../src/protocol/overlay/overlay.ts';
import { topologyHints } from '../../src/protocol/overlay/topology.ts';
import { nodeIdFromHash } from '../../src/kernel/ids.ts';
import { encodeCbor } from '../../src/wire/cbor.ts';
import { decodeControl, encodeControl } from '../../src/wire/control.ts';
import type { ControlMessage } from '../../src/wire/control.ts';

const ids = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((hash) => nodeIdFromHash(hash));
const u48 = fc.integer({ min: 0, max: 2 ** 48 - 1 });
const bytes = fc.uint8Array({ maxLength: 40 });
const text = fc.string({ maxLength: 40 });
const ranges = fc.array(
  fc.tuple(fc.nat(1_000), fc.nat(50)).map(([from, more]) => [from, from + more] as const),
  { maxLength: 20 },
);
const passage = fc.record({ to: ids, id: u48, isFlood: fc.boolean() });
const body = fc.oneof(
  fc.record({ kind: fc.constant('ack' as const), boot: u48, upTo: u48, ranges }),
  fc.record({ kind: fc.constant('base' as const), boot: u48, seq: u48, isLoss: fc.boolean() }),
);
const entry = fc.record({
  topic: fc.constantFrom('a', 'b/c', 'ü'),
  hlc: fc.record({ wallMs: u48, count: fc.nat(0xffff) }),
  origin: ids,
  boot: u48,
  seq: u48,
  payload: bytes,
});
const address = fc.record({
  host: fc.constantFrom('10.0.0.1', 'fe80::1%eth0', 'pi.local'),
  port: fc.integer({ min: 1, max: 65_535 }),
});

const marks = fc.oneof(
  fc.constant({ epoch: 0, by: '' as const }),
  fc.record({ epoch: fc.integer({ min: 1, max: 2 ** 48 - 1 }), by: ids }),
);
const topologies = fc
  .record({
    kind: fc.constantFrom(...overlayNames),
    hubs: fc.array(ids, { maxLength: 3 }),
    isAuto: fc.boolean(),
    isReturn: fc.boolean(),
    hint: fc.constantFrom(...topologyHints),
    reason: text,
  })
  .chain((rest) => marks.map((mark) => ({ ...rest, ...mark })));

/** Anything a runtime may send. */
const controlMessages: fc.Arbitrary<ControlMessage> = fc.oneof(
  fc.record({
    kind: fc.constant('hello' as const),
    boot: u48,
    instance: fc.maxSafeNat(),
    name: text,
    port: fc.nat(65_535),
    neighbours: fc.array(ids, { maxLength: 5 }),
    overlay: fc.constantFrom(...overlayNames),
    topology: topologies,
    mark: marks,
  }),
  fc.record({ kind: fc.constant('interest' as const), bytes }),
  fc.record({ kind: fc.constant('topology' as const), topology: topologies }),
  fc.record({ kind: fc.constant('neighbours' as const), ids: fc.array(ids, { maxLength: 5 }) }),
  fc.record({
    kind: fc.constant('letter' as const),
    letter: fc.record({ from: ids, fromBoot: u48, ttl: fc.nat(255), passage, body }),
  }),
  fc.record({ kind: fc.constant('swim' as const), bytes }),
  fc.record({ kind: fc.constant('trust' as const), bytes }),
  fc.record({ kind: fc.constant('overlay' as const), bytes }),
  fc.record({ kind: fc.constant('ping' as const), t: fc.nat() }),
  fc.record({
    kind: fc.constant('pong' as const),
    t: fc.double({ noNaN: true, min: 0, max: 1e12 }),
  }),
  fc.record({ kind: fc.constant('retained-digest' as const), digest: bytes }),
  fc.record({
    kind: fc.constant('retained' as const),
    entries: fc.array(entry, { maxLength: 4 }),
  }),
  fc.record({
    kind: fc.constant('peers' as const),
    peers: fc.array(fc.record({ node: ids, addresses: fc.array(address, { maxLength: 3 }) }), {
      maxLength: 3,
    }),
  }),
  fc.record({ kind: fc.constant('bye' as const), reason: text }),
);

describe('control records', () => {
  test('are read back as they were written, every kind', () => {
    fc.assert(
      fc.property(controlMessages, (message) => {
        expect(decodeControl(encodeControl(message))).toEqual(message);
      }),
      { numRuns: 500 },
    );
  });

  test('are refused with a part too many, too few, or of another kind', () => {
    const id = new Uint8Array(16);
    const refused: unknown[] = [
      [],
      [0],
      ['1'],
      ['length'],
      { 0: 5, 1: 1 },
      [5],
      [5, 'now'],
      [5, Number.NaN],
      [5, 1, 1],
      [2, [new Uint8Array(15)]],
      [2, 'ids'],
      [2, Array.from({ length: 1_025 }, () => id)],
      [3, id, 1, 16, id, 1, 2, 1],
      [3, id, 1, 16, id, 1, 0, 1, 5, [4]],
      [3, id, 1, 16, id, 1, 0, 1, 5, [4, 3]],
      [3, id, 1, 16, id, 1, 0, -1],
      [3, id, 1, 256, id, 1, 0, 1],
      [3, id, 2 ** 48, 1, id, 1, 0, 1],
      [3, id, 1, 16, id, 1, 0, 1, 5, Array.from({ length: 130 }, (_, at) => at)],
      [9, [['a/#', 1, 1, id, id]]],
      [9, [['$mycel/x', 1, 1, id, id]]],
      [9, [['a', 1, 70_000, id, id]]],
      [10, [[id, [['', 1]]]]],
      [10, [[id, [['a', 0]]]]],
      [11, 'x'.repeat(257)],
      [11, 7],
    ];
    for (const value of refused) {
      expect(decodeControl(encodeCbor(value)), JSON.stringify(value)).toBeUndefined();
    }
  });

  test('of a kind that is not known yet are told from what is no message', () => {
    for (const value of [[99], [16, 'more', { of: [1] }], [65_535]]) {
      expect(decodeControl(encodeCbor(value))).toBe('unknown');
    }
    for (const value of [[0], [-1], [65_536], ['99'], [1.5], 99, {}]) {
      expect(decodeControl(encodeCbor(value))).toBeUndefined();
    }
  });

  test('are refused when truncated anywhere', () => {
    const whole = encodeControl({ kind: 'bye', reason: 'maintenance' });
    for (let size = 0; size < whole.byteLength; size += 1) {
      expect(decodeControl(whole.subarray(0, size))).toBeUndefined();
    }
  });
});
