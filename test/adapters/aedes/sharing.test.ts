/** What clients in shared subscriptions get, and what becomes of it when they go without acknowledging it. */

import { expect, onTestFinished, test } from 'vitest';
import { startBroker } from './broker-fixture.ts';
import type { BrokerFixture } from './broker-fixture.ts';
import { ack, rawClient, type } from './raw-client.ts';
import type { ConnectOptions, RawClient } from './raw-client.ts';

const filter = '$share/g/t/#';

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

function give(fixture: BrokerFixture, from: number, to: number): void {
  for (let count = from; count < to; count += 1) {
    const payload = Buffer.from(`${count}`);
    fixture.groups.give(filter, { topic: 't/x', payload, qos: 1, retain: false });
  }
}

const payloads = (client: RawClient): string[] => client.publishes().map(({ payload }) => payload);
const returned = (fixture: BrokerFixture): string[] =>
  fixture.returned.map(([, { payload }]) => Buffer.from(payload).toString());

test('what a client took and did not acknowledge comes back when it is gone, in order', async () => {
  const fixture = await start();
  const client = await join(fixture, { clientId: 'worker' });
  await client.subscribe([[filter, 1]]);
  give(fixture, 0, 5);
  await client.until(() => client.publishes().length === 5);
  for (const { id } of client.publishes().slice(0, 2)) client.send(ack(type.puback, id ?? 0));
  await client.ping();
  client.socket.resetAndDestroy();
  await expect.poll(() => returned(fixture)).toEqual(['2', '3', '4']);
  expect(fixture.returned[0]?.[0]).toBe(filter);
  expect(fixture.groups.has(filter)).toBe(false);
});

test('what was acknowledged does not come back, nor what was sent at QoS 0', async () => {
  const fixture = await start();
  const [one, two] = [
    await join(fixture, { clientId: 'one' }),
    await join(fixture, { clientId: 'two' }),
  ];
  await one.subscribe([[filter, 1]]);
  await two.subscribe([[filter, 0]]);
  give(fixture, 0, 6);
  await one.until(() => one.publishes().length === 3);
  await two.until(() => two.publishes().length === 3);
  for (const { id } of one.publishes()) one.send(ack(type.puback, id ?? 0));
  await one.ping();
  for (const client of [one, two]) client.socket.resetAndDestroy();
  await expect.poll(() => fixture.groups.has(filter)).toBe(false);
  expect(returned(fixture)).toEqual([]);
});

test('deliveries of a group and of ordinary filters share the packet identifiers of a client', async () => {
  const fixture = await start();
  const client = await join(fixture, { clientId: 'both' });
  await client.subscribe([
    [filter, 1],
    ['t/#', 1],
  ]);
  for (let count = 0; count < 20; count += 1) {
    give(fixture, count, count + 1);
    const payload = Buffer.from(`o${count}`);
    fixture.broker.deliver({ topic: 't/x', payload, qos: 1, retain: false });
  }
  await client.until(() => client.publishes().length === 40);
  expect(new Set(client.publishes().map(({ id }) => id)).size).toBe(40);
  for (const { id, payload } of client.publishes()) {
    if (payload.startsWith('o')) client.send(ack(type.puback, id ?? 0));
  }
  await client.ping();
  client.socket.resetAndDestroy();
  await expect.poll(() => returned(fixture).length).toBe(20);
  expect(returned(fixture).some((text) => text.startsWith('o'))).toBe(false);
});

test('a session that is away is in no group, and is again when its client is back', async () => {
  const fixture = await start();
  const options = { clientId: 'kept', isClean: false };
  const before = await join(fixture, options);
  await before.subscribe([
    [filter, 1],
    ['own', 1],
  ]);
  expect(fixture.groups.count(filter)).toBe(1);
  before.socket.resetAndDestroy();
  await expect.poll(() => fixture.groups.has(filter)).toBe(false);
  expect(fixture.interest).toEqual([['own', true]]);
  const after = await join(fixture, options);
  await expect.poll(() => fixture.groups.count(filter)).toBe(1);
  give(fixture, 0, 1);
  await after.until(() => payloads(after).includes('0'));
  expect(after.publishes()).toMatchObject([{ payload: '0', qos: 1, dup: false }]);
});

test('a client that keeps up is asked before one that does not', async () => {
  const fixture = await start();
  const [quick, slow] = [
    await join(fixture, { clientId: 'quick' }),
    await join(fixture, { clientId: 'slow' }),
  ];
  for (const client of [quick, slow]) await client.subscribe([[filter, 1]]);
  for (let count = 0; count < 300; count += 1) {
    const had = quick.publishes().length;
    give(fixture, count, count + 1);
    await Promise.all([quick.ping(), slow.ping()]);
    for (const { id } of quick.publishes().slice(had)) quick.send(ack(type.puback, id ?? 0));
  }
  expect(slow.publishes().length).toBe(64);
  expect(quick.publishes().length).toBe(300 - 64);
});

test('a topic below $share is a topic like any other, and reaches no group', async () => {
  const fixture = await start();
  const client = await join(fixture, { clientId: 'worker' });
  await client.subscribe([[filter, 1]]);
  client.publish('$share/g/t/x', 'x', { qos: 0 });
  await client.ping();
  expect(client.publishes()).toEqual([]);
});
