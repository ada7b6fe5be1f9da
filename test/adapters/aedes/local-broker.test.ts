/** What the embedded broker promises to the node and to its clients, with hand-written and with real clients. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, onTestFinished, test } from 'vitest';
import { brokerLimits } from '../../../src/adapters/aedes/broker-limits.ts';
import { startBroker } from './broker-fixture.ts';
import type { BrokerFixture } from './broker-fixture.ts';
import { packet, rawClient, type } from './raw-client.ts';
import type { ConnectOptions, RawClient } from './raw-client.ts';

async function start(options: Parameters<typeof startBroker>[0] = {}): Promise<BrokerFixture> {
  const fixture = await startBroker(options);
  onTestFinished(() => fixture.stop());
  return fixture;
}

async function join(fixture: BrokerFixture, options: ConnectOptions = {}): Promise<RawClient> {
  const client = await rawClient(fixture.localPort);
  onTestFinished(() => void client.socket.destroy());
  expect((await client.connect(options)).code).toBe(0);
  return client;
}

async function waitForPublished(fixture: BrokerFixture, count: number): Promise<void> {
  while (fixture.published.length < count) await breath();
}

/** Lets the broker work for a turn. */
const breath = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const drops = (fixture: BrokerFixture): string => JSON.stringify(fixture.metrics.snapshot().drops);
const acks = (client: RawClient): number =>
  client.packets.filter((one) => one.type === type.puback).length;

test('a QoS 1 publish is acknowledged and delivered only after the node has taken it', async () => {
  const fixture = await start({ hold: true });
  const reader = await join(fixture, { clientId: 'reader' });
  await reader.subscribe([['a', 1]]);
  const writer = await join(fixture, { clientId: 'writer' });
  writer.publish('a', 'x', { qos: 1 });
  while (fixture.published.length < 1) await breath();
  await reader.ping();
  expect([acks(writer), reader.publishes().length]).toEqual([0, 0]);
  fixture.published[0]?.taken();
  await writer.until(() => acks(writer) === 1);
  await reader.until(() => reader.publishes().length === 1);
});

test('a publish that the node cannot take is not acknowledged, and its client is told by the end', async () => {
  const fixture = await start({ hold: true });
  const other = await join(fixture, { clientId: 'other' });
  await other.subscribe([['#', 1]]);
  const client = await join(fixture);
  for (const payload of ['1', '2', '3']) client.publish('a', payload, { qos: 1, retain: true });
  while (fixture.published.length < 3) await breath();
  fixture.published[1]?.taken('the outbox is full');
  fixture.published[0]?.taken();
  await client.closed();
  fixture.published[2]?.taken();
  await other.until(() => other.publishes().length === 2);
  expect(acks(client)).toBe(0);
  expect(other.publishes().map(({ payload }) => payload)).toEqual(['1', '3']);
  expect(drops(fixture)).toContain('refused');
  expect(JSON.stringify(fixture.log.take())).toContain('the outbox is full');
});

test('what the node has taken is delivered here too when its publisher is gone by then', async () => {
  const fixture = await start({ hold: true });
  const other = await join(fixture, { clientId: 'other' });
  await other.subscribe([['#', 1]]);
  const client = await join(fixture, { clientId: 'brief' });
  for (const payload of ['1', '2']) client.publish('a', payload, { qos: 1, retain: true });
  await waitForPublished(fixture, 2);
  client.socket.resetAndDestroy();
  while (fixture.broker.clients().length > 1) await other.ping();
  for (const one of fixture.published) one.taken();
  await other.until(() => other.publishes().length === 2);
  expect(other.publishes().map(({ payload }) => payload)).toEqual(['1', '2']);
  expect(fixture.broker.retainedCount()).toBe(1);
});

test('a client whose publish was refused can send it again on its next connection, at every QoS', async () => {
  const fixture = await start({ hold: true });
  for (const qos of [1, 2]) {
    const options = { clientId: `again${qos}`, isClean: false };
    const first = await join(fixture, options);
    first.publish('a', `${qos}`, { qos, id: 7 });
    await waitForPublished(fixture, 2 * qos - 1);
    fixture.published.at(-1)?.taken('the outbox is full');
    await first.closed();
    const second = await join(fixture, options);
    second.publish('a', `${qos}`, { qos, id: 7, dup: true });
    await waitForPublished(fixture, 2 * qos);
    fixture.published.at(-1)?.taken();
    const answer = qos === 1 ? type.puback : type.pubrec;
    await second.until(() => second.packets.some((one) => one.type === answer));
  }
});

