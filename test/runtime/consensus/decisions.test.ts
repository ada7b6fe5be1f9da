/** What a node's programs get of consensus, on real nodes of one mesh on loopback. */

import { describe, expect, test, vi } from 'vitest';
import { createFence } from '../../../src/index.ts';
import { startMesh, startNode } from '../loopback.ts';

describe('a node alone', () => {
  test('decides by itself: keys, locks, numbers, meetings and roles', async () => {
    const node = await startNode('alone');
    expect(await node.kv.get('missing')).toBeUndefined();
    const version = await node.kv.put('lamp', { on: true, by: ['ann'] });
    expect(await node.kv.get('lamp')).toEqual({ value: { on: true, by: ['ann'] }, version });
    expect(await node.kv.cas('lamp', { value: { by: ['ann'], on: true } }, 7)).toMatchObject({
      isDone: true,
    });
    expect(await node.kv.cas('lamp', { version }, 8)).toMatchObject({ isDone: false });
    expect(await node.kv.cas('new', { version: 0 }, 1)).toMatchObject({ isDone: true });
    expect(await node.kv.keys()).toEqual(['lamp', 'new']);
    await node.kv.delete('lamp');
    expect(await node.kv.keys('l')).toEqual([]);

    const held = await node.lock('door', { ttl: 2_000 });
    await expect(node.lock('door', { wait: 0 })).rejects.toMatchObject({ code: 'MYCEL_LOCK_BUSY' });
    await held.release();
    const again = await node.lock('door');
    expect(again.token).toBeGreaterThan(held.token);
    await again.release();

    const numbers = node.sequence('ticket');
    expect([await numbers.next(), await numbers.next(10), await numbers.next()]).toEqual([
      1, 2, 12,
    ]);
    await Promise.all([1, 2, 3].map(() => node.barrier('start', { parties: 3 })));
    await expect(node.barrier('start', { parties: 2, wait: 50 })).rejects.toMatchObject({
      code: 'MYCEL_TIMEOUT',
    });
    const role = await node.elect('cook');
    expect(await node.leader('cook')).toMatchObject({ leader: node.id, token: role.token });
    expect(await node.leader()).toMatchObject({ leader: node.id, voters: [node.id] });
    await role.release();
    expect(await node.leader('cook')).toMatchObject({ leader: undefined });
  });

  test('begins its group once, however many ask at once, and none of them keeps it from being led', async () => {
    const node = await startNode('asked');
    const asked = [1, 2, 3].map((value) => node.kv.put(`key/${value}`, value));
    await Promise.all([...asked, node.leader(), node.lock('door').then((held) => held.release())]);
    expect(await node.kv.keys('key/')).toEqual(['key/1', 'key/2', 'key/3']);
  });

  test('bad input is refused before anything is decided', async () => {
    const node = await startNode('strict');
    const bad = { code: 'MYCEL_BAD_OPTION' };
    await expect(node.kv.put('', 1)).rejects.toMatchObject(bad);
    await expect(node.kv.put('a\nb', 1)).rejects.toMatchObject(bad);
    await expect(node.kv.put('x'.repeat(257), 1)).rejects.toMatchObject(bad);
    await expect(node.kv.put('f', (() => 1) as never)).rejects.toMatchObject(bad);
    await expect(node.lock('l', { ttl: 1 })).rejects.toMatchObject(bad);
    await expect(node.semaphore('l', { permits: 0 })).rejects.toMatchObject(bad);
    await expect(node.sequence('s').next(0)).rejects.toMatchObject(bad);
    await expect(node.kv.put('big', 'x'.repeat(17_000))).rejects.toMatchObject({
      code: 'MYCEL_GROUP_FULL',
    });
  });
});

