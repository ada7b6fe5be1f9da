import { describe, expect, test } from 'vitest';
import type { NodeId } from '../../../src/kernel/ids.ts';
import { createRandom } from '../../../src/kernel/random.ts';
import type { InterestMessage } from '../../../src/protocol/routing/interest-gossip.ts';
import type { Envelope, Letter } from '../../../src/protocol/routing/messages.ts';
import { createRouter } from '../../../src/protocol/routing/router.ts';
import type { Router, RouterConfig } from '../../../src/protocol/routing/router-world.ts';
import { encodeEnvelope, envelopeCodec, readEnvelope } from '../../../src/wire/envelope.ts';
import { simNodeId } from '../../sim/routing-mesh.ts';
import { eventOf } from './arbitraries.ts';

const self = simNodeId(0);
const ann = simNodeId(1);
const bob = simNodeId(2);
const cat = simNodeId(3);

interface Watched {
  readonly router: Router;
  readonly sent: { readonly peer: NodeId; readonly envelope: Envelope | undefined }[];
  readonly letters: { readonly peer: NodeId; readonly letter: Letter }[];
  readonly delivered: { readonly seq: number; readonly isRetained: boolean }[];
  readonly kept: number[];
  readonly shown: number[];
  readonly said: { readonly peer: NodeId; readonly message: InterestMessage }[];
  readonly drops: string[];
  /** What became of messages: fate, cause and peer. */
  readonly fates: string[];
  readonly rooms: number[];
  isSaturated: boolean;
}

function watch(config: Partial<RouterConfig> = {}): Watched {
  const lists = { sent: [], letters: [], delivered: [], kept: [], shown: [], rooms: [] };
  const words = { said: [], drops: [], fates: [] };
  const all: Omit<Watched, 'router'> = { ...lists, ...words, isSaturated: false };
  const router = createRouter(
    {
      self,
      boot: 1,
      random: createRandom(1),
      codec: envelopeCodec,
      observeHlc: () => true,
      trace: {
        step: (fate, _envelope, peer, cause) => void all.fates.push(fateText(fate, cause, peer)),
        raw: (fate, _raw, peer, cause) => void all.fates.push(fateText(fate, cause, peer)),
      },
      ...config,
    },
    {
      deliver: ({ seq }, isRetained) => void all.delivered.push({ seq, isRetained }),
      transmit: (peer, raw) => {
        if (!all.isSaturated) all.sent.push({ peer, envelope: readEnvelope(raw.slice()) });
        return !all.isSaturated;
      },
      sendLetter: (peer, letter) => void all.letters.push({ peer, letter }),
      parcel: () => undefined,
      sendInterest: (peer, message) => void all.said.push({ peer, message }),
      announceNeighbours: () => undefined,
      gap: () => undefined,
      keepRetained: ({ seq }) => void all.kept.push(seq),
      showRetained: ({ seq }) => void all.shown.push(seq),
      forgetRetained: () => undefined,
      settled: () => undefined,
      drop: (reason, count) => void all.drops.push(`${reason} ${count}`),
      forfeited: () => undefined,
      bring: () => undefined,
      press: () => undefined,
      roomAgain: () => void all.rooms.push(1),
    },
  );
  return Object.assign(all, { router });
}

function fateText(fate: string, cause: string | undefined, peer: NodeId | undefined): string {
  const who = [self, ann, bob, cat].indexOf(peer ?? self);
  return `${fate} ${cause ?? '-'} ${who}`;
}

function receive(router: Router, from: NodeId, envelope: Envelope, now = 0): void {
  router.received(now, from, envelope, encodeEnvelope(envelope));
}

function publish(router: Router, now = 0, bytes = 10): 'taken' | 'full' {
  const hlc = { wallMs: now, count: 0 };
  const payload = new Uint8Array(bytes);
  return router.publish(now, { topic: 't', payload, qos: 1, retain: false, hlc });
}

function baseFrom(from: NodeId, seq: number, id = 1): Letter {
  const passage = { to: self, id, isFlood: false };
  return {
    from,
    fromBoot: 1,
    ttl: 16,
    passage,
    body: { kind: 'base', boot: 1, seq, isLoss: true },
  };
}

