import { describe, expect, test } from 'vitest';
import { simNodeId } from '../../sim/routing-mesh.ts';
import { Stage, dialled, hint, hungUp, kinds, said } from './stage.ts';

const own = hint(0).addresses;

describe('a HyParView node without neighbours', () => {
  test('joins through the first peer it hears of, and has a neighbour only when that one accepts', () => {
    const stage = new Stage();
    expect(dialled(stage.sight(1))).toEqual([1]);
    const session = stage.open(1, { isDialler: true });
    expect(said(stage.effects)).toEqual([{ session, message: { kind: 'join', addresses: own } }]);
    expect(stage.neighbours()).toEqual([]);
    const up = stage.hear(1, session, { kind: 'accept' });
    const node = simNodeId(1);
    expect(up).toContainEqual({ type: 'announce', what: 'neighbourUp', node, session });
    expect(stage.neighbours()).toEqual([1]);
  });

  test('asks the next peer at once when one fails, and after a second when one is silent', () => {
    const stage = new Stage();
    stage.sight(1);
    stage.sight(2);
    stage.sight(3);
    const [first = 0] = dialled([...stage.effects]).concat(1);
    const second = dialled(stage.fail(first));
    expect(second).toHaveLength(1);
    expect(second).not.toEqual([first]);
    expect(dialled(stage.wait(999))).toEqual([]);
    expect(dialled(stage.wait(1))).toHaveLength(1);
  });

  test('asks urgently once it has joined, and joins anew when it knows nobody', () => {
    const stage = new Stage();
    stage.sight(1);
    const session = stage.open(1, { isDialler: true });
    stage.hear(1, session, { kind: 'accept' });
    stage.sight(2);
    const refused = stage.open(2, { isDialler: true });
    stage.hear(2, refused, { kind: 'refuse', peers: [] });
    stage.close(1, session);
    expect(dialled(stage.effects)).toEqual([2]);
    const urgent = stage.open(2, { isDialler: true });
    expect(said(stage.effects)).toEqual([
      { session: urgent, message: { kind: 'neighbour', isUrgent: true, addresses: own } },
    ]);
    stage.close(2, urgent);
    expect(stage.passive()).toEqual([]);
    stage.wait(1_000);
    stage.sight(3);
    stage.open(3, { isDialler: true });
    expect(kinds(stage.effects)).toEqual(['join']);
  });

  test('goes on asking for ever, at most every 30 s ± 50 % each, when nobody answers', () => {
    const stage = new Stage();
    stage.member(1);
    let dials = 1;
    for (let count = 0; count < 40; count += 1) {
      stage.fail(1);
      const wait = stage.core.deadline() - stage.now;
      expect(wait).toBeLessThanOrEqual(45_000);
      while (dialled(stage.effects).length === 0) stage.wait(stage.core.deadline() - stage.now);
      dials += 1;
    }
    expect(dials).toBe(41);
  });

  test('asks at once, whatever the back-off, when its own network changed', () => {
    const stage = new Stage();
    stage.member(1);
    for (let count = 0; count < 12; count += 1) {
      stage.fail(1);
      while (dialled(stage.effects).length === 0) stage.wait(stage.core.deadline() - stage.now);
    }
    stage.fail(1);
    expect(dialled(stage.wait(1_000))).toEqual([]);
    expect(dialled(stage.feed({ type: 'selfMoved', addresses: own }))).toEqual([1]);
  });

  test('gives up on a peer that takes the connection and says nothing for 5 s', () => {
    const stage = new Stage();
    stage.sight(1);
    const session = stage.open(1, { isDialler: true });
    expect(hungUp(stage.wait(4_999))).toEqual([]);
    expect(hungUp(stage.wait(1))).toEqual([session]);
    expect(stage.passive()).toEqual([]);
  });
});

