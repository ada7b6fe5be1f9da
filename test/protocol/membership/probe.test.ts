/** The failure detector, conversation by conversation. */

import { describe, expect, test } from 'vitest';
import { Stage, ann, bob, cid, dan, notesIn, self, sentIn, verdictOf, wordOf } from './stage.ts';
import { swimProfiles } from '../../../src/protocol/membership/profiles.ts';
import { simMeta } from '../../sim/membership.ts';

const life = { boot: 1, instance: 7 };
const rider = new Uint8Array(0);

function ack(from: typeof ann, seq: number, subject = from) {
  return { kind: 'ack', from, seq, subject, life, rider, updates: [] } as const;
}

describe('a probe round', () => {
  test('pings one member a period, and an answer leaves it in peace', () => {
    const stage = new Stage();
    stage.meet(ann);
    const { message } = stage.until('ping', 2_000);
    stage.now += 12;
    stage.hear(ann, ack(ann, message.seq));
    stage.pass(900);
    expect(stage.stateOf(ann)).toBe('alive');
    expect(stage.core.member(ann)?.rttMs).toBe(12);
    expect(notesIn(stage.effects)).not.toContain('probe-failed');
  });

  test('smooths round-trip times over eight probes', () => {
    const stage = new Stage();
    stage.meet(ann);
    for (const rttMs of [8, 16]) {
      const { message } = stage.until('ping', 2_000);
      stage.now += rttMs;
      stage.hear(ann, ack(ann, message.seq));
    }
    expect(stage.core.member(ann)?.rttMs).toBe(9);
  });

  test('asks three helpers and the link when the direct ping takes too long, then accuses', () => {
    const stage = new Stage();
    stage.meet(ann, bob, cid, dan);
    stage.feed({ type: 'linkOpened', node: ann, address: { host: ann, port: 1 } });
    stage.until('ping', 20_000, ({ to }) => to === ann);
    const later = stage.pass(600);
    const asked = sentIn(later, 'ping-req').filter(({ message }) => message.target === ann);
    expect(new Set(asked.map(({ to }) => to))).toEqual(new Set([bob, cid, dan]));
    expect(later).toContainEqual(expect.objectContaining({ type: 'pingViaLink', node: ann }));
    stage.pass(500);
    expect(stage.stateOf(ann)).toBe('suspect');
  });

  test.each(['helper', 'link'] as const)('an answer by way of the %s is as good', (way) => {
    const stage = new Stage();
    stage.meet(ann, bob);
    stage.feed({ type: 'linkOpened', node: ann, address: { host: ann, port: 1 } });
    const { message } = stage.until('ping', 20_000, ({ to }) => to === ann);
    stage.pass(600);
    if (way === 'link') stage.feed({ type: 'linkPong', node: ann, seq: message.seq });
    else stage.hear(bob, ack(bob, message.seq, ann));
    stage.pass(300);
    expect(stage.stateOf(ann)).toBe('alive');
  });

  test('an answer that was delivered before the tick counts, however late it came', () => {
    const stage = new Stage();
    stage.meet(ann);
    const { message } = stage.until('ping', 2_000);
    stage.now += 5_000;
    expect(stage.core.isVerdictDue(stage.now)).toBe(true);
    // Whatever else arrives first passes no verdict.
    stage.gossip(bob, wordOf(bob));
    stage.hear(ann, ack(ann, message.seq));
    stage.feed({ type: 'tick' });
    expect(stage.stateOf(ann)).toBe('alive');
  });

  test('an answer for somebody else, or to another question, counts for nothing', () => {
    const stage = new Stage();
    stage.meet(ann);
    const { message } = stage.until('ping', 2_000);
    stage.hear(ann, ack(ann, message.seq + 1));
    stage.hear(ann, ack(bob, message.seq, bob));
    stage.pass(1_100);
    expect(stage.stateOf(ann)).toBe('suspect');
  });

  test('a ping meant for another node at this address is not answered', () => {
    const stage = new Stage();
    const ping = { kind: 'ping', from: ann, seq: 5, life, rider, updates: [] } as const;
    expect(sentIn(stage.hear(ann, { ...ping, target: bob }), 'ack')).toEqual([]);
    const [answer] = sentIn(stage.hear(ann, { ...ping, target: self }), 'ack');
    expect(answer?.message).toMatchObject({ seq: 5, subject: self });
  });

  test('a closed link has its member probed at once, out of turn', () => {
    const stage = new Stage();
    stage.meet(ann, bob, cid, dan);
    stage.feed({ type: 'linkOpened', node: cid, address: { host: cid, port: 1 } });
    const pings = sentIn(stage.feed({ type: 'linkClosed', node: cid }), 'ping');
    expect(pings.map(({ to }) => to)).toEqual([cid]);
    stage.pass(1_001);
    expect(stage.stateOf(cid)).toBe('suspect');
  });
});

