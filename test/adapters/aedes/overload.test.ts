/** Strangers who send too much, readers who read too little: the broker and everybody else stay well. */

import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { brokerLimits } from '../../../src/adapters/aedes/broker-limits.ts';
import { startBroker } from './broker-fixture.ts';
import type { BrokerFixture } from './broker-fixture.ts';
import { rawClient } from './raw-client.ts';
import type { RawClient } from './raw-client.ts';

async function start(options: Parameters<typeof startBroker>[0] = {}): Promise<BrokerFixture> {
  const fixture = await startBroker(options);
  onTestFinished(() => fixture.stop());
  return fixture;
}

async function join(fixture: BrokerFixture, clientId: string): Promise<RawClient> {
  const client = await rawClient(fixture.localPort);
  onTestFinished(() => void client.socket.destroy());
  expect((await client.connect({ clientId })).code).toBe(0);
  return client;
}

/** Resolves with the first of the events; an error is none of them. */
function either(socket: Socket, ...names: readonly string[]): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      for (const name of names) socket.off(name, done);
      resolve();
    };
    for (const name of names) socket.on(name, done);
  });
}

const drops = (fixture: BrokerFixture): string => JSON.stringify(fixture.metrics.snapshot().drops);

test.each([
  ['a CONNECT that claims 100 MB', Buffer.from([0x10, 0x80, 0xc2, 0xd7, 0x2f])],
  ['a PUBLISH that claims 100 MB', Buffer.from([0x30, 0x80, 0xc2, 0xd7, 0x2f])],
])('8 strangers with %s cost less than 60 MB', async (_, head) => {
  const fixture = await start();
  const chunk = Buffer.alloc(1024 * 1024);
  const before = process.memoryUsage.rss();
  let highest = before;
  const strangers = Array.from({ length: 8 }, async () => {
    const socket = connect(fixture.localPort, '127.0.0.1');
    socket.on('error', () => {});
    socket.write(head);
    for (let sent = 0; sent < 100 && !socket.destroyed; sent += 1) {
      highest = Math.max(highest, process.memoryUsage.rss());
      if (!socket.write(chunk)) await either(socket, 'drain', 'close');
    }
    socket.destroy();
  });
  await Promise.all(strangers);
  expect(highest - before).toBeLessThan(60 * 1024 * 1024);
  expect(drops(fixture)).toContain('malformed');
});

test('a client beyond its packet size is closed at the header, others are not', async () => {
  const fixture = await start();
  const other = await join(fixture, 'other');
  const client = await join(fixture, 'large');
  const bytes = brokerLimits.local.packetBytes + 1;
  const groups = [0, 7, 14, 21].map((shift) => ((bytes >> shift) & 127) | (shift < 21 ? 128 : 0));
  client.send(Buffer.from([0x30, ...groups]));
  await client.closed();
  await other.ping();
  expect(other.isClosed()).toBe(false);
});

test('who connects and says nothing is closed', async () => {
  const fixture = await start({ limits: { connectMs: 100 } });
  const silent = await rawClient(fixture.localPort);
  await silent.closed();
});

test('a frozen subscriber stalls nobody and is disconnected with a reason', async () => {
  const fixture = await start({ limits: { frozenMs: 1500 } });
  const frozen = await join(fixture, 'frozen');
  await frozen.subscribe([['flood', 0]]);
  frozen.socket.pause();
  const flooder = await join(fixture, 'flooder');
  const reader = await join(fixture, 'reader');
  await reader.subscribe([['control', 0]]);
  const writer = await join(fixture, 'writer');

  let isOver = false;
  const payload = 'x'.repeat(200);
  const flood = (async () => {
    while (!isOver && !flooder.isClosed()) {
      for (let at = 0; at < 200; at += 1) flooder.publish('flood', payload);
      if (flooder.socket.writableNeedDrain) {
        await either(flooder.socket, 'drain', 'close');
      } else await new Promise((resolve) => setImmediate(resolve));
    }
  })();
  const delays: number[] = [];
  const evicted = (): boolean => drops(fixture).includes('slow-reader');
  while (!evicted()) {
    const count = reader.publishes().length;
    const sent = performance.now();
    writer.publish('control', 'tick');
    await reader.until(() => reader.publishes().length > count);
    delays.push(performance.now() - sent);
  }
  isOver = true;
  await flood;
  expect(delays.length).toBeGreaterThan(50);
  expect(Math.max(...delays)).toBeLessThan(1000);
  const line = fixture.log.take().find((one) => one.message === 'disconnected an MQTT client');
  expect(line?.fields).toMatchObject({ client: 'frozen', zone: 'local' });
  expect(String(line?.fields['reason'])).toMatch(/frozen|slowly/);
  expect(drops(fixture)).toContain('slow-reader');
  expect(fixture.evicted).toHaveLength(1);
  expect(fixture.evicted[0]?.client).toMatchObject({ clientId: 'frozen', zone: 'local' });
  expect(fixture.evicted[0]?.client.queuedBytes).toBeGreaterThan(brokerLimits.local.congestedBytes);
});

test('what the mesh sends to a reader that never reads is bounded in bytes', async () => {
  const fixture = await start({ limits: { frozenMs: 60_000 } });
  const frozen = await join(fixture, 'frozen');
  await frozen.subscribe([['flood', 0]]);
  frozen.socket.pause();
  const payload = Buffer.alloc(1000);
  let highest = 0;
  for (let round = 0; round < 400 && fixture.broker.clients().length > 0; round += 1) {
    for (let at = 0; at < 100; at += 1) {
      fixture.broker.deliver({ topic: 'flood', payload, qos: 0, retain: false });
    }
    await new Promise((resolve) => setImmediate(resolve));
    highest = Math.max(highest, ...fixture.broker.clients().map((one) => one.queuedBytes));
  }
  expect(fixture.broker.clients()).toEqual([]);
  expect(highest).toBeLessThan(brokerLimits.local.queuedBytes * 1.2);
});

test('a slow reader that reads on is never disconnected for it', async () => {
  const fixture = await start({ limits: { frozenMs: 400 } });
  const slow = await join(fixture, 'slow');
  await slow.subscribe([['bulk', 0]]);
  const writer = await join(fixture, 'writer');
  const payload = 'x'.repeat(60_000);
  slow.socket.pause();
  let sent = 0;
  const sending = (async () => {
    for (; sent < 400; sent += 1) {
      writer.publish('bulk', payload);
      if (writer.socket.writableNeedDrain) await either(writer.socket, 'drain', 'close');
    }
  })();
  const started = performance.now();
  const isDone = (): boolean => slow.packets.length >= 402;
  while (!isDone()) {
    slow.socket.resume();
    await once(slow.socket, 'data');
    slow.socket.pause();
    await new Promise((resolve) => setImmediate(resolve));
    expect(slow.isClosed()).toBe(false);
    expect(performance.now() - started).toBeLessThan(20_000);
  }
  await sending;
});
