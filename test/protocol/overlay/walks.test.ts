import { describe, expect, test } from 'vitest';
import type { OverlayMessage } from '../../../src/protocol/overlay/messages.ts';
import { simNodeId } from '../../sim/routing-mesh.ts';
import { Stage, dialled, hint, kinds, numbers, said } from './stage.ts';

type Shuffle = Extract<OverlayMessage, { readonly kind: 'shuffle' }>;

const forwardJoin = (newcomer: number, ttl: number): OverlayMessage => ({
  kind: 'forward-join',
  newcomer: hint(newcomer),
  ttl,
});

const shuffle = (more: Partial<Shuffle>): Shuffle => ({
  kind: 'shuffle',
  origin: hint(40),
  hasRoom: false,
  ttl: 6,
  path: [simNodeId(40)],
  peers: [hint(41), hint(42)],
  ...more,
});

/** A node with neighbours 1 to `count`; their sessions have the same numbers. */
function among(count: number, activeMax = 5): Stage {
  const stage = new Stage({ activeMax });
  for (let at = 1; at <= count; at += 1) stage.befriend(at, 50);
  return stage;
}

describe('a join', () => {
  test('is forwarded with 6 hops to every other neighbour of the node that takes the newcomer in', () => {
    const stage = among(3);
    const session = stage.open(9);
    const effects = stage.hear(9, session, { kind: 'join', addresses: hint(9).addresses });
    const forwarded = said(effects).filter(({ message }) => message.kind === 'forward-join');
    expect(forwarded.map((one) => one.session)).toEqual([1, 2, 3]);
    for (const { message } of forwarded) expect(message).toEqual(forwardJoin(9, 6));
  });

  test('walks on to another neighbour with one hop less, never back and never to the newcomer', () => {
    for (let seed = 0; seed < 40; seed += 1) {
      const stage = new Stage({}, seed);
      for (const at of [1, 2, 9]) stage.befriend(at, 50);
      const [onward] = said(stage.hear(1, 1, forwardJoin(9, 6)));
      expect(onward).toEqual({ session: 2, message: forwardJoin(9, 5) });
    }
  });

  test('is noted in the passive view when 3 hops are left', () => {
    for (const [ttl, passive] of [
      [4, []],
      [3, [9]],
      [2, []],
    ] as const) {
      const stage = among(2);
      stage.hear(1, 1, forwardJoin(9, ttl));
      expect(stage.passive()).toEqual(passive);
    }
  });

  test('ends with a link that both ends agree on: the last node asks, and drops nobody before it is accepted', () => {
    const stage = among(2, 2);
    expect(dialled(stage.hear(1, 1, forwardJoin(9, 0)))).toEqual([9]);
    expect(stage.neighbours()).toEqual([1, 2]);
    const session = stage.open(9, { isDialler: true });
    const [request] = said(stage.effects);
    expect(request?.message).toMatchObject({ kind: 'neighbour', isUrgent: false });
    expect(stage.neighbours()).toEqual([1, 2]);
    const effects = stage.hear(9, session, { kind: 'accept' });
    expect(kinds(effects)).toEqual(['disconnect']);
    expect(stage.neighbours()).toContain(9);
    expect(stage.neighbours()).toHaveLength(2);
  });

  test('ends where there is nobody else to walk to', () => {
    const stage = among(1);
    expect(dialled(stage.hear(1, 1, forwardJoin(9, 6)))).toEqual([9]);
  });

  test('of a neighbour or of the node itself leads nowhere', () => {
    const stage = among(2);
    expect(stage.hear(1, 1, forwardJoin(2, 0))).toEqual([]);
    expect(stage.hear(1, 1, forwardJoin(0, 0))).toEqual([]);
  });
});

