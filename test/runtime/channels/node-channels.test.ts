import { expect, test } from 'vitest';
import type { ChannelOptions, MeshNode, NodeOptions } from '../../../src/index.ts';
import { linked, startNode, until } from '../loopback.ts';

async function pair(options: NodeOptions = {}): Promise<[MeshNode, MeshNode]> {
  const ann = await startNode('ann', options);
  const bob = await startNode('bob', options);
  await bob.join((await ann.invite()).invite);
  await linked(ann, bob);
  await until(() => [ann, bob].every((node) => node.members().length === 2));
  return [ann, bob];
}

const figures = (node: MeshNode, name: string) => {
  const found = node.status().channels.find((one) => one.name === name);
  if (found === undefined) throw new Error(`no channel ${name}`);
  return found;
};

test('a busy channel gets a connection of its own, in which nothing overtakes, and loses it when idle', async () => {
  const [ann, bob] = await pair();
  const seen = new Map<string, number[]>();
  bob.subscribe('flood/#', ({ topic, payload }) => {
    const list = seen.get(topic) ?? [];
    list.push(new DataView(payload.buffer, payload.byteOffset).getUint32(0));
    seen.set(topic, list);
  });
  const events: string[] = [];
  let isHeard = false;
  bob.subscribe('event', ({ payload }) => {
    const text = new TextDecoder().decode(payload);
    if (text === 'probe') isHeard = true;
    else events.push(text);
  });
  // A subscription reaches its publishers a moment after it is made; a flood outruns what they keep for it.
  await until(() => {
    void ann.publish('event', 'probe');
    return isHeard;
  });
  const payload = new Uint8Array(32 * 1024);
  let count = 0;
  let eventCount = 0;
  await until(() => {
    for (let burst = 0; burst < 16; burst += 1) {
      count += 1;
      new DataView(payload.buffer).setUint32(0, count);
      void ann.publish(`flood/${count % 3}`, payload, { qos: 0 });
    }
    eventCount += 1;
    void ann.publish('event', String(eventCount));
    return figures(bob, 'data').connections === 1 && count > 600;
  });
  expect(figures(ann, 'data').connections).toBe(1);
  expect(ann.status().links).toHaveLength(1);
  await until(() => events.length === eventCount);
  expect(events).toEqual(Array.from({ length: eventCount }, (_, at) => String(at + 1)));
  expect([...seen.keys()].sort()).toEqual(['flood/0', 'flood/1', 'flood/2']);
  for (const list of seen.values()) expect(list).toEqual(list.toSorted((a, b) => a - b));
  await until(() => [ann, bob].every((node) => figures(node, 'data').connections === 0), 25_000);
  expect(ann.status().links).toHaveLength(1);
});

test('a channel of the own carries its topics, deflated where that pays, and whoever publishes may name it', async () => {
  const [ann, bob] = await pair({
    channels: {
      logs: { class: 'event', topics: ['log/#'], compressAbove: 512 },
      side: { class: 'signal' },
      alarms: { class: 'event', topics: ['alarm/#'], urgent: true },
    },
  });
  const heard: number[] = [];
  let isHeard = false;
  bob.subscribe('#', ({ topic, payload }) => {
    if (topic === 'probe') isHeard = true;
    else heard.push(payload.length);
  });
  // Signals travel to whoever is known to want them.
  await until(() => {
    void ann.publish('probe', '', { qos: 0 });
    return isHeard;
  });
  const text = 'the same words again and again. '.repeat(300);
  await ann.publish('log/a', text);
  await ann.publish('other', 'x', { qos: 0, channel: 'side' });
  await ann.publish('other', 'now', { urgent: true });
  await ann.publish('alarm/fire', 'y'.repeat(9_000), { urgent: true });
  await until(() => heard.length === 4);
  expect(heard.toSorted((a, b) => b - a)).toEqual([text.length, 9_000, 3, 1]);
  expect(figures(ann, 'alarms')).toMatchObject({
    count: 1,
    priority: 5,
    queuedCount: 0,
    drops: {},
  });
  expect(figures(ann, 'alarms').lanes).toEqual([
    { peer: bob.id, connection: 'shared', queuedCount: 0, queuedBytes: 0 },
  ]);
  expect(figures(ann, 'logs')).toMatchObject({ count: 1, dropped: 0 });
  expect(figures(ann, 'logs').sentBytes).toBeLessThan(text.length / 4);
  expect(figures(ann, 'side').count).toBe(1);
  expect(figures(ann, 'coordination').count).toBe(1);
  await expect(ann.publish('x', 'y', { channel: 'side' })).rejects.toMatchObject({
    code: 'MYCEL_BAD_OPTION',
    message: expect.stringContaining("'events', 'logs'") as string,
  });
});