describe('a HyParView node that is asked', () => {
  test('accepts while it has room, says so before it counts the peer, and then knows its address', () => {
    const stage = new Stage();
    const session = stage.open(1);
    expect(stage.effects).toEqual([]);
    const effects = stage.hear(1, session, { kind: 'neighbour', isUrgent: false, addresses: own });
    expect(effects.map(({ type }) => type)).toEqual(['send', 'announce']);
    expect(kinds(effects)).toEqual(['accept']);
    expect(stage.neighbours()).toEqual([1]);
  });

  test('refuses politely when it is full, and hangs up', () => {
    const stage = new Stage({ activeMax: 2 });
    stage.befriend(1, 5);
    stage.befriend(2, 5);
    const session = stage.open(3);
    const refusal = stage.hear(3, session, { kind: 'neighbour', isUrgent: false, addresses: own });
    expect(said(refusal)).toEqual([{ session, message: { kind: 'refuse', peers: [] } }]);
    expect(hungUp(refusal)).toEqual([session]);
    expect(stage.neighbours()).toEqual([1, 2]);
  });

  test('makes room for an urgent peer, tells the dropped one on its own session and remembers it', () => {
    const stage = new Stage({ activeMax: 2 });
    const first = stage.befriend(1, 5, 6);
    stage.befriend(2, 5);
    const session = stage.open(3);
    const effects = stage.hear(3, session, { kind: 'neighbour', isUrgent: true, addresses: own });
    expect(said(effects)).toEqual([
      { session: first, message: { kind: 'disconnect' } },
      { session, message: { kind: 'accept' } },
    ]);
    expect(hungUp(effects)).toEqual([first]);
    expect(stage.neighbours()).toEqual([2, 3]);
    expect(stage.passive()).toEqual([1]);
  });

  test('drops the neighbour that a common neighbour keeps in reach, else the one with the most links', () => {
    const crowd = new Stage({ activeMax: 3 });
    crowd.befriend(1, 5, 6, 7, 8);
    crowd.befriend(2, 9, 3);
    crowd.befriend(3, 9);
    const late = crowd.open(4);
    crowd.hear(4, late, { kind: 'join', addresses: own });
    expect(crowd.neighbours()).toEqual([1, 3, 4]);
    const apart = new Stage({ activeMax: 3 });
    apart.befriend(1, 5, 6, 7, 8);
    apart.befriend(2, 9);
    apart.befriend(3, 10, 11);
    apart.hear(4, apart.open(4), { kind: 'join', addresses: own });
    expect(apart.neighbours()).toEqual([2, 3, 4]);
  });

  test('never drops the last link of a neighbour: it refuses, and names those who have room themselves', () => {
    const stage = new Stage({ activeMax: 2 });
    stage.befriend(1);
    stage.befriend(2);
    const session = stage.open(3);
    const refusal = stage.hear(3, session, { kind: 'join', addresses: own });
    expect(said(refusal)).toEqual([
      { session, message: { kind: 'refuse', peers: [hint(1), hint(2)] } },
    ]);
    expect(stage.neighbours()).toEqual([1, 2]);
    const asker = new Stage();
    asker.sight(3);
    const asked = asker.open(3, { isDialler: true });
    asker.hear(3, asked, { kind: 'refuse', peers: [hint(1), hint(2)] });
    expect(asker.passive()).toEqual([1, 2, 3]);
    expect([1, 2, 3]).toContain(dialled(asker.effects)[0]);
  });

  test('counts a silent neighbour as room, before its link is known to be dead', () => {
    const stage = new Stage({ activeMax: 2 });
    const silent = stage.befriend(1, 5);
    stage.befriend(2, 5);
    const node = simNodeId(1);
    stage.feed({ type: 'linkQuiet', node, session: silent, isQuiet: true });
    const session = stage.open(3);
    stage.hear(3, session, { kind: 'neighbour', isUrgent: false, addresses: own });
    expect(stage.neighbours()).toEqual([2, 3]);
    expect(stage.passive()).toEqual([]);
    const again = new Stage({ activeMax: 1 });
    const heard = again.befriend(1, 5);
    for (const isQuiet of [true, false]) {
      again.feed({ type: 'linkQuiet', node, session: heard, isQuiet });
    }
    again.hear(2, again.open(2), { kind: 'neighbour', isUrgent: false, addresses: own });
    expect(again.neighbours()).toEqual([1]);
  });

  test('hangs up on a peer that dials and asks nothing', () => {
    const stage = new Stage();
    const session = stage.open(1);
    expect(hungUp(stage.wait(5_000))).toEqual([session]);
  });

  test('lets nobody in that was evicted, nor itself', () => {
    const stage = new Stage();
    stage.feed({ type: 'memberGone', node: simNodeId(1), reason: 'evicted' });
    const session = stage.open(1);
    expect(stage.effects).toEqual([{ type: 'hangUp', session, reason: 'refused' }]);
    expect(hungUp((stage.open(0), stage.effects))).toHaveLength(1);
    expect(stage.core.view().candidates).toEqual([]);
  });
});