describe('a router', () => {
  test('never delivers or relays a message of its own that comes back', () => {
    const { router, sent, delivered } = watch();
    for (const peer of [ann, bob]) router.linkUp(0, peer);
    receive(router, ann, eventOf(self, 1));
    expect([sent, delivered]).toEqual([[], []]);
  });

  test('listens only to peers it has a link with', () => {
    const { router, delivered, sent } = watch();
    router.linkUp(0, bob);
    receive(router, ann, { ...eventOf(ann, 1), class: 'signal' });
    router.letterReceived(0, ann, baseFrom(ann, 1));
    expect([delivered, sent]).toEqual([[], []]);
  });

  test('takes one hop off what it relays, and relays nothing that has no hop left', () => {
    const { router, sent, drops } = watch();
    for (const peer of [ann, bob]) router.linkUp(0, peer);
    receive(router, ann, { ...eventOf(ann, 1), ttl: 9 });
    receive(router, ann, { ...eventOf(ann, 2), ttl: 1 });
    expect(sent.map(({ peer, envelope }) => [peer, envelope?.seq, envelope?.ttl])).toEqual([
      [bob, 1, 8],
    ]);
    expect(drops).toEqual(['ttl 1']);
  });

  test('passes an addressed event on once, and keeps it from its own subscribers', () => {
    const { router, sent, delivered } = watch();
    for (const peer of [ann, bob]) router.linkUp(0, peer);
    const passage = { to: bob, id: 4, isFlood: false };
    for (let copy = 0; copy < 3; copy += 1) receive(router, ann, { ...eventOf(ann, 1), passage });
    expect(sent.map(({ peer }) => peer)).toEqual([bob]);
    expect(delivered).toEqual([]);
  });

  test('passes letters on once, with a hop less, and never back', () => {
    const { router, letters } = watch();
    for (const peer of [ann, bob]) router.linkUp(0, peer);
    letters.length = 0;
    const letter = { ...baseFrom(ann, 1), passage: { to: cat, id: 4, isFlood: true } };
    for (let copy = 0; copy < 3; copy += 1) router.letterReceived(0, ann, letter);
    expect(letters).toEqual([{ peer: bob, letter: { ...letter, ttl: 15 } }]);
  });

  test('acknowledges after 64 messages at once, and what is left after 20 ms', () => {
    const { router, letters } = watch();
    router.memberJoined(0, ann, 1);
    router.linkUp(0, ann);
    router.letterReceived(0, ann, baseFrom(ann, 1));
    letters.length = 0;
    for (let seq = 1; seq <= 70; seq += 1) receive(router, ann, eventOf(ann, seq), 1);
    router.tick(21);
    const acks = letters.map(({ letter }) => letter.body.kind === 'ack' && letter.body.upTo);
    expect(acks).toEqual([64, 70]);
  });

  test('says full to a publisher while a live member is behind, and calls when there is room', () => {
    const watched = watch({ outbox: { countMax: 3 } });
    const { router, rooms } = watched;
    router.memberJoined(0, ann, 1);
    router.linkUp(0, ann);
    for (let count = 0; count < 3; count += 1) expect(publish(router)).toBe('taken');
    expect(publish(router)).toBe('full');
    const passage = { to: self, id: 1, isFlood: false };
    const body = { kind: 'ack', boot: 1, upTo: 2, ranges: [] } as const;
    router.letterReceived(1, ann, { from: ann, fromBoot: 1, ttl: 16, passage, body });
    expect(rooms).toHaveLength(1);
    expect(publish(router, 1)).toBe('taken');
  });

  test('queues relayed events for a saturated link and lets nothing overtake them', () => {
    const watched = watch();
    const { router, sent } = watched;
    for (const peer of [ann, bob]) router.linkUp(0, peer);
    watched.isSaturated = true;
    for (const seq of [1, 2, 3]) receive(router, ann, eventOf(ann, seq));
    watched.isSaturated = false;
    receive(router, ann, eventOf(ann, 4));
    router.drained(1, bob);
    receive(router, ann, eventOf(ann, 5));
    expect(sent.map(({ envelope }) => envelope?.seq)).toEqual([1, 2, 3, 4, 5]);
  });

  test('sends all it owes again when a new connection takes the place of an open one', () => {
    const { router, sent } = watch();
    router.memberJoined(0, ann, 1);
    router.linkUp(0, ann);
    publish(router);
    publish(router);
    router.linkUp(5, ann);
    expect(sent.map(({ envelope }) => envelope?.seq)).toEqual([1, 2, 1, 2]);
  });

  test('listens no more to an evicted member, whoever carries its words', () => {
    const { router, delivered, drops } = watch();
    router.linkUp(0, bob);
    router.memberGone(0, ann, 'evicted');
    receive(router, bob, { ...eventOf(ann, 1), class: 'signal' });
    expect(delivered).toEqual([]);
    expect(drops).toEqual(['evicted-origin 1']);
    router.memberJoined(1, ann, 1);
    expect(router.view().outbox.destinations).toEqual([]);
  });

  test('keeps a retained value unless a newer one is known or its clock is absurd', () => {
    const { router, delivered, drops } = watch({ observeHlc: ({ wallMs }) => wallMs < 1_000 });
    router.linkUp(0, ann);
    const signal = { ...eventOf(ann, 1), class: 'signal' as const, retain: true };
    receive(router, ann, { ...signal, seq: 1, hlc: { wallMs: 9, count: 0 } });
    receive(router, ann, { ...signal, seq: 2, hlc: { wallMs: 5, count: 0 } });
    receive(router, ann, { ...signal, seq: 3, hlc: { wallMs: 5_000, count: 0 } });
    expect(delivered).toEqual([
      { seq: 1, isRetained: true },
      { seq: 2, isRetained: false },
      { seq: 3, isRetained: false },
    ]);
    expect(drops).toEqual(['retained-clock 1']);
    expect(router.retained.get('t')?.hlc.wallMs).toBe(9);
  });
});

