/** What a node believes of others, of itself, and how it comes and goes. */

import { describe, expect, test } from 'vitest';
import type { NodeId } from '../../../src/kernel/ids.ts';
import { Stage, ann, bob, cid, dan, notesIn, self, sentIn, verdictOf, wordOf } from './stage.ts';
import { simNodeId } from '../../sim/membership.ts';

const rider = new Uint8Array(0);

describe('a gossiped death', () => {
  test('by one accuser alone is only a suspicion', () => {
    const stage = new Stage();
    stage.meet(ann, bob, cid);
    stage.gossip(bob, verdictOf('dead', ann, bob));
    expect(stage.stateOf(ann)).toBe('suspect');
    stage.gossip(bob, verdictOf('dead', ann, bob));
    expect(stage.stateOf(ann)).toBe('suspect');
  });

  test('is believed at once when a second accuser stands beside it', () => {
    const stage = new Stage();
    stage.meet(ann, bob, cid);
    stage.gossip(cid, verdictOf('suspect', ann, cid));
    stage.gossip(bob, verdictOf('dead', ann, bob));
    expect(stage.stateOf(ann)).toBe('dead');
  });

  test('is believed at once when our own probe failed too', () => {
    const stage = new Stage();
    stage.meet(ann, bob);
    stage.feed({ type: 'linkOpened', node: ann, address: { host: ann, port: 1 } });
    stage.feed({ type: 'linkClosed', node: ann });
    stage.pass(1_001);
    expect(stage.stateOf(ann)).toBe('suspect');
    stage.gossip(bob, verdictOf('dead', ann, bob));
    expect(stage.stateOf(ann)).toBe('dead');
  });

  test('in a push-pull is never more than a suspicion, whoever else accuses', () => {
    const stage = new Stage();
    stage.meet(ann, bob, cid);
    stage.gossip(cid, verdictOf('suspect', ann, cid));
    const updates = [verdictOf('dead', ann, bob)];
    stage.hear(bob, { kind: 'state', from: bob, updates, wants: [], hasMore: false });
    expect(stage.stateOf(ann)).toBe('suspect');
  });

  test('by somebody nobody knows counts for nothing', () => {
    const stage = new Stage();
    stage.meet(ann);
    expect(notesIn(stage.gossip(ann, verdictOf('suspect', ann, dan)))).toEqual(['unknown-accuser']);
    expect(notesIn(stage.gossip(bob, verdictOf('dead', ann, dan)))).toEqual(['unknown-accuser']);
    expect(stage.stateOf(ann)).toBe('alive');
  });

  test('of an incarnation its subject never spoke of does not lock the subject out', () => {
    const stage = new Stage();
    stage.meet(ann, bob, cid);
    stage.gossip(bob, verdictOf('suspect', ann, bob, 2 ** 40));
    stage.gossip(cid, verdictOf('dead', ann, cid, 2 ** 40));
    expect(stage.stateOf(ann)).toBe('dead');
    stage.gossip(ann, wordOf(ann, 1));
    expect(stage.stateOf(ann)).toBe('alive');
  });
});

describe('the dead', () => {
  function withDeadAnn(): Stage {
    const stage = new Stage();
    stage.meet(ann, bob, cid);
    stage.gossip(cid, verdictOf('suspect', ann, cid));
    stage.gossip(bob, verdictOf('dead', ann, bob));
    return stage;
  }

  test('are not revived by old words', () => {
    const stage = withDeadAnn();
    expect(notesIn(stage.gossip(cid, wordOf(ann)))).toContain('zombie-refused');
    expect(stage.stateOf(ann)).toBe('dead');
  });

  test('return with a higher refutation or a new boot', () => {
    const refuted = withDeadAnn();
    refuted.gossip(ann, wordOf(ann, 1));
    expect(refuted.stateOf(ann)).toBe('alive');
    const restarted = withDeadAnn();
    restarted.gossip(ann, wordOf(ann, 0, { incarnation: { boot: 2, n: 0 }, instance: 8 }));
    expect(restarted.stateOf(ann)).toBe('alive');
  });

  test('are told so when they speak, and at most twice a second', () => {
    const stage = withDeadAnn();
    const spoken = { kind: 'nack', from: ann, seq: 1 } as const;
    const [told] = sentIn(stage.hear(ann, spoken), 'gossip');
    expect(told?.message.updates[0]).toEqual(verdictOf('dead', ann, bob));
    expect(sentIn(stage.hear(ann, spoken), 'gossip')).toEqual([]);
    stage.now += 500;
    expect(sentIn(stage.hear(ann, spoken), 'gossip')).toHaveLength(1);
  });

  test('are called at their last address again and again, so that partitions heal', () => {
    const stage = withDeadAnn();
    // Nobody answers in this test, so the others die too and share the calls.
    stage.pass(40_000);
    const calls = sentIn(stage.pass(180_000), 'digest').filter(({ to }) => to === ann);
    expect(calls.length).toBeGreaterThanOrEqual(2);
    expect(calls[0]?.message.updates).toContainEqual(verdictOf('dead', ann, bob));
  });

  test('are forgotten after a day', () => {
    const stage = withDeadAnn();
    expect(stage.core.view().tombstoneCount).toBeGreaterThanOrEqual(1);
    // A day in steps of its own timers would be long; one late tick sweeps as well.
    stage.now += 86_400_000 + 61_000;
    stage.feed({ type: 'tick' });
    expect(stage.core.member(ann)).toBeUndefined();
  });
});

