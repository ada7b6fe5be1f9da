/** The laws of every core, kept by the router too: a shell makes inputs of its calls and effects of its callbacks. */

import fc from 'fast-check';
import type { Core, Millis } from '../../../src/kernel/core.ts';
import { createRandom } from '../../../src/kernel/random.ts';
import type { InterestMessage } from '../../../src/protocol/routing/interest-gossip.ts';
import type { Envelope, Letter, LetterBody } from '../../../src/protocol/routing/messages.ts';
import { createRouter } from '../../../src/protocol/routing/router.ts';
import type { Router, RouterOutputs } from '../../../src/protocol/routing/router-world.ts';
import { encodeEnvelope, envelopeCodec } from '../../../src/wire/envelope.ts';
import { describeLaws } from '../../laws/laws.ts';
import { simNodeId } from '../../sim/routing-mesh.ts';

const self = simNodeId(0);
const members = [1, 2, 3, 4].map((number) => simNodeId(number));
/** What the wiring calls. */
type Call = (router: Router, now: Millis) => void;

/** A callback that was called, and with what. */
type Effect = readonly [keyof RouterOutputs, ...unknown[]];

/** The router as a core: it says when it wants to be woken, but not that it will be then. */
function shell(seed: number): Core<Call, Effect, unknown> {
  let effects: Effect[] = [];
  const random = createRandom(seed);
  const saturated = createRandom(seed + 1);
  const note =
    (name: keyof RouterOutputs) =>
    (...args: unknown[]): void => {
      effects.push([name, ...structuredClone(args)]);
    };
  const router = createRouter(
    { self, boot: 5, random, codec: envelopeCodec, observeHlc: ({ wallMs }) => wallMs < 1e12 },
    {
      deliver: note('deliver'),
      transmit(...args) {
        const isTaken = saturated.below(8) > 0;
        if (isTaken) note('transmit')(...args);
        return isTaken;
      },
      sendLetter: note('sendLetter'),
      sendInterest: note('sendInterest'),
      parcel: note('parcel'),
      announceNeighbours: note('announceNeighbours'),
      gap: note('gap'),
      keepRetained: note('keepRetained'),
      showRetained: note('showRetained'),
      forgetRetained: note('forgetRetained'),
      drop: note('drop'),
      forfeited: note('forfeited'),
      settled: note('settled'),
      bring: note('bring'),
      press: note('press'),
      roomAgain: note('roomAgain'),
    },
  );
  let wall: Millis = 0;
  return {
    step(now, call) {
      wall = now;
      call(router, now);
      // As the wiring does: what has fallen due is done before it waits again.
      if (router.deadline() <= now) router.tick(now);
      const taken = effects;
      effects = [];
      return taken;
    },
    deadline: () => (router.deadline() > wall ? router.deadline() : wall),
    view: () => router.view(),
  };
}

const peer = fc.constantFrom(...members);
const anybody = fc.constantFrom(self, ...members);
const topic = fc.constantFrom('t', 'a/b', 'a/c/d', '$share/g/t', 'x'.repeat(200));
const filter = fc.constantFrom('t', 'a/#', '+/b', '#', '$share/g/t');
const payload = fc.uint8Array({ maxLength: 40 });
const small = fc.integer({ min: 0, max: 40 });
/** What a codec lets through: whole and safe, however absurd. */
const absurd = fc.constantFrom(0, 1, 2 ** 31, 2 ** 36 + 3, 2 ** 48, Number.MAX_SAFE_INTEGER);

const passageOf = (id: fc.Arbitrary<number>) =>
  fc.option(fc.record({ to: anybody, id, isFlood: fc.boolean() }), { nil: undefined });

function envelopeOf(
  number: fc.Arbitrary<number>,
  boot: fc.Arbitrary<number>,
): fc.Arbitrary<Envelope> {
  return fc.record({
    ttl: fc.integer({ min: 0, max: 16 }),
    class: fc.constantFrom('event', 'signal'),
    retain: fc.boolean(),
    origin: anybody,
    boot,
    seq: number,
    skipped: number,
    hlc: fc.record({ wallMs: number, count: fc.integer({ min: 0, max: 65_535 }) }),
    topic,
    payload,
    passage: passageOf(number),
  }) as fc.Arbitrary<Envelope>;
}

function letterOf(number: fc.Arbitrary<number>, boot: fc.Arbitrary<number>): fc.Arbitrary<Letter> {
  const range = fc.tuple(number, number).map(([left, right]) => [left, right] as const);
  const body: fc.Arbitrary<LetterBody> = fc.oneof(
    fc.record({
      kind: fc.constant('ack' as const),
      boot,
      upTo: number,
      ranges: fc.array(range, { maxLength: 4 }),
    }),
    fc.record({ kind: fc.constant('base' as const), boot, seq: number, isLoss: fc.boolean() }),
    fc.record({ kind: fc.constant('parcel' as const), protocol: fc.string(), bytes: payload }),
  );
  const passage = fc.record({ to: anybody, id: number, isFlood: fc.boolean() });
  return fc.record({ from: anybody, fromBoot: boot, ttl: small, passage, body });
}