describe('helping others', () => {
  test('a helper pings in their stead and passes the answer on', () => {
    const stage = new Stage();
    stage.meet(ann, bob);
    const request = { kind: 'ping-req', from: ann, seq: 77, target: bob, updates: [] } as const;
    const [ping] = sentIn(stage.hear(ann, request), 'ping');
    expect(ping?.to).toBe(bob);
    const [passed] = sentIn(stage.hear(bob, ack(bob, ping?.message.seq ?? 0)), 'ack');
    expect(passed).toMatchObject({ to: ann, message: { seq: 77, subject: bob, from: self } });
    expect(sentIn(stage.pass(2_000), 'nack')).toEqual([]);
  });

  test('a helper that gets no answer says so at 80 % of the timeout, and still passes on a late one', () => {
    const stage = new Stage();
    stage.meet(ann, bob);
    const request = { kind: 'ping-req', from: ann, seq: 77, target: bob, updates: [] } as const;
    const [ping] = sentIn(stage.hear(ann, request), 'ping');
    expect(sentIn(stage.pass(399), 'nack')).toEqual([]);
    expect(sentIn(stage.pass(1), 'nack')).toMatchObject([{ to: ann, message: { seq: 77 } }]);
    stage.now += 100;
    const [late] = sentIn(stage.hear(bob, ack(bob, ping?.message.seq ?? 0)), 'ack');
    expect(late?.message).toMatchObject({ seq: 77, subject: bob });
  });

  test('a helper that knows nobody of that name says so at once', () => {
    const stage = new Stage();
    stage.meet(ann);
    const request = { kind: 'ping-req', from: ann, seq: 8, target: dan, updates: [] } as const;
    expect(sentIn(stage.hear(ann, request), 'nack')).toHaveLength(1);
  });
});

describe('local health', () => {
  test('missing nacks worsen it, full nacks do not, answers mend it', () => {
    const silent = new Stage();
    silent.meet(ann, bob, cid, dan);
    silent.until('ping', 20_000);
    silent.pass(1_001);
    expect(silent.core.view().lhm).toBe(3);

    const answered = new Stage();
    answered.meet(ann, bob, cid, dan);
    const { message } = answered.until('ping', 20_000);
    answered.pass(600);
    for (const helper of [ann, bob, cid, dan].filter((node) => node !== message.target)) {
      answered.hear(helper, { kind: 'nack', from: helper, seq: message.seq });
    }
    answered.pass(401);
    expect(answered.core.view().lhm).toBe(0);
  });

  test('it stretches the period up to eight times and no further', () => {
    const stage = new Stage();
    stage.meet(ann);
    for (let round = 0; round < 40; round += 1) {
      stage.pass(1_000);
      stage.gossip(ann, wordOf(ann, 100 + round));
    }
    expect(stage.core.view().lhm).toBe(7);
    const first = stage.until('ping', 20_000);
    const began = stage.now;
    expect(first.to).toBe(ann);
    stage.until('ping', 20_000, ({ message }) => message.seq !== first.message.seq);
    expect(stage.now - began).toBeLessThanOrEqual(8_000);
    expect(stage.now - began).toBeGreaterThan(3_000);
  });

  test('a loop that was stuck discards its rounds and doubts itself', () => {
    const stage = new Stage();
    stage.meet(ann);
    stage.until('ping', 2_000);
    stage.now += 1_500;
    stage.feed({ type: 'loopLagged', ms: 1_200 });
    stage.feed({ type: 'tick' });
    expect(stage.stateOf(ann)).toBe('alive');
    expect(stage.core.view().lhm).toBe(1);
  });
});