test('channels come, change and go while messages travel, and what contradicts itself changes nothing', async () => {
  const [ann, bob] = await pair({ channels: { side: { class: 'event', topics: ['side/#'] } } });
  const heard: number[] = [];
  bob.subscribe(
    'side/#',
    ({ payload }) => void heard.push(Number(new TextDecoder().decode(payload))),
  );
  await until(() => ann.listeners('side/x').nodes.some(({ why }) => why === 'filter'));
  let made = 0;
  let isOver = false;
  const publishing = (async () => {
    while (!isOver) {
      made += 1;
      await ann.publish('side/x', String(made));
      // What nobody is owed is taken at once, in this very turn of the loop.
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
  })();
  await until(() => figures(ann, 'side').count > 10);
  const before = JSON.stringify(
    ann.status().channels.map(({ name, priority }) => [name, priority]),
  );
  const wrong: Record<string, Record<string, ChannelOptions>> = {
    "'block' or 'reject'": { side: { class: 'event', overflow: 'drop-oldest' } },
    "no 'class'": { events: { class: 'signal' } },
    'from 1, first served, to 9': {
      fine: { class: 'event' },
      side: { class: 'event', priority: 12 },
    },
  };
  for (const [allowed, channels] of Object.entries(wrong)) {
    await expect(ann.setChannels(channels), allowed).rejects.toMatchObject({
      code: 'MYCEL_BAD_OPTION',
      message: expect.stringContaining(allowed) as string,
    });
  }
  expect(JSON.stringify(ann.status().channels.map(({ name, priority }) => [name, priority]))).toBe(
    before,
  );
  // Changed, with what it has counted.
  const { count } = figures(ann, 'side');
  await ann.setChannels({
    side: { class: 'event', topics: ['side/#'], priority: 3, compressAbove: 64 },
  });
  expect(figures(ann, 'side')).toMatchObject({ priority: 3 });
  expect(figures(ann, 'side').count).toBeGreaterThanOrEqual(count);
  await until(() => figures(ann, 'side').count > count + 10);
  // Gone, another one in its place.
  await ann.setChannels({ other: { class: 'event', topics: ['side/#'] } });
  await expect(ann.publish('side/x', 'x', { channel: 'side' })).rejects.toMatchObject({
    message: expect.stringContaining("'events', 'other'") as string,
  });
  await until(() => figures(ann, 'other').count > 10);
  await until(() => ann.status().channels.every(({ name }) => name !== 'side'));
  const { count: plain } = figures(ann, 'events');
  expect(await ann.setChannels({})).toHaveLength(4);
  await until(() => figures(ann, 'events').count > plain + 10);
  isOver = true;
  await publishing;
  await until(() => heard.length === made);
  expect(heard).toEqual(Array.from({ length: made }, (_, at) => at + 1));
});

test('a member that is thrown out loses the connections of its channels, too', async () => {
  const [ann, bob] = await pair();
  ann.subscribe('flood', () => undefined);
  const payload = new Uint8Array(60_000);
  await until(() => {
    for (let burst = 0; burst < 8; burst += 1) void bob.publish('flood', payload, { qos: 0 });
    return figures(ann, 'data').connections === 1;
  });
  await ann.revoke(bob.id);
  await until(() => figures(ann, 'data').connections === 0 && ann.status().links.length === 0);
  await until(() => bob.status().links.length === 0);
});