describe('a router tells what becomes of messages', () => {
  const linked = (config: Partial<RouterConfig> = {}): Watched => {
    const watched = watch(config);
    for (const peer of [ann, bob]) watched.router.linkUp(0, peer);
    return watched;
  };

  test('that come twice', () => {
    const { router, fates } = linked();
    const signal = { ...eventOf(ann, 1), class: 'signal' as const, skipped: 0 };
    receive(router, ann, signal);
    receive(router, bob, signal);
    expect(fates).toEqual(['received - 1', 'received - 2', 'dropped duplicate 2']);
  });

  test('that have no hop left, or no way on', () => {
    const { router, fates } = linked();
    receive(router, ann, { ...eventOf(ann, 1), ttl: 1 });
    expect(fates).toContain('dropped ttl 0');
    const alone = watch();
    alone.router.linkUp(0, ann);
    const passage = { to: cat, id: 4, isFlood: false };
    receive(alone.router, ann, { ...eventOf(ann, 2), passage });
    expect(alone.fates).toContain('dropped no-way 3');
  });

  test('that overflow the queue of a full link: signals by a newer one, relayed events by number', () => {
    const watched = linked({ queue: { relayMax: 1, signalsMax: 1 } });
    watched.isSaturated = true;
    const { router, fates } = watched;
    for (const topic of ['a', 'a', 'b']) {
      const hlc = { wallMs: 1, count: 0 };
      router.publish(0, { topic, payload: new Uint8Array(1), qos: 0, retain: false, hlc });
    }
    expect(fates.filter((one) => one.startsWith('dropped overflow'))).toHaveLength(2 * 2);
    fates.length = 0;
    for (const seq of [1, 2]) receive(router, ann, { ...eventOf(ann, seq), ttl: 9 });
    expect(fates.filter((one) => one.endsWith(' 2'))).toEqual(['queued - 2', 'dropped overflow 2']);
  });

  test('that are held back, or too many of them', () => {
    const { router, fates } = linked({ order: { heldMax: 1 } });
    router.memberJoined(0, ann, 1);
    for (const seq of [2, 3]) receive(router, ann, eventOf(ann, seq));
    expect(fates.filter((one) => !one.startsWith('received'))).toEqual([
      'held - 0',
      'dropped overflow 1',
    ]);
  });

  test('that expire with the members they were owed to', () => {
    const { router, fates } = linked({ outbox: { retentionMs: 1_000 } });
    router.memberJoined(0, cat, 1);
    publish(router, 0);
    router.memberGone(0, cat, 'dead');
    router.tick(2_000);
    expect(fates).toContain('dropped expired 3');
  });

  test('of an origin that was thrown out', () => {
    const { router, fates } = linked();
    router.memberJoined(0, cat, 1);
    router.memberGone(0, cat, 'evicted');
    receive(router, ann, eventOf(cat, 1));
    expect(fates).toEqual(['received - 1', 'dropped acl 1']);
  });
});