describe('a shuffle', () => {
  test('goes out every 10 s ± 20 % with up to 3 neighbours, 4 passive peers and the node itself', () => {
    const stage = among(5);
    for (let at = 20; at < 40; at += 1) stage.member(at);
    let last: number | undefined;
    for (let count = 0; count < 20; count += 1) {
      while (!kinds(stage.effects).includes('shuffle')) {
        stage.wait(stage.core.deadline() - stage.now);
      }
      const [sent] = said(stage.effects);
      const message = sent?.message as Shuffle;
      expect(message).toMatchObject({ origin: hint(0), ttl: 6, path: [simNodeId(0)] });
      const told = numbers(message.peers.map(({ node }) => node));
      expect(told).toHaveLength(7);
      expect(told.filter((at) => at <= 5)).toHaveLength(3);
      expect(told).not.toContain(sent?.session);
      if (last !== undefined) {
        expect(stage.now - last).toBeGreaterThanOrEqual(8_000);
        expect(stage.now - last).toBeLessThanOrEqual(12_000);
      }
      last = stage.now;
      stage.wait(stage.core.deadline() - stage.now);
    }
  });

  test('walks on with one hop less and the node in its path', () => {
    const stage = among(2);
    const [onward] = said(stage.hear(1, 1, shuffle({ ttl: 4, path: [40, 1].map(simNodeId) })));
    const path = [40, 1, 0].map(simNodeId);
    expect(onward).toEqual({ session: 2, message: shuffle({ ttl: 3, path }) });
    expect(stage.passive()).toEqual([]);
  });

  test('is answered back along its path with as many peers as it brought, which are taken over', () => {
    const stage = among(2);
    for (let at = 20; at < 40; at += 1) stage.member(at);
    const [answer] = said(stage.hear(1, 1, shuffle({ ttl: 1, path: [40, 7, 1].map(simNodeId) })));
    expect(answer?.session).toBe(1);
    const message = answer?.message as Extract<OverlayMessage, { kind: 'shuffle-reply' }>;
    expect(message.path).toEqual([40, 7].map(simNodeId));
    expect(message.peers).toHaveLength(3);
    for (const at of [40, 41, 42]) expect(stage.passive()).toContain(at);
  });

  test('is answered straight to an origin that is a neighbour, and there the answer is taken over', () => {
    const stage = among(2);
    stage.member(20);
    const message = shuffle({ origin: hint(2), ttl: 1, path: [2, 7, 1].map(simNodeId) });
    const [answer] = said(stage.hear(1, 1, message));
    expect(answer).toEqual({
      session: 2,
      message: { kind: 'shuffle-reply', path: [], peers: [hint(20)] },
    });
    stage.hear(2, 2, { kind: 'shuffle-reply', path: [], peers: [hint(60), hint(1), hint(0)] });
    expect(stage.passive()).toContain(60);
    expect(stage.passive()).not.toContain(1);
    expect(stage.passive()).not.toContain(0);
  });

  test('sends its answer on to the next node of the path, and drops it when that is no neighbour any more', () => {
    const stage = among(2);
    const peers = [hint(60)];
    const onward = stage.hear(1, 1, {
      kind: 'shuffle-reply',
      path: [40, 2].map(simNodeId),
      peers,
    });
    const path = [simNodeId(40)];
    expect(said(onward)).toEqual([{ session: 2, message: { kind: 'shuffle-reply', path, peers } }]);
    expect(stage.hear(1, 1, { kind: 'shuffle-reply', path, peers })).toEqual([]);
    expect(stage.passive()).toEqual([]);
  });

  test('replaces what was given away before anything else, and never grows the view beyond its size', () => {
    const stage = new Stage({ passiveMax: 10, shuffleMs: 100 });
    stage.befriend(1, 50);
    for (let at = 20; at < 30; at += 1) stage.member(at);
    while (!kinds(stage.effects).includes('shuffle')) {
      stage.wait(stage.core.deadline() - stage.now);
    }
    const [sent] = said(stage.effects);
    const message = sent?.message as Shuffle;
    const given = numbers(message.peers.map(({ node }) => node));
    expect(given).toHaveLength(4);
    const peers = [60, 61, 62, 63].map(hint);
    stage.hear(1, 1, { kind: 'shuffle-reply', path: [], peers });
    const view = stage.passive();
    expect(view).toHaveLength(10);
    for (const at of [60, 61, 62, 63]) expect(view).toContain(at);
    for (const at of given) expect(view).not.toContain(at);
  });

  test('lets two nodes meet that both look for a neighbour, four hops apart or more', () => {
    const far = [40, 6, 7, 1].map(simNodeId);
    const stage = among(3);
    expect(dialled(stage.hear(1, 1, shuffle({ hasRoom: true, path: far })))).toEqual([40]);
    const near = among(3);
    const path = [40, 7, 1].map(simNodeId);
    expect(dialled(near.hear(1, 1, shuffle({ hasRoom: true, path })))).toEqual([]);
    const full = among(5);
    expect(dialled(full.hear(1, 1, shuffle({ hasRoom: true, path: far })))).toEqual([]);
  });

  test('that claims another sender, comes from no neighbour or comes home is ignored', () => {
    const stage = among(2);
    expect(stage.hear(1, 1, shuffle({ path: [simNodeId(40)] }))).toEqual([]);
    expect(stage.hear(1, 1, shuffle({ origin: hint(0), path: [simNodeId(1)] }))).toEqual([]);
    const session = stage.open(30);
    expect(stage.hear(30, session, shuffle({ path: [simNodeId(30)] }))).toEqual([]);
    expect(stage.passive()).toEqual([]);
  });
});

describe('addresses', () => {
  test('told by a third party are not believed about a peer that is known', () => {
    const stage = among(5);
    stage.member(20);
    const lie = { node: simNodeId(20), addresses: [{ host: '10.6.6.6', port: 1 }] };
    stage.hear(1, 1, { kind: 'shuffle-reply', path: [], peers: [lie] });
    const [dial] = stage.close(1, 1).filter(({ type }) => type === 'dial');
    expect(dial).toMatchObject({ type: 'dial', addresses: hint(20).addresses });
  });

  test('are needed: a peer without one is not taken into the passive view', () => {
    const stage = among(1);
    const peers = [{ node: simNodeId(20), addresses: [] }];
    stage.hear(1, 1, { kind: 'shuffle-reply', path: [], peers });
    expect(stage.passive()).toEqual([]);
    expect(stage.core.view().candidates).toHaveLength(1);
  });
});