describe('oneself', () => {
  test('an accusation is answered with the next incarnation, and costs health', () => {
    const stage = new Stage();
    stage.meet(ann);
    stage.gossip(ann, verdictOf('suspect', self, ann));
    expect(stage.core.view().self.incarnation).toEqual({ boot: 1, n: 1 });
    expect(stage.core.view().lhm).toBe(1);
    const { message } = stage.until('gossip', 1_000);
    expect(message.updates).toContainEqual(
      expect.objectContaining({ kind: 'alive', node: self, incarnation: { boot: 1, n: 1 } }),
    );
  });

  test('an accusation of an incarnation we never had is no reason to jump there', () => {
    const stage = new Stage();
    stage.meet(ann);
    const effects = stage.gossip(ann, verdictOf('dead', self, ann, 1_000));
    expect(notesIn(effects)).toEqual(['impossible-accusation']);
    expect(stage.core.view().self.incarnation.n).toBe(0);
  });

  test('new addresses and metadata are told under a new incarnation', () => {
    const stage = new Stage();
    stage.meet(ann);
    const moved = [{ host: '10.0.0.9', port: 2 }];
    stage.feed({ type: 'addressesChanged', addresses: moved });
    stage.feed({ type: 'metaChanged', meta: { ...stage.core.view().self.meta, name: 'attic' } });
    expect(stage.core.view().self).toMatchObject({ incarnation: { n: 2 }, addresses: moved });
    const { message } = stage.until('gossip', 1_000);
    expect(message.updates).toContainEqual(
      expect.objectContaining({
        addresses: moved,
        meta: expect.objectContaining({ name: 'attic' }),
      }),
    );
  });

  test('metadata that would not fit a packet is refused and the old kept', () => {
    const stage = new Stage({
      sizeOf: (update) => ('meta' in update && update.meta.name === 'huge' ? 2_000 : 190),
    });
    const huge = { ...stage.core.view().self.meta, name: 'huge' };
    expect(notesIn(stage.feed({ type: 'metaChanged', meta: huge }))).toEqual(['record-too-large']);
    expect(stage.core.view().self).toMatchObject({ meta: { name: 'node' }, incarnation: { n: 0 } });
  });
});

describe('one key, two devices', () => {
  const clone = { boot: 1, instance: 99 };

  test('two instances in one boot raise an alert that names both', () => {
    const stage = new Stage();
    stage.meet(ann);
    const effects = stage.gossip(bob, wordOf(ann, 1, { instance: 99 }));
    const known = { boot: 1, instance: 7 };
    expect(effects).toContainEqual({
      type: 'alert',
      code: 'clone',
      node: ann,
      known,
      other: clone,
    });
  });

  test('an older boot that still answers long after a newer one raises it too', () => {
    const stage = new Stage();
    const ping = { kind: 'ping', from: ann, seq: 1, target: self, rider, updates: [] } as const;
    stage.gossip(ann, wordOf(ann, 0, { incarnation: { boot: 2, n: 0 }, instance: 8 }));
    const early = stage.hear(ann, { ...ping, life: { boot: 1, instance: 7 } });
    expect(early.filter(({ type }) => type === 'alert')).toEqual([]);
    stage.now += 10_001;
    const late = stage.hear(ann, { ...ping, life: { boot: 1, instance: 7 } });
    expect(late.filter(({ type }) => type === 'alert')).toHaveLength(1);
  });

  test('a word of a former boot that somebody passes on late is no alarm', () => {
    const stage = new Stage();
    stage.gossip(ann, wordOf(ann, 0, { incarnation: { boot: 2, n: 0 }, instance: 8 }));
    stage.now += 60_000;
    const effects = stage.gossip(bob, wordOf(ann));
    expect(effects.filter(({ type }) => type === 'alert')).toEqual([]);
  });

  test('another instance that speaks as this node is an alert about oneself', () => {
    const stage = new Stage();
    const effects = stage.gossip(ann, wordOf(self, 5, { instance: 99 }));
    expect(effects).toContainEqual(
      expect.objectContaining({ type: 'alert', code: 'clone-self', other: clone }),
    );
  });

  test('a life restored from an old image outbids its future once, and persists that', () => {
    const stage = new Stage();
    const future = wordOf(self, 3, { incarnation: { boot: 9, n: 3 }, instance: 55 });
    const effects = stage.gossip(ann, future);
    expect(effects).toContainEqual({ type: 'persistBoot', boot: 10 });
    expect(stage.core.view().self.incarnation).toEqual({ boot: 10, n: 0 });
    const again = { ...future, incarnation: { boot: 11, n: 0 } };
    expect(stage.gossip(ann, again)).toContainEqual(
      expect.objectContaining({ type: 'alert', code: 'clone-self' }),
    );
  });
});

