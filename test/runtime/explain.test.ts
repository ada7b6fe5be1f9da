import { describe, expect, onTestFinished, test } from 'vitest';
import { connectAsync } from 'mqtt';
import type { AgentHandles, MeshNode, MessageExplanation } from '../../src/index.ts';
import type { NodeId } from '../../src/kernel/ids.ts';
import { followWay, hopsOf } from '../../src/runtime/explain/explanation.ts';
import type { TopicAnswer } from '../../src/wire/explain-codec.ts';
import { simNodeId } from '../sim/routing-mesh.ts';
import { startMesh, startNode, until } from './loopback.ts';

type Node = MeshNode & AgentHandles;

async function mesh(...names: string[]): Promise<[Node, Node, Node]> {
  return [...(await startMesh(...names))] as unknown as [Node, Node, Node];
}

/** Publishes an event, and gives its id. */
async function publish(node: MeshNode, topic: string): Promise<string> {
  const { id } = await node.publish(topic, 'x');
  if (id === undefined) throw new Error('an event has an id');
  return id;
}

/** Every member has said what it wants, and so many nodes want this. */
function knows(node: MeshNode, topic: string, count: number): Promise<void> {
  return until(() => {
    const { nodes, groups } = node.listeners(topic);
    const isSaid = nodes.every(({ why }) => why !== 'unknown');
    return isSaid && nodes.length + groups.length === count;
  });
}

const stepsAt = (told: MessageExplanation, name: string): string[] =>
  told.stations
    .filter((one) => one.name === name)
    .flatMap(({ steps }) =>
      steps.map(({ fate, cause, peer }) => [fate, cause, peer?.name].filter(Boolean).join(' ')),
    );

describe('an explanation of a message', () => {
  test('follows it from its publisher to each subscriber, and says who did not want it', async () => {
    const [ann, bob, cat] = await mesh('ann', 'bob', 'cat');
    const ids: string[] = [];
    bob.subscribe('door/+', ({ id }) => ids.push(id));
    for (const node of [ann, cat]) await knows(node, 'door/front', 1);
    const id = await publish(ann, 'door/front');
    expect(ids).toEqual([id]);
    const told = await cat.explain.message(id);
    expect(told).toMatchObject({
      id,
      origin: { node: ann.id, name: 'ann' },
      isKnown: true,
      topic: 'door/front',
      owed: [],
      silent: [],
      without: [{ node: cat.id, name: 'cat', why: 'no-interest' }],
    });
    expect(told.stations.map(({ name, hop }) => [name, hop])).toEqual([
      ['ann', 0],
      ['bob', 1],
    ]);
    expect(stepsAt(told, 'ann')).toEqual(['published', 'sent bob']);
    expect(stepsAt(told, 'bob')).toEqual(['received ann', 'delivered']);
  });

  test('of a group names the node whose member took it, under the same id', async () => {
    const [ann, bob] = await mesh('ann', 'bob');
    const ids: string[] = [];
    bob.subscribe('$share/g/job', ({ id }) => ids.push(id));
    await knows(ann, 'job', 1);
    const id = await publish(ann, 'job');
    expect(ids).toEqual([id]);
    expect(stepsAt(await ann.explain.message(id), 'bob')).toEqual(['received ann', 'shared']);
  });

  test('at qos 0 has an id for whoever asks for it', async () => {
    const node = await startNode('solo');
    const ids: string[] = [];
    node.subscribe('t', (message) => ids.push(message.id));
    expect(await node.publish('t', 'x', { qos: 0 })).toEqual({ id: undefined });
    const { id } = await node.publish('t', 'x', { qos: 0, named: true });
    expect(ids[1]).toBe(id);
    expect(new Set(ids).size).toBe(2);
  });

  test('that nobody wanted, or that nobody remembers, says so', async () => {
    const [ann] = await mesh('ann', 'bob');
    await knows(ann, 'void', 0);
    const id = await publish(ann, 'void');
    const told = await ann.explain.message(id);
    expect(stepsAt(told, 'ann')).toEqual(['published']);
    expect(told.without).toMatchObject([{ name: 'bob', why: 'no-interest' }]);
    const [origin = '', , count = ''] = id.split('-');
    const older = await ann.explain.message(`${origin}-1-${count}`);
    expect(older).toMatchObject({ isKnown: false, stations: [], without: [] });
    await expect(ann.explain.message('nonsense')).rejects.toMatchObject({
      code: 'MYCEL_BAD_OPTION',
    });
  });
});

