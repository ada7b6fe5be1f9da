/** The membership codec: what goes in comes out, what was forged does not, and nothing makes it throw. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { NodeId } from '../../src/kernel/ids.ts';
import type {
  AliveUpdate,
  SwimMessage,
  Update,
  VerdictUpdate,
} from '../../src/protocol/membership/messages.ts';
import { listingEntriesMax } from '../../src/protocol/membership/messages.ts';
import { decodeCbor, encodeCbor } from '../../src/wire/cbor.ts';
import { nodeIdOf, nodeKeysFromSeeds, signBytes, verifyBytes } from '../../src/wire/keys.ts';
import type { NodeKeys } from '../../src/wire/keys.ts';
import { createMembershipCodec, metaTrouble } from '../../src/wire/membership-codec.ts';
import type { MembershipCodec } from '../../src/wire/membership-codec.ts';
import { verifiedProofsMax } from '../../src/wire/membership-updates.ts';

interface Person {
  readonly id: NodeId;
  readonly keys: NodeKeys;
  readonly codec: MembershipCodec;
}

const known = new Map<NodeId, Uint8Array>();

function person(seed: number, context = ''): Person {
  const keys = nodeKeysFromSeeds(new Uint8Array(32).fill(seed), new Uint8Array(32).fill(seed + 1));
  const id = nodeIdOf(keys.edPublic);
  const codec = createMembershipCodec({
    self: id,
    sign: (bytes) => signBytes(keys.edSeed, bytes),
    verify: verifyBytes,
    edPublicOf: (node) => known.get(node),
    nodeIdOf,
    context,
  });
  known.set(id, keys.edPublic);
  return { id, keys, codec };
}

const ann = person(1);
const bob = person(3);
const eve = person(5);
const unsigned = new Uint8Array(0);

function word(of: Person, n = 0, rest: Partial<AliveUpdate> = {}): AliveUpdate {
  return {
    kind: 'alive',
    node: of.id,
    incarnation: { boot: 7, n },
    from: of.id,
    proof: unsigned,
    instance: 0xdeadbeef,
    addresses: [
      { host: '192.168.1.17', port: 1883 },
      { host: 'fe80::1', port: 1884 },
    ],
    meta: {
      name: 'kitchen',
      version: '0.1.0',
      roles: ['gateway'],
      labels: { room: 'kitchen', floor: '1' },
      capabilities: ['llm'],
      responderPort: 40_000,
    },
    edPublic: of.keys.edPublic,
    ...rest,
  };
}

function verdict(by: Person, about: Person, kind: VerdictUpdate['kind']): VerdictUpdate {
  const incarnation = { boot: 7, n: 3 };
  return { kind, node: about.id, incarnation, from: by.id, proof: unsigned };
}

/** The message with every proof removed, to compare what was said. */
function said(message: SwimMessage | undefined): unknown {
  if (message === undefined || !('updates' in message)) return message;
  return { ...message, updates: message.updates.map((update) => ({ ...update, proof: unsigned })) };
}

const ids = [ann, bob, eve].map(({ id }) => id);
const node = fc.constantFrom(...ids);
const count = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const incarnation = fc.record({ boot: fc.integer({ min: 0, max: 2 ** 40 }), n: count });
const host = fc.constantFrom('10.0.0.1', 'fe80::2', 'board.local');
const text = fc
  .string({ maxLength: 20, unit: 'grapheme' })
  .filter((value) => !/\p{Cc}/u.test(value));