describe('a HyParView link', () => {
  test('is given up by a disconnect on its own session only: a stale one hits nobody', () => {
    const stage = new Stage();
    const old = stage.befriend(1);
    const fresh = stage.open(1, { boot: 2 });
    stage.hear(1, fresh, { kind: 'neighbour', isUrgent: false, addresses: own });
    stage.hear(1, old, { kind: 'disconnect' });
    expect(stage.neighbours()).toEqual([1]);
    stage.hear(1, fresh, { kind: 'disconnect' });
    expect(stage.neighbours()).toEqual([]);
    expect(stage.passive()).toEqual([1]);
  });

  test('of an earlier life of the peer ends when the peer dials again', () => {
    const stage = new Stage();
    const old = stage.befriend(1);
    stage.open(1, { boot: 2 });
    const node = simNodeId(1);
    const reason = 'superseded';
    expect(stage.effects).toContainEqual({ type: 'announce', what: 'neighbourDown', node, reason });
    expect(hungUp(stage.effects)).toEqual([old]);
  });

  test('that is lost is replaced at once', () => {
    const stage = new Stage({ activeMax: 3 });
    const [lost] = [stage.befriend(1), stage.befriend(2), stage.befriend(3)];
    stage.member(4);
    expect(dialled(stage.wait(0))).toEqual([]);
    expect(dialled(stage.close(1, lost ?? 0))).toEqual([4]);
  });

  test('that a full node did not need after all is declined when it is accepted', () => {
    const stage = new Stage({ activeMax: 2 });
    stage.befriend(1);
    stage.member(9);
    expect(dialled(stage.effects)).toEqual([9]);
    const session = stage.open(9, { isDialler: true });
    stage.befriend(2);
    const effects = stage.hear(9, session, { kind: 'accept' });
    expect(kinds(effects)).toEqual(['disconnect']);
    expect(stage.neighbours()).toEqual([1, 2]);
    expect(stage.passive()).toContain(9);
  });

  test('to a peer that refuses is tried again later and later, and others before it', () => {
    const stage = new Stage({ activeMax: 1 });
    stage.member(1);
    const session = stage.open(1, { isDialler: true });
    stage.hear(1, session, { kind: 'refuse', peers: [] });
    expect(dialled(stage.effects)).toEqual([]);
    expect(dialled(stage.member(2))).toEqual([2]);
    expect(hungUp(stage.wait(250))).toEqual([session]);
  });
});