describe('a node that decided alone before it belonged to a mesh', () => {
  test('leaves that behind when it joins one, and takes a seat there; the founder keeps what it decided', async () => {
    const ann = await startNode('ann');
    const ben = await startNode('ben');
    const alerts: string[] = [];
    ann.on('alert', ({ code }) => alerts.push(code));
    await ann.kv.put('who', 'ann');
    await ben.kv.put('who', 'ben');
    await ben.join((await ann.invite()).invite);
    await vi.waitFor(async () => expect((await ben.kv.get('who'))?.value).toBe('ann'), {
      timeout: 10_000,
    });
    expect(await ben.leader()).toMatchObject({ leader: ann.id });
    const cat = await startNode('cat', { join: (await ann.invite()).invite });
    // It asks at once, while it may still be on its way in.
    await cat.kv.get('who');
    for (const node of [ann, ben, cat]) {
      await vi.waitFor(
        async () => {
          const { leader, voters } = await node.leader();
          expect([leader, voters.length]).toEqual([ann.id, 3]);
        },
        { timeout: 20_000, interval: 50 },
      );
    }
    expect((await cat.kv.get('who'))?.value).toBe('ann');
    // What the others led before is no second group of this mesh.
    expect(alerts).toEqual([]);
  }, 60_000);
});

describe('a mesh of three', () => {
  test('grows a group of three voters by itself, and any node may ask', async () => {
    const nodes = await startMesh('one', 'two', 'three');
    const [one, two, three] = nodes as [(typeof nodes)[0], (typeof nodes)[0], (typeof nodes)[0]];
    await two.kv.put('colour', 'green');
    expect((await three.kv.get('colour'))?.value).toBe('green');
    await vi.waitFor(
      async () =>
        expect((await one.leader()).voters.toSorted()).toEqual(
          nodes.map(({ id }) => id).toSorted(),
        ),
      { timeout: 20_000, interval: 50 },
    );
    expect((await one.kv.get('colour'))?.value).toBe('green');

    // A lock goes from node to node in the order of asking, each with a higher token, and the sink sees no late one.
    const fence = createFence();
    const order: string[] = [];
    await Promise.all(
      nodes.map(async (node) => {
        const held = await node.lock('sink', { wait: 20_000 });
        fence.check(held.token);
        order.push(node.name);
        await held.release();
      }),
    );
    expect(order).toHaveLength(3);

    // Two places, three who want one.
    const places = await Promise.all(
      [one, two].map((node) => node.semaphore('pool', { permits: 2 })),
    );
    await expect(three.semaphore('pool', { permits: 2, wait: 0 })).rejects.toMatchObject({
      code: 'MYCEL_LOCK_BUSY',
    });
    await places[0]?.release();
    await (await three.semaphore('pool', { permits: 2 })).release();

    // A singleton moves when its node stops.
    const ran: string[] = [];
    const run = (name: string) => async (signal: AbortSignal) => {
      ran.push(name);
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
    };
    const first = two.singleton('cron', run('two'));
    await vi.waitFor(() => expect(first.isHere()).toBe(true), { timeout: 10_000 });
    const second = three.singleton('cron', run('three'));
    expect(second.isHere()).toBe(false);
    await first.stop();
    await vi.waitFor(() => expect(second.isHere()).toBe(true), { timeout: 10_000 });
    expect(ran).toEqual(['two', 'three']);
    await second.stop();
  }, 60_000);

  test('one node gone, the others go on; two gone, the last refuses in clear words', async () => {
    const nodes = await startMesh('ann', 'ben', 'cat');
    const [ann, ben, cat] = nodes as [(typeof nodes)[0], (typeof nodes)[0], (typeof nodes)[0]];
    await ann.kv.put('kept', 1);
    await vi.waitFor(async () => expect((await cat.leader()).voters).toHaveLength(3), {
      timeout: 20_000,
      interval: 50,
    });
    await ann.stop();
    await ben.kv.put('kept', 2, { deadlineMs: 15_000 });
    expect((await cat.kv.get('kept', { deadlineMs: 15_000 }))?.value).toBe(2);
    await ben.stop();
    await expect(cat.kv.put('kept', 3, { deadlineMs: 1_000 })).rejects.toMatchObject({
      code: 'MYCEL_NO_QUORUM',
    });
    await expect(cat.kv.get('kept', { deadlineMs: 1_000 })).rejects.toMatchObject({
      code: 'MYCEL_NO_QUORUM',
    });
  }, 60_000);
});