const meta = fc.record({
  name: text,
  version: text,
  roles: fc.array(text, { maxLength: 3 }),
  labels: fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), text, { maxKeys: 3 }),
  capabilities: fc.array(text, { maxLength: 3 }),
});
const ownUpdate: fc.Arbitrary<Update> = fc.oneof(
  fc
    .record({
      incarnation,
      instance: count,
      addresses: fc.array(fc.record({ host, port: fc.integer({ min: 1, max: 65_535 }) }), {
        maxLength: 8,
      }),
      meta,
    })
    .map((rest) => word(ann, 0, rest)),
  fc
    .record({ incarnation, sleepMs: fc.integer({ min: 0, max: 86_400_000 }) })
    .map(({ sleepMs, ...rest }) => {
      return { ...word(ann, 0, rest), kind: 'dormant' as const, sleepMs, elapsedMs: sleepMs >> 1 };
    }),
  fc
    .record({ kind: fc.constantFrom('suspect', 'dead'), incarnation })
    .map((rest) => ({ ...verdict(ann, bob, 'dead'), ...rest })),
  incarnation.map((at) => ({ ...verdict(ann, ann, 'left'), incarnation: at })),
);
const updates = fc.array(ownUpdate, { maxLength: 3 });
const head = { from: fc.constant(ann.id), seq: count };
const life = fc.record({ boot: fc.integer({ min: 0, max: 2 ** 40 }), instance: count });
const rider = fc.uint8Array({ maxLength: 64 });
const probe = { ...head, life, rider, updates };
const digest = fc.uint8Array({ minLength: 8, maxLength: 8 });
const anyMessage: fc.Arbitrary<SwimMessage> = fc.oneof(
  fc.record({ kind: fc.constant('ping' as const), ...probe, target: node }),
  fc.record({ kind: fc.constant('ack' as const), ...probe, subject: node }),
  fc.record({ kind: fc.constant('ping-req' as const), ...head, target: node, updates }),
  fc.record({ kind: fc.constant('nack' as const), ...head }),
  fc.record({
    kind: fc.constant('stalled' as const),
    ...head,
    stalledMs: fc.integer({ min: 0, max: 1e6 }),
  }),
  fc.record({ kind: fc.constant('gossip' as const), from: fc.constant(ann.id), updates }),
  fc.record({
    kind: fc.constant('digest' as const),
    from: fc.constant(ann.id),
    count,
    digest,
    updates,
  }),
  fc.record({
    kind: fc.constant('buckets' as const),
    from: fc.constant(ann.id),
    digests: fc.uint8Array({ minLength: 256, maxLength: 256 }),
  }),
  fc.record({
    kind: fc.constant('listing' as const),
    from: fc.constant(ann.id),
    first: count,
    last: count,
    entries: fc.array(
      fc.record({
        node,
        incarnation,
        state: fc.constantFrom('alive' as const, 'suspect' as const, 'dormant' as const),
      }),
      { maxLength: listingEntriesMax },
    ),
  }),
  fc.record({
    kind: fc.constant('state' as const),
    from: fc.constant(ann.id),
    updates,
    wants: fc.array(node, { maxLength: 64 }),
    hasMore: fc.boolean(),
  }),
);

describe('what is said arrives', () => {
  test('every message reads as it was written', () => {
    fc.assert(
      fc.property(anyMessage, (message) => {
        expect(said(bob.codec.decode(ann.codec.encode(message)))).toEqual(said(message));
      }),
      { numRuns: 300 },
    );
  });

  test('a size is the bytes an update adds to a message', () => {
    fc.assert(
      fc.property(ownUpdate, (update) => {
        const bytesOf = (list: Update[]): number =>
          ann.codec.encode({ kind: 'gossip', from: ann.id, updates: list }).length;
        const added = bytesOf([update]) - bytesOf([]);
        const size = ann.codec.sizeOf(update);
        expect(size).toBeGreaterThanOrEqual(added);
        expect(size).toBeLessThanOrEqual(added + 8);
      }),
      { numRuns: 100 },
    );
  });

  test('a full listing fits one datagram', () => {
    const entries = Array.from({ length: listingEntriesMax }, () => ({
      node: eve.id,
      incarnation: { boot: 2 ** 48, n: 2 ** 48 },
      state: 'suspect' as const,
    }));
    const bytes = ann.codec.encode({
      kind: 'listing',
      from: ann.id,
      first: 2 ** 32 - 1,
      last: 2 ** 32 - 1,
      entries,
    });
    expect(bytes.length).toBeLessThanOrEqual(1_400 - 35);
  });

  test('a relayed update is passed on byte for byte', () => {
    const first = ann.codec.encode({ kind: 'gossip', from: ann.id, updates: [word(ann)] });
    const heard = bob.codec.decode(first);
    if (heard?.kind !== 'gossip') throw new Error('gossip is heard');
    const relayed = bob.codec.encode({ kind: 'gossip', from: bob.id, updates: heard.updates });
    const again = eve.codec.decode(relayed);
    expect(said(again)).toEqual({ kind: 'gossip', from: bob.id, updates: [word(ann)] });
  });

  test('an own update is signed once, however often it is sent', () => {
    let signatures = 0;
    const codec = createMembershipCodec({
      self: ann.id,
      sign(bytes) {
        signatures += 1;
        return signBytes(ann.keys.edSeed, bytes);
      },
      verify: verifyBytes,
      edPublicOf: () => undefined,
      nodeIdOf,
    });
    const updates = [word(ann)];
    for (let sent = 0; sent < 5; sent += 1) {
      codec.sizeOf(word(ann));
      codec.encode({ kind: 'gossip', from: ann.id, updates });
    }
    // sizeOf got five different objects; the one in the message was signed once.
    expect(signatures).toBe(6);
  });
});

