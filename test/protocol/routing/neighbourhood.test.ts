import { describe, expect, test } from 'vitest';
import type { NodeId } from '../../../src/kernel/ids.ts';
import type { Neighbourhood } from '../../../src/protocol/routing/neighbourhood.ts';
import { createNeighbourhood } from '../../../src/protocol/routing/neighbourhood.ts';
import { simNodeId } from '../../sim/routing-mesh.ts';

const self = simNodeId(0);
const ann = simNodeId(1);
const bob = simNodeId(2);
const cat = simNodeId(3);
const dan = simNodeId(4);

function linkedWith(...peers: NodeId[]): Neighbourhood {
  const near = createNeighbourhood(self);
  for (const peer of peers) near.add(peer);
  return near;
}

describe('a neighbourhood', () => {
  test('relays nothing on a complete mesh whose nodes have told their neighbours', () => {
    const near = linkedWith(ann, bob, cat);
    for (const peer of [ann, bob, cat]) near.heard(peer, [ann, bob, cat]);
    expect(near.relayTargets(ann, ann)).toEqual([]);
  });

  test('relays to the neighbours without a link to the origin, never back and never to the origin', () => {
    const near = linkedWith(ann, bob, cat);
    near.heard(ann, [self, bob]);
    expect(near.relayTargets(ann, ann)).toEqual([cat]);
    expect(near.relayTargets(dan, bob)).toEqual([ann, cat]);
    expect(near.relayTargets(dan, cat)).toEqual([ann, bob]);
  });

  test('believes in a link that only one of its ends has told of', () => {
    const near = linkedWith(ann, bob);
    near.heard(bob, [ann]);
    expect(near.relayTargets(ann, ann)).toEqual([]);
  });

  test('relays anew as soon as a neighbour tells of a lost link or a new neighbour comes', () => {
    const near = linkedWith(ann, bob);
    near.heard(bob, [self, ann]);
    expect(near.relayTargets(ann, ann)).toEqual([]);
    near.heard(bob, [self]);
    expect(near.relayTargets(ann, ann)).toEqual([bob]);
    near.add(cat);
    expect(near.relayTargets(ann, ann)).toEqual([bob, cat]);
    near.remove(bob);
    expect(near.relayTargets(ann, ann)).toEqual([cat]);
  });

  test('sends an address straight to a neighbour, else to one that knows it, else the way it came, else everywhere', () => {
    const near = linkedWith(ann, bob, cat);
    expect(near.ways(bob, undefined, false)).toEqual([bob]);
    expect(near.ways(bob, undefined, true)).toEqual([bob]);
    expect(near.ways(dan, ann, false)).toEqual([bob, cat]);
    near.learn(dan, cat);
    expect(near.ways(dan, undefined, false)).toEqual([cat]);
    expect(near.ways(dan, cat, false)).toEqual([ann, bob]);
    near.heard(bob, [self, dan]);
    expect(near.ways(dan, undefined, false)).toEqual([bob]);
    expect(near.ways(dan, undefined, true)).toEqual([ann, bob, cat]);
    expect(near.ways(dan, dan, true)).toEqual([]);
  });

  test('forgets the ways through a neighbour that is gone', () => {
    const near = linkedWith(ann, bob);
    near.learn(dan, ann);
    near.remove(ann);
    near.add(ann);
    expect(near.ways(dan, undefined, false)).toEqual([bob, ann]);
  });

  test('is not its own neighbour, and adds and removes each peer once', () => {
    const near = linkedWith(ann);
    expect(near.add(self)).toBe(false);
    expect(near.add(ann)).toBe(false);
    expect(near.remove(bob)).toBe(false);
    near.heard(bob, [ann]);
    expect(near.count()).toBe(1);
  });
});