test("the broker's own $SYS reports reach nobody", async () => {
  const fixture = await start();
  const spy = await join(fixture, { clientId: 'spy' });
  await spy.subscribe([
    ['$SYS/#', 1],
    ['#', 1],
  ]);
  await join(fixture, { clientId: 'secret' });
  await spy.ping();
  fixture.broker.deliver({ topic: 'end', payload: Buffer.from('x'), qos: 1, retain: false });
  await spy.until(() => spy.publishes().length > 0);
  expect(spy.publishes().map(({ topic }) => topic)).toEqual(['end']);
});

test('messages of one publisher keep their order, whatever the node answers first', async () => {
  const fixture = await start({ hold: true });
  const reader = await join(fixture, { clientId: 'reader' });
  await reader.subscribe([['n', 1]]);
  const writer = await join(fixture, { clientId: 'writer' });
  // In one write: what a client sends while an earlier message is held stays in its socket.
  writer.socket.cork();
  for (let at = 0; at < 20; at += 1) {
    writer.publish('n', String(at), { qos: 1, retain: at % 3 === 0 });
  }
  writer.socket.uncork();
  while (fixture.published.length < 20) await breath();
  for (const { taken } of fixture.published.toReversed()) taken();
  await reader.until(() => reader.publishes().length === 20);
  expect(reader.publishes().map((one) => Number(one.payload))).toEqual([...Array(20).keys()]);
});

test('what the node delivers reaches each client once and is not reported back', async () => {
  const fixture = await start();
  const client = await join(fixture);
  await client.subscribe([
    ['m/#', 1],
    ['m/+', 0],
    ['m/x', 1],
  ]);
  fixture.broker.deliver({ topic: 'm/x', payload: Buffer.from('hi'), qos: 1, retain: false });
  await client.until(() => client.publishes().length === 1);
  await client.ping();
  expect(client.publishes()).toMatchObject([{ topic: 'm/x', payload: 'hi', qos: 1 }]);
  expect(fixture.published).toEqual([]);
});

test('deliveries of mixed QoS and retain in one turn all arrive, in order', async () => {
  const fixture = await start();
  const client = await join(fixture);
  await client.subscribe([['q', 1]]);
  for (let at = 0; at < 60; at += 1) {
    fixture.broker.deliver({
      topic: 'q',
      payload: Buffer.from(String(at)),
      qos: at % 2 === 0 ? 1 : 0,
      retain: at % 3 === 0,
    });
  }
  await client.until(() => client.publishes().length === 60);
  expect(client.publishes().map((one) => Number(one.payload))).toEqual([...Array(60).keys()]);
});

test('the mesh updates and deletes retained messages', async () => {
  const fixture = await start();
  fixture.broker.deliver({ topic: 'r', payload: Buffer.from('1'), qos: 0, retain: true });
  fixture.broker.deliver({ topic: 'r', payload: Buffer.from('2'), qos: 0, retain: true });
  const client = await join(fixture);
  await client.subscribe([['r', 0]]);
  await client.until(() => client.publishes().length === 1);
  expect(client.publishes()).toMatchObject([{ payload: '2', retain: true }]);
  fixture.broker.deliver({ topic: 'r', payload: Buffer.alloc(0), qos: 0, retain: true });
  expect(fixture.broker.retainedCount()).toBe(0);
});

test('a will goes to the node like any publish, with its client named', async () => {
  const fixture = await start();
  const client = await join(fixture, {
    clientId: 'mortal',
    will: { topic: 'w', payload: 'gone', qos: 2, retain: true },
  });
  const watcher = await join(fixture, { clientId: 'watcher' });
  await watcher.subscribe([['w', 1]]);
  client.socket.resetAndDestroy();
  await watcher.until(() => watcher.publishes().length === 1);
  expect(fixture.published[0]).toMatchObject({
    message: { topic: 'w', qos: 1, retain: true },
    client: { clientId: 'mortal', zone: 'local' },
  });
});