describe('what is forged does not', () => {
  /** A gossip datagram with hand-made proofs. */
  function gossip(by: Person, ...proofs: Uint8Array[]): Uint8Array {
    const plain = decodeCbor(by.codec.encode({ kind: 'gossip', from: by.id, updates: [] }));
    return encodeCbor([...(plain as unknown[]).slice(0, 2), proofs]);
  }

  function proofOf(by: Person, update: Update): Uint8Array {
    const fields = decodeCbor(by.codec.encode({ kind: 'gossip', from: by.id, updates: [update] }));
    const [proof] = (fields as unknown[][])[2] ?? [];
    return proof as Uint8Array;
  }

  function heard(codec: MembershipCodec, bytes: Uint8Array): readonly Update[] {
    const message = codec.decode(bytes);
    return message?.kind === 'gossip' ? message.updates : [];
  }

  test('a proof with any one bit changed is refused, also after the right one was remembered', () => {
    const listener = person(9).codec;
    const proof = proofOf(ann, word(ann));
    expect(heard(listener, gossip(bob, proof))).toHaveLength(1);
    fc.assert(
      fc.property(fc.nat(proof.length - 1), fc.nat(7), (at, bit) => {
        const forged = proof.slice();
        forged[at] = (forged[at] ?? 0) ^ (1 << bit);
        expect(heard(listener, gossip(bob, forged))).toEqual([]);
      }),
      { numRuns: 300 },
    );
    expect(listener.counts().refused).toBe(300);
  });

  test('nobody speaks in the name of another', () => {
    const listener = person(11).codec;
    const asBob = { ...word(bob), proof: unsigned, from: ann.id };
    const forged = ann.codec.encode({ kind: 'gossip', from: ann.id, updates: [asBob] });
    expect(heard(listener, forged)).toEqual([]);
    const accusation = {
      ...verdict(bob, eve, 'dead'),
      proof: proofOf(ann, verdict(ann, eve, 'dead')),
    };
    const [update] = heard(listener, gossip(bob, accusation.proof));
    // It is read as what was signed: Ann's accusation.
    expect(update?.from).toBe(ann.id);
  });

  test('an accusation by an unknown key is refused until that key has spoken for itself', () => {
    const stranger = person(13);
    known.delete(stranger.id);
    const listener = person(15).codec;
    const accusation = proofOf(stranger, verdict(stranger, eve, 'suspect'));
    expect(heard(listener, gossip(bob, accusation))).toEqual([]);
    const introduction = proofOf(stranger, word(stranger));
    expect(heard(listener, gossip(bob, introduction, accusation))).toHaveLength(2);
  });

  test('words spoken in one mesh mean nothing in another', () => {
    const here = person(1, 'mesh-a');
    const there = person(17, 'mesh-b');
    expect(heard(there.codec, gossip(bob, proofOf(here, word(here))))).toEqual([]);
  });

  test('nobody but the member itself declares it gone', () => {
    const listener = person(19).codec;
    const [update] = heard(listener, gossip(bob, proofOf(ann, verdict(ann, eve, 'left'))));
    // The body of `left` has no accuser: what Ann signed reads as Eve's word, and her key does not fit.
    expect(update).toBeUndefined();
  });

  test('what was verified once is remembered, within a bound', () => {
    const listener = person(21).codec;
    const proof = proofOf(ann, word(ann, 1));
    for (let times = 0; times < 10; times += 1) heard(listener, gossip(bob, proof));
    expect(listener.counts()).toMatchObject({ verified: 1, remembered: 9 });
    expect(verifiedProofsMax).toBeLessThanOrEqual(8_192);
  });

  test('a later word of a member takes the place of its earlier one, and of nobody else’s', () => {
    const listener = person(23).codec;
    const [first, second, other] = [word(ann, 1), word(ann, 2), word(bob)].map((said) =>
      gossip(bob, proofOf(said.node === ann.id ? ann : bob, said)),
    );
    for (const bytes of [other, first, second, second, other])
      heard(listener, bytes ?? new Uint8Array());
    expect(listener.counts()).toMatchObject({ verified: 3, remembered: 2 });
    heard(listener, first ?? new Uint8Array());
    expect(listener.counts()).toMatchObject({ verified: 4, remembered: 2 });
  });
});