function interestOf(number: fc.Arbitrary<number>): fc.Arbitrary<InterestMessage> {
  const version = fc.record({ node: anybody, boot: number, version: number });
  const filters = fc.array(filter, { maxLength: 4 });
  const wanted = fc.oneof(
    filters.map((list) => new Set(list)),
    fc.constant('everything' as const),
  );
  const wish = fc.record({
    node: anybody,
    boot: number,
    version: number,
    filters: wanted,
    sinceMs: number,
  });
  return fc.oneof(
    fc.record({ kind: fc.constant('wish' as const), wish, isGreeting: fc.boolean() }),
    fc.record({
      kind: fc.constant('change' as const),
      of: version,
      added: filters,
      removed: filters,
      sinceMs: number,
    }),
    fc.record({ kind: fc.constant('hash' as const), hash: number }),
    fc.record({
      kind: fc.constant('versions' as const),
      versions: fc.array(version, { maxLength: 4 }),
      isAnswer: fc.boolean(),
    }),
    fc.record({ kind: fc.constant('ask' as const), nodes: fc.array(anybody, { maxLength: 4 }) }),
  );
}

/** Every call, with numbers from one arbitrary. */
function calls(number: fc.Arbitrary<number>, boot: fc.Arbitrary<number>): fc.Arbitrary<Call> {
  const hlc = fc.record({ wallMs: number, count: fc.integer({ min: 0, max: 65_535 }) });
  const publication = fc.record({
    topic,
    payload,
    qos: fc.constantFrom(0, 1),
    retain: fc.boolean(),
    hlc,
  });
  const envelope = envelopeOf(number, boot);
  const entry = fc.record({ topic, hlc, origin: anybody, boot, seq: number, payload });
  const as = <Value>(from: fc.Arbitrary<Value>, call: (value: Value) => Call) => from.map(call);
  return fc.oneof(
    fc.constant<Call>((router, now) => router.tick(now)),
    as(publication, (one) => (router, now) => void router.publish(now, one as never)),
    as(fc.tuple(filter, publication), ([group, one]) => (router, now) => {
      router.hand(now, group, one as never);
    }),
    as(fc.tuple(peer, envelope), ([from, one]) => (router, now) => {
      router.received(now, from, one, encodeEnvelope(one).slice());
    }),
    as(fc.tuple(peer, letterOf(number, boot)), ([from, letter]) => (router, now) => {
      router.letterReceived(now, from, letter);
    }),
    as(fc.tuple(peer, interestOf(number)), ([from, message]) => (router, now) => {
      router.interestReceived(now, from, message);
    }),
    as(peer, (one) => (router, now) => router.linkUp(now, one)),
    as(peer, (one) => (router, now) => router.linkDown(now, one)),
    as(peer, (one) => (router, now) => router.drained(now, one)),
    as(fc.tuple(peer, fc.array(anybody, { maxLength: 4 })), ([one, others]) => (router) => {
      router.neighboursHeard(one, others);
    }),
    as(fc.tuple(fc.array(filter, { maxLength: 4 }), number), ([filters, sinceMs]) => (router) => {
      router.wants(new Set(filters), sinceMs);
    }),
    as(
      fc.tuple(peer, boot),
      ([one, life]) =>
        (router, now) =>
          router.memberJoined(now, one, life),
    ),
    as(
      fc.tuple(peer, fc.constantFrom('dead' as const, 'left' as const, 'evicted' as const)),
      ([one, why]) =>
        (router, now) =>
          router.memberGone(now, one, why),
    ),
    as(fc.array(entry, { maxLength: 3 }), (entries) => (router, now) => {
      router.retainedReceived(now, entries);
    }),
    as(number, (seq) => (router) => router.written(seq)),
    fc.constant<Call>((router) => router.diskLost()),
    as(
      fc.array(
        fc.record({ seq: number, raw: envelope.map((one) => encodeEnvelope(one).slice()) }),
        { maxLength: 3 },
      ),
      (events) => (router, now) => {
        router.brought(now, events);
      },
    ),
  );
}

describeLaws('the router', {
  create: shell,
  inputs: calls(small, fc.integer({ min: 1, max: 6 })),
  hostile: calls(absurd, absurd),
  // Each event that was held, and each that a peer is owed, at once.
  effectsPerStepMax: 200,
  runs: 1_000,
});