test('interest is reported once per filter, over all clients and sessions', async () => {
  const fixture = await start();
  const ann = await join(fixture, { clientId: 'ann' });
  const bob = await join(fixture, { clientId: 'bob', isClean: false });
  await ann.subscribe([
    ['i/#', 0],
    ['i/x', 1],
  ]);
  await bob.subscribe([['i/#', 1]]);
  expect(fixture.interest).toEqual([
    ['i/#', true],
    ['i/x', true],
  ]);
  await ann.disconnect();
  while (fixture.interest.length < 3) await breath();
  expect(fixture.interest.slice(2)).toEqual([['i/x', false]]);
  await bob.disconnect();
  // The session still wants its messages; a clean connection of the same client ends it.
  await join(fixture, { clientId: 'bob' });
  expect(fixture.interest.slice(3)).toEqual([['i/#', false]]);
});

test('a filter that was refused is not wanted, whatever else the SUBSCRIBE asked for', async () => {
  const fixture = await start();
  const client = await join(fixture, { isClean: false });
  const granted = await client.subscribe([
    ['fine', 1],
    ['$share/+/x', 1],
    ['$mycel/#', 1],
  ]);
  expect(granted).toEqual([1, 0x80, 0x80]);
  await client.ping();
  expect(fixture.interest).toEqual([['fine', true]]);
});

test('interest of a client that breaks off is withdrawn', async () => {
  const fixture = await start();
  const ann = await join(fixture, { clientId: 'ann' });
  await ann.subscribe([['gone/+', 0]]);
  ann.socket.resetAndDestroy();
  const bob = await join(fixture, { clientId: 'bob' });
  while (fixture.interest.length < 2) await bob.ping();
  expect(fixture.interest).toEqual([
    ['gone/+', true],
    ['gone/+', false],
  ]);
});

test("the mesh's own root is invisible, unpublishable and unsubscribable", async () => {
  const fixture = await start();
  const client = await join(fixture);
  expect(
    await client.subscribe([
      ['#', 0],
      ['$mycel/#', 1],
      ['$mycel', 0],
      ['$mycel/c', 0],
    ]),
  ).toEqual([0, 0x80, 0x80, 0x80]);
  client.publish('$mycel/c', 'x', { qos: 1 });
  client.publish('$SYS/x', 'x', { qos: 1 });
  await client.until(() => acks(client) === 2);
  fixture.broker.deliver({ topic: '$mycel/d', payload: Buffer.from('x'), qos: 0, retain: true });
  await client.ping();
  expect(client.publishes()).toEqual([]);
  expect(fixture.published).toEqual([]);
  expect(fixture.broker.retainedCount()).toBe(0);
});

test.each(['constructor', '__proto__', 'toString', 'hasOwnProperty', 'prototype'])(
  'a client, filter and topic named %s is like any other',
  async (name) => {
    const fixture = await start();
    const client = await join(fixture, { clientId: name, isClean: false });
    await client.subscribe([[name, 1]]);
    client.publish(name, 'x', { qos: 1, retain: true });
    await client.until(() => client.publishes().length === 1);
    await join(fixture, { clientId: name });
    await client.closed();
  },
);

test.each([
  ['a NUL', 'a\u0000b', 'closed'],
  ['a control character', 'a\u0007b', 'dropped'],
  ['a wildcard', 'a/#', 'closed'],
  ['70 levels', 'a/'.repeat(70), 'dropped'],
  ['120 levels', 'a/'.repeat(120), 'closed'],
  ['2000 characters', 'a'.repeat(2000), 'dropped'],
])('a topic with %s is never published (%s, %s)', async (_, topic, fate) => {
  const fixture = await start();
  const client = await join(fixture);
  client.publish(topic, 'x', { qos: 1 });
  if (fate === 'closed') await client.closed();
  else await client.until(() => acks(client) === 1);
  expect(fixture.published).toEqual([]);
});