describe('coming and going', () => {
  test('a newcomer gets everybody in one round trip', () => {
    const mesh = new Stage();
    const others = Array.from({ length: 30 }, (_, at) => simNodeId(at + 1));
    mesh.meet(...others);
    const hello = { kind: 'digest', from: dan, count: 1, digest: new Uint8Array(8) } as const;
    const answers = sentIn(mesh.hear(dan, { ...hello, updates: [wordOf(dan)] }), 'state');
    const told = answers.flatMap(({ message }) => message.updates.map(({ node }) => node));
    expect(new Set(told)).toEqual(new Set([self, dan, ...others]));
    expect(mesh.stateOf(dan)).toBe('alive');
  });

  test('a new link is greeted at once and again until somebody answers', () => {
    const stage = new Stage();
    const greet = stage.feed({ type: 'linkOpened', node: ann, address: { host: ann, port: 1 } });
    expect(sentIn(greet, 'digest')[0]?.message.updates).toMatchObject([{ node: self }]);
    expect(sentIn(stage.pass(2_000), 'digest').length).toBeGreaterThanOrEqual(4);
    stage.meet(ann);
    stage.pass(500);
    expect(sentIn(stage.pass(4_000), 'digest').filter(({ to }) => to === ann)).toEqual([]);
  });

  test('a newcomer turns to the addresses it was given, until the first answer makes everybody known', () => {
    const stage = new Stage();
    const addresses = [1, 2, 3, 4, 5].map((at) => ({ host: `place-${at}`, port: 1 }));
    const first = sentIn(stage.feed({ type: 'introduced', addresses }), 'digest');
    expect(first.map(({ to }) => to)).toEqual(['place-1', 'place-2', 'place-3']);
    expect(first[0]?.message).toMatchObject({ count: 1, updates: [{ node: self }] });
    const second = sentIn(stage.pass(400), 'digest');
    expect(second.map(({ to }) => to)).toEqual(['place-4', 'place-5', 'place-1']);
    const updates = [wordOf(ann), wordOf(bob)];
    stage.hear(ann, { kind: 'state', from: ann, updates, wants: [], hasMore: false });
    expect([stage.stateOf(ann), stage.stateOf(bob)]).toEqual(['alive', 'alive']);
    const later = sentIn(stage.pass(4_000), 'digest').map(({ to }) => to);
    expect(later.filter((to) => to.startsWith('place-'))).toEqual([]);
  });

  test('addresses at which nobody answers are given up', () => {
    const stage = new Stage();
    stage.feed({ type: 'introduced', addresses: [{ host: 'nowhere', port: 1 }] });
    expect(sentIn(stage.pass(60_000), 'digest')).toHaveLength(11);
    expect(sentIn(stage.feed({ type: 'introduced', addresses: [] }), 'digest')).toEqual([]);
  });

  test('who leaves says so under a new incarnation, and falls silent when it has spread', () => {
    const stage = new Stage();
    stage.meet(ann, bob, cid);
    stage.feed({ type: 'leave' });
    const effects = stage.pass(3_000);
    expect(stage.effects).toContainEqual({ type: 'leftSpread' });
    const told = sentIn(stage.effects, 'gossip').filter(({ message }) =>
      message.updates.some((update) => update.kind === 'left' && update.incarnation.n === 1),
    );
    expect(new Set(told.map(({ to }) => to))).toEqual(new Set([ann, bob, cid]));
    expect(effects.filter(({ type }) => type === 'leftSpread')).toHaveLength(1);
    expect(stage.core.deadline()).toBe(Infinity);
    expect(stage.pass(10_000)).toEqual([]);
  });

  test('a node alone leaves at once', () => {
    const stage = new Stage();
    expect(stage.feed({ type: 'leave' })).toContainEqual({ type: 'leftSpread' });
  });

  test('nobody else can make a member leave', () => {
    const stage = new Stage();
    stage.meet(ann, bob);
    stage.gossip(bob, { ...verdictOf('left', ann, bob), from: bob });
    expect(stage.stateOf(ann)).toBe('alive');
    stage.gossip(bob, verdictOf('left', ann, ann));
    expect(stage.stateOf(ann)).toBe('left');
  });

  test('the evicted are forgotten, refused, and their accusations with them', () => {
    const stage = new Stage();
    stage.meet(ann, bob, cid);
    stage.feed({ type: 'evicted', node: ann });
    expect(stage.core.member(ann)).toBeUndefined();
    stage.gossip(bob, wordOf(ann, 50));
    expect(stage.core.member(ann)).toBeUndefined();
    stage.gossip(bob, verdictOf('suspect', cid, ann));
    expect(stage.stateOf(cid)).toBe('alive');
    expect(notesIn(stage.gossip(ann, wordOf(dan)))).toEqual(['evicted-spoke']);
    expect(stage.core.member(dan)).toBeUndefined();
  });

  test('a full table refuses newcomers and says so', () => {
    const stage = new Stage({ membersMax: 2 });
    stage.meet(ann, bob);
    expect(notesIn(stage.gossip(cid, wordOf(cid)))).toEqual(['table-full']);
    expect(stage.core.view().liveCount).toBe(2);
  });

  test('a message that claims another sender than its seal is refused', () => {
    const stage = new Stage();
    const message = { kind: 'gossip', from: ann, updates: [wordOf(ann)] } as const;
    const effects = stage.feed({
      type: 'received',
      from: { host: bob, port: 1 },
      sender: bob,
      message,
    });
    expect(notesIn(effects)).toEqual(['forged-sender']);
    expect(stage.core.member(ann)).toBeUndefined();
  });
});