describe('alive but stalled', () => {
  const stalledMeta = { ...simMeta, responderPort: 4_000 };

  function untilResponderAsked(): { stage: Stage; seq: number } {
    const stage = new Stage();
    stage.gossip(ann, wordOf(ann, 0, { meta: stalledMeta }));
    const { message } = stage.until('ping', 3_000, ({ port }) => port === 4_000);
    return { stage, seq: message.seq };
  }

  test('a member whose responder answers for a stuck process is stalled, not suspect', () => {
    const { stage, seq } = untilResponderAsked();
    stage.hear(ann, { kind: 'stalled', from: ann, seq, stalledMs: 4_000 });
    stage.pass(600);
    expect(stage.core.member(ann)).toMatchObject({ state: 'alive', isStalled: true });
    expect(stage.core.view().lhm).toBe(0);
  });

  test('beyond the limit the responder is no excuse', () => {
    const { stage, seq } = untilResponderAsked();
    stage.hear(ann, { kind: 'stalled', from: ann, seq, stalledMs: 30_001 });
    stage.pass(600);
    expect(stage.core.member(ann)).toMatchObject({ state: 'suspect', isStalled: false });
  });

  test('the first real answer ends the stall', () => {
    const { stage, seq } = untilResponderAsked();
    stage.hear(ann, { kind: 'stalled', from: ann, seq, stalledMs: 4_000 });
    stage.pass(600);
    const { message } = stage.until('ping', 3_000, ({ port }) => port === 1);
    stage.hear(ann, ack(ann, message.seq));
    expect(stage.core.member(ann)?.isStalled).toBe(false);
  });
});

describe('the buddy system', () => {
  test('a suspect hears of it first, in the next ping', () => {
    const stage = new Stage();
    stage.meet(ann, bob, cid);
    const accusation = verdictOf('suspect', ann, bob);
    stage.gossip(bob, accusation);
    const { message } = stage.until('ping', 20_000, ({ to }) => to === ann);
    expect(message.updates[0]).toEqual(accusation);
  });

  test('the accused answers a ping that accuses it with a newer word, in the answer itself', () => {
    const stage = new Stage();
    stage.meet(ann);
    const updates = [verdictOf('suspect', self, ann)];
    const ping = { kind: 'ping', from: ann, seq: 1, target: self, life, rider, updates } as const;
    const [answer] = sentIn(stage.hear(ann, ping), 'ack');
    expect(answer?.message.updates[0]).toMatchObject({
      node: self,
      incarnation: { boot: 1, n: 1 },
    });
    // Later copies of the same accusation raise nothing, but their senders still hear the newest word.
    const [again] = sentIn(stage.hear(ann, { ...ping, seq: 2 }), 'ack');
    expect(again?.message.updates[0]).toMatchObject({ node: self, incarnation: { boot: 1, n: 1 } });
  });
});

describe('a suspicion that is short of confirmations', () => {
  test('is asked about once more a period before its shortest end, in time for what helpers know', () => {
    const stage = new Stage();
    stage.meet(ann, bob, cid, dan);
    stage.gossip(bob, verdictOf('suspect', ann, bob));
    const { suspicionMult, probeIntervalMs, probeTimeoutMs } = swimProfiles.wired;
    const shortestAt = stage.now + suspicionMult * probeIntervalMs;
    stage.pass(shortestAt - probeIntervalMs - 1 - stage.now);
    expect(sentIn(stage.pass(1), 'ping').map(({ to }) => to)).toEqual([ann]);
    const asked = sentIn(stage.pass(probeTimeoutMs), 'ping-req');
    expect(asked.some(({ message }) => message.target === ann)).toBe(true);
    stage.gossip(cid, verdictOf('suspect', ann, cid), verdictOf('suspect', ann, dan));
    stage.pass(shortestAt - 1 - stage.now);
    expect(stage.stateOf(ann)).toBe('suspect');
    stage.pass(1);
    expect(stage.stateOf(ann)).toBe('dead');
  });

  test.each(['suspect', 'dead'] as const)(
    'a helper that thinks the target %s tells the asker who accuses it',
    (kind) => {
      const stage = new Stage();
      stage.meet(ann, bob, cid, dan);
      const accusations = [verdictOf('suspect', ann, bob), verdictOf('suspect', ann, cid)];
      stage.gossip(bob, ...accusations);
      const buried = verdictOf('dead', ann, cid);
      if (kind === 'dead') stage.gossip(cid, buried);
      const effects = stage.hear(dan, {
        kind: 'ping-req',
        from: dan,
        seq: 9,
        target: ann,
        updates: [],
      });
      const told = sentIn(effects, 'gossip').filter(({ to }) => to === dan);
      expect(told.map(({ message }) => message.updates)).toEqual([
        kind === 'dead' ? [buried] : accusations,
      ]);
    },
  );

  test('a helper that thinks well of the target says nothing of it', () => {
    const stage = new Stage();
    stage.meet(ann, bob);
    const effects = stage.hear(bob, {
      kind: 'ping-req',
      from: bob,
      seq: 9,
      target: ann,
      updates: [],
    });
    expect(sentIn(effects, 'gossip')).toEqual([]);
  });
});