test('ill-formed UTF-8 in a topic closes the connection, in a client id it is refused', async () => {
  const fixture = await start();
  const client = await join(fixture);
  client.send(packet(3, 0, Buffer.from([0, 3, 0x61, 0xc3, 0x28, 0x78])));
  await client.closed();
  const other = await rawClient(fixture.localPort);
  other.send(Buffer.from('100e00044d5154540402003c0002c328', 'hex'));
  await other.until(() => other.packets.length > 0);
  expect(other.packets[0]?.body[1]).toBe(2);
  await other.closed();
  expect(fixture.published).toEqual([]);
});

test('retained topics are limited, and what is beyond is delivered but not kept', async () => {
  const limits = { local: { ...brokerLimits.local, retained: 5 } };
  const fixture = await start({ limits });
  const client = await join(fixture);
  await client.subscribe([['k/#', 0]]);
  for (let at = 0; at < 8; at += 1) client.publish(`k/${at}`, 'v', { retain: true });
  client.publish('k/0', 'newer', { retain: true });
  await client.until(() => client.publishes().length === 9);
  expect(fixture.broker.retainedCount()).toBe(5);
  expect(fixture.published.map((one) => one.message.retain).filter(Boolean).length).toBe(6);
  expect(drops(fixture)).toContain('retained-full');
});

test('an absent session keeps only so many messages', async () => {
  const fixture = await start({ limits: { sessionMessages: 10 } });
  const away = await join(fixture, { clientId: 'away', isClean: false });
  await away.subscribe([['s', 1]]);
  await away.disconnect();
  const writer = await join(fixture, { clientId: 'writer' });
  for (let at = 0; at < 30; at += 1) writer.publish('s', String(at), { qos: 1 });
  await writer.until(() => acks(writer) === 30);
  const back = await join(fixture, { clientId: 'away', isClean: false });
  await back.until(() => back.publishes().length === 10);
  await back.ping();
  expect(back.publishes().length).toBe(10);
  expect(drops(fixture)).toContain('session-full');
});

test('a session is forgotten when it was away too long', async () => {
  const fixture = await start({ limits: { sessionMs: 50 } });
  const away = await join(fixture, { clientId: 'away', isClean: false });
  await away.subscribe([['s', 1]]);
  await away.disconnect();
  const other = await join(fixture, { clientId: 'other' });
  while (fixture.interest.length < 2) await other.ping();
  expect(fixture.interest[1]).toEqual(['s', false]);
});

test('a client beyond the limit is told that there is no room', async () => {
  const fixture = await start({ limits: { local: { ...brokerLimits.local, clients: 2 } } });
  await join(fixture, { clientId: 'one' });
  await join(fixture, { clientId: 'two' });
  const third = await rawClient(fixture.localPort);
  expect((await third.connect({ clientId: 'three' })).code).toBe(3);
  await third.closed();
});

test('stopping publishes the wills and closes everybody', async () => {
  const fixture = await startBroker();
  const client = await rawClient(fixture.localPort);
  await client.connect({ clientId: 'last', will: { topic: 'w', payload: 'x' } });
  await fixture.stop();
  await client.closed();
  expect(fixture.published.map((one) => one.message.topic)).toEqual(['w']);
});

test('1000 QoS 1 messages of mosquitto_pub reach mosquitto_sub once each, in order', async () => {
  const fixture = await start();
  const port = String(fixture.localPort);
  const reader = spawn('mosquitto_sub', [
    '-p',
    port,
    '-t',
    'many/#',
    '-q',
    '1',
    '-C',
    '1000',
    '-W',
    '20',
  ]);
  onTestFinished(() => void reader.kill());
  let text = '';
  reader.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
  const probe = await join(fixture, { clientId: 'probe' });
  while (!fixture.interest.some(([filter]) => filter === 'many/#')) await probe.ping();
  const writer = spawn('mosquitto_pub', ['-p', port, '-t', 'many/x', '-q', '1', '-l']);
  for (let at = 0; at < 1000; at += 1) writer.stdin.write(`${at}\n`);
  writer.stdin.end();
  await once(reader, 'exit');
  expect(text.trim().split('\n').map(Number)).toEqual([...Array(1000).keys()]);
  expect(fixture.published.length).toBe(1000);
});