describe('an explanation of a topic', () => {
  test('says who would get a message, why, and over which links', async () => {
    const [ann, bob, cat] = await mesh('ann', 'bob', 'cat');
    bob.subscribe('door/+', () => {});
    ann.subscribe('#', () => {});
    await knows(ann, 'door/front', 2);
    await ann.publish('door/front', 'x');
    const told = await ann.explain.topic('door/front');
    expect(told.channels).toEqual({ signal: 'data', event: 'events' });
    expect(told.receivers).toMatchObject([
      { name: 'ann', why: 'filter', filters: ['#'], way: 'here', hops: [] },
      { name: 'bob', why: 'filter', filters: ['door/+'], way: 'direct' },
    ]);
    const [hop] = told.receivers[1]?.hops ?? [];
    expect(hop).toMatchObject({ from: { node: ann.id }, to: { node: bob.id } });
    expect(hop?.queuedBytes).toBeGreaterThanOrEqual(0);
    expect(told.others).toEqual([{ node: cat.id, name: 'cat', why: 'no-interest' }]);
    const fates = new Map(told.fates.map((one) => [one.name, one.fates]));
    expect(fates.get('bob')?.map(({ fate, count }) => [fate, count])).toEqual([
      ['received', 1],
      ['delivered', 1],
    ]);
  });

  test('counts what a guest was refused by its rules', async () => {
    const node = await startNode('solo', { logLevel: 'silent' });
    await node.found('home');
    const { password, port } = await node.addGuest('plug', undefined);
    const guest = await connectAsync(`mqtt://127.0.0.1:${port}`, {
      username: 'plug',
      password,
      reconnectPeriod: 0,
    });
    onTestFinished(() => void guest.end(true));
    await guest.publishAsync('house/secret', 'x', { qos: 1 });
    const told = await node.explain.topic('house/secret');
    expect(told.fates[0]?.fates).toMatchObject([
      { fate: 'dropped', cause: 'acl', detail: 'guest plug: outside the guest rules', count: 1 },
    ]);
  });
});

describe('a way', () => {
  const ids = [0, 1, 2, 3].map(simNodeId) as [NodeId, NodeId, NodeId, NodeId];
  const answer = (next: readonly (readonly [NodeId, readonly NodeId[]])[]): TopicAnswer => ({
    links: [],
    next: next.map(([to, via]) => ({ to, via })),
    isFlooded: false,
    fates: [],
  });

  test('is followed from next hop to next hop, and ends where nobody knows on', () => {
    const [a, b, c, d] = ids;
    const answers = new Map([
      [a, answer([[d, [b]]])],
      [b, answer([[d, [c]]])],
      [c, answer([[d, [d]]])],
    ]);
    expect(followWay(a, d, answers)).toEqual({
      way: 'relayed',
      hops: [
        [a, b],
        [b, c],
        [c, d],
      ],
    });
    answers.set(c, answer([[d, [b]]]));
    expect(followWay(a, d, answers).way).toBe('none');
    answers.delete(c);
    expect(followWay(a, d, answers).way).toBe('none');
    expect(followWay(a, c, new Map([[a, answer([[c, [b, d]]])]])).way).toBe('flooded');
  });

  test('that a message took is counted in links from its origin', () => {
    const [a, b, c, d] = ids;
    const sent = (...peers: NodeId[]) => ({
      owed: [],
      steps: peers.map((peer) => ({ at: 0, fate: 'sent' as const, peer, detail: '' })),
    });
    const hops = hopsOf(
      a,
      new Map([
        [a, sent(b)],
        [b, sent(c, a)],
        [c, sent(d, b)],
      ]),
    );
    expect([...hops]).toEqual([
      [a, 0],
      [b, 1],
      [c, 2],
      [d, 3],
    ]);
  });
});