describe('sleep', () => {
  function dormant(node: NodeId, sleepMs: number, elapsedMs = 0) {
    return { ...wordOf(node, 1), kind: 'dormant', sleepMs, elapsedMs } as const;
  }

  test('a sleeper is neither probed nor accused until its time is over, then it is suspect', () => {
    const stage = new Stage();
    stage.meet(ann);
    stage.gossip(ann, dormant(ann, 60_000, 10_000));
    stage.gossip(bob, wordOf(bob), verdictOf('suspect', ann, bob, 1));
    expect(stage.stateOf(ann)).toBe('dormant');
    const asleep = stage.pass(49_000);
    expect(sentIn(asleep, 'ping').filter(({ to }) => to === ann)).toEqual([]);
    stage.pass(1_100);
    expect(stage.stateOf(ann)).toBe('suspect');
  });

  test('a relayed sleep counts on', () => {
    const stage = new Stage();
    stage.meet(bob);
    stage.gossip(ann, dormant(ann, 60_000));
    stage.pass(5_000);
    const entries = [{ node: bob, incarnation: { boot: 1, n: 0 }, state: 'alive' }] as const;
    const listing = { kind: 'listing', from: bob, first: 0, last: 2 ** 32 - 1, entries } as const;
    const updates = sentIn(stage.hear(bob, listing), 'state').flatMap(
      ({ message }) => message.updates,
    );
    expect(updates).toContainEqual(
      expect.objectContaining({ kind: 'dormant', node: ann, sleepMs: 60_000, elapsedMs: 5_000 }),
    );
  });

  test('who wakes doubts itself, speaks anew and asks two members before it probes anybody', () => {
    const stage = new Stage();
    stage.meet(ann, bob, cid);
    stage.until('ping', 2_000);
    const effects = stage.feed({ type: 'woke', gapMs: 3_600_000 });
    expect(sentIn(effects, 'digest')).toHaveLength(2);
    expect(stage.core.view()).toMatchObject({ lhm: 7, self: { incarnation: { n: 1 } } });
    const later = stage.pass(7_999);
    expect(sentIn(later, 'ping')).toEqual([]);
    expect(notesIn(later)).not.toContain('probe-failed');
  });

  test('a suspicion that was open before a sleep starts anew', () => {
    const stage = new Stage();
    stage.meet(ann, bob);
    stage.gossip(bob, verdictOf('suspect', ann, bob));
    stage.pass(4_000);
    stage.feed({ type: 'woke', gapMs: 60_000 });
    stage.pass(4_400);
    expect(stage.stateOf(ann)).toBe('suspect');
    stage.pass(200);
    expect(stage.stateOf(ann)).toBe('dead');
  });
});