describe('nothing makes it throw', () => {
  test('random bytes are malformed', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 1_500 }), (bytes) => {
        expect(bob.codec.decode(bytes)).toBeUndefined();
      }),
      { numRuns: 2_000 },
    );
  });

  test('random data in the shape of a message is refused or read, never half', () => {
    const anything = fc.anything({ maxDepth: 2, withBigInt: false });
    const shape = fc.tuple(fc.integer({ min: 0, max: 11 }), fc.array(anything, { maxLength: 7 }));
    const from = decodeCbor(ann.codec.encode({ kind: 'nack', from: ann.id, seq: 1 })) as unknown[];
    fc.assert(
      fc.property(shape, ([kind, rest]) => {
        let bytes: Uint8Array;
        try {
          bytes = encodeCbor([kind, from[1], ...rest]);
        } catch {
          return;
        }
        const message = bob.codec.decode(bytes);
        if (message !== undefined) expect(message.from).toBe(ann.id);
      }),
      { numRuns: 2_000 },
    );
  });

  test('a message with one byte changed is refused or is another message of the same form', () => {
    fc.assert(
      fc.property(anyMessage, fc.nat(), fc.integer({ min: 1, max: 255 }), (message, at, mask) => {
        const bytes = ann.codec.encode(message);
        const position = at % bytes.length;
        bytes[position] = (bytes[position] ?? 0) ^ mask;
        const read = bob.codec.decode(bytes);
        if (read !== undefined) expect(typeof read.from).toBe('string');
      }),
      { numRuns: 2_000 },
    );
  });

  test('a datagram longer than a datagram is refused', () => {
    expect(bob.codec.decode(new Uint8Array(1_401))).toBeUndefined();
  });
});

describe('metadata', () => {
  const fine = word(ann).meta;

  test('within its bounds there is no trouble', () => {
    expect(metaTrouble(fine)).toBeUndefined();
  });

  test.each([
    ['a long name', { ...fine, name: 'x'.repeat(65) }],
    ['a control character', { ...fine, name: 'a\u001b[31m' }],
    ['too many roles', { ...fine, roles: Array.from({ length: 17 }, () => 'r') }],
    ['a long label', { ...fine, labels: { room: 'x'.repeat(65) } }],
    [
      'too much in all',
      { ...fine, capabilities: Array.from({ length: 12 }, () => 'c'.repeat(60)) },
    ],
  ])('%s is trouble, and a word with it is refused', (_, meta) => {
    expect(metaTrouble(meta)).toMatch(/\.$/);
    const bytes = ann.codec.encode({
      kind: 'gossip',
      from: ann.id,
      updates: [word(ann, 9, { meta })],
    });
    const message = person(23).codec.decode(bytes);
    const heard = message?.kind === 'gossip' ? message.updates : [];
    expect(heard).toEqual([]);
  });
});
