import { describe, expect, test } from 'vitest';
import { startMesh, startNode, until } from './loopback.ts';

describe('who listens to a topic', () => {
  test('is told with filters, groups, nodes and channels', async () => {
    const [ann, bob, cat] = await startMesh('ann', 'bob', 'cat');
    if (ann === undefined || bob === undefined || cat === undefined) throw new Error('no mesh');
    ann.subscribe('house/+', () => {});
    ann.subscribe('other', () => {});
    bob.subscribe('house/#', () => {});
    bob.subscribe('house/door', () => {});
    for (const node of [bob, cat]) node.subscribe('$share/log/house/#', () => {});
    await until(() => (ann.listeners('house/door').groups[0]?.nodes.length ?? 0) === 2);
    const { nodes, groups, ...rest } = ann.listeners('house/door');
    expect(nodes).toEqual([
      { node: ann.id, name: 'ann', isSelf: true, filters: ['house/+'], why: 'filter' },
      { node: bob.id, name: 'bob', isSelf: false, filters: ['house/#'], why: 'filter' },
    ]);
    expect(groups.map(({ filter, group }) => [filter, group])).toEqual([
      ['$share/log/house/#', 'log'],
    ]);
    expect(groups[0]?.nodes.map(({ name }) => name).toSorted()).toEqual(['bob', 'cat']);
    expect(rest).toEqual({
      topic: 'house/door',
      isHeard: true,
      channels: { signal: 'data', event: 'events' },
    });
    await bob.stop();
    await cat.stop();
    await until(() => ann.listeners('house/door').groups.length === 0);
    expect(ann.listeners('house/door').nodes.map(({ name }) => name)).toEqual(['ann']);
  });

  test('is nobody where nobody does, and a topic that cannot be is refused', async () => {
    const node = await startNode('solo', {
      channels: { bulk: { class: 'event', topics: ['bulk/#'] } },
    });
    expect(node.listeners('bulk/x')).toEqual({
      topic: 'bulk/x',
      isHeard: false,
      nodes: [],
      groups: [],
      channels: { signal: 'data', event: 'bulk' },
    });
    for (const topic of ['a/#', '', '$mycel/d']) {
      expect(() => node.listeners(topic)).toThrow(
        expect.objectContaining({ code: 'MYCEL_BAD_TOPIC' }),
      );
    }
  });
});