describe('a HyParView node with room', () => {
  test('fills up at once below three neighbours, and one dial in 5 s ± 20 % above', () => {
    const inNeed = new Stage();
    inNeed.befriend(1);
    const atOnce = [2, 3, 4, 5, 6, 7].flatMap((at) => dialled(inNeed.member(at)));
    expect(atOnce).toHaveLength(4);
    const calm = new Stage();
    for (let at = 1; at <= 3; at += 1) calm.befriend(at);
    for (let at = 4; at <= 20; at += 1) calm.member(at);
    let dials = dialled(calm.effects).length;
    for (let second = 0; second < 60; second += 1) {
      for (const at of dialled(calm.wait(1_000))) {
        dials += 1;
        calm.fail(at);
      }
    }
    expect(dials).toBeGreaterThanOrEqual(10);
    expect(dials).toBeLessThanOrEqual(15);
  });

  test('dials up to what it lacks at the same time, and never more than eight', () => {
    const stage = new Stage({ activeMax: 20, activeMin: 20 });
    stage.befriend(1);
    const dials: number[] = [];
    for (let at = 2; at <= 20; at += 1) dials.push(...dialled(stage.member(at)));
    expect(dials).toHaveLength(8);
  });

  test('leaves out members that sleep, are dead or have left', () => {
    const stage = new Stage();
    stage.befriend(9, 1);
    for (const at of [1, 2, 3]) stage.member(at);
    for (const at of dialled(stage.wait(10))) stage.fail(at);
    stage.feed({ type: 'memberSlept', node: simNodeId(1) });
    stage.feed({ type: 'memberGone', node: simNodeId(2), reason: 'dead' });
    stage.feed({ type: 'memberGone', node: simNodeId(3), reason: 'left' });
    expect(stage.passive()).toEqual([]);
    expect(dialled(stage.wait(120_000))).toEqual([]);
    expect(dialled(stage.member(2))).toEqual([2]);
  });
});

describe('a HyParView node with a full view', () => {
  /** Linked with 1 to 5, each of which has more links. */
  function full(): Stage {
    const stage = new Stage();
    for (let at = 1; at <= 5; at += 1) {
      stage.member(at);
      stage.befriend(at, 50, 51);
    }
    return stage;
  }

  test('joins through a member that links do not lead to, at the cost of one it has', () => {
    const stage = full();
    stage.member(9);
    expect(dialled(stage.feed({ type: 'torn', towards: simNodeId(9) }))).toEqual([9]);
    const session = stage.open(9, { isDialler: true });
    expect(kinds(stage.effects)).toEqual(['join']);
    expect(kinds(stage.hear(9, session, { kind: 'accept' }))).toEqual(['disconnect']);
    expect(stage.neighbours()).toContain(9);
    expect(stage.neighbours()).toHaveLength(5);
  });

  test('dials a member that it needs to speak to until they are linked', () => {
    const stage = full();
    stage.member(9);
    expect(dialled(stage.feed({ type: 'wanted', node: simNodeId(9) }))).toEqual([9]);
    stage.fail(9);
    expect(dialled(stage.wait(10_000))).toEqual([9]);
    const session = stage.open(9, { isDialler: true });
    stage.hear(9, session, { kind: 'accept' });
    expect(stage.neighbours()).toContain(9);
    expect(dialled(stage.wait(60_000))).toEqual([]);
    expect(dialled(stage.feed({ type: 'wanted', node: simNodeId(9) }))).toEqual([]);
  });

  test('calls a stranger that stays in sight and does not become a member', () => {
    const stage = full();
    stage.sight(9);
    expect(dialled(stage.wait(9_999))).toEqual([]);
    expect(dialled(stage.wait(60_001))).toEqual([9]);
    const shy = full();
    shy.sight(9);
    shy.member(9);
    expect(dialled(shy.wait(120_000))).toEqual([]);
  });

  test('joins through one of several members that come back from the dead at once, in every other case', () => {
    let joins = 0;
    for (let seed = 0; seed < 60; seed += 1) {
      const stage = new Stage({}, seed);
      for (let at = 1; at <= 9; at += 1) {
        stage.member(at);
        if (at <= 5) stage.befriend(at, 50, 51);
      }
      const others = [6, 7, 8, 9];
      for (const at of others) {
        stage.feed({ type: 'memberGone', node: simNodeId(at), reason: 'dead' });
      }
      stage.wait(60_000);
      for (const at of others) stage.member(at);
      const dials = dialled(stage.wait(10_000));
      expect(dials.length).toBeLessThanOrEqual(1);
      for (const at of dials) expect(others).toContain(at);
      joins += dials.length;
    }
    expect(joins).toBeGreaterThan(15);
    expect(joins).toBeLessThan(45);
  });
});
