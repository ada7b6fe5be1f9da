/** A guest cannot leave its zone: by topic, filter, will, retained message, client id, size, speed or password. */

import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import fc from 'fast-check';
import { hashGuestPassword } from '../../../src/adapters/aedes/guest-passwords.ts';
import { filterCovers } from '../../../src/adapters/aedes/guest-rules.ts';
import { topicMatches } from '../../../src/kernel/topic.ts';
import { startBroker } from './broker-fixture.ts';
import type { BrokerFixture } from './broker-fixture.ts';
import { ack, packet, rawClient, type } from './raw-client.ts';
import type { ConnectOptions, RawClient } from './raw-client.ts';

const secret = 'correct horse';
let credentials: { salt: Uint8Array; hash: Uint8Array };
let fixture: BrokerFixture;

const guests = (): Parameters<BrokerFixture['broker']['setGuests']>[0] => [
  { name: 'ann', ...credentials },
  { name: 'bob', ...credentials },
  {
    name: 'sensor',
    ...credentials,
    publish: ['site/+/temp'],
    subscribe: ['site/cmd/#', '+/public'],
  },
];

beforeAll(async () => {
  credentials = await hashGuestPassword(secret);
  fixture = await startBroker();
  fixture.broker.setGuests(guests());
});

afterAll(() => fixture.stop());

async function dial(port: number = fixture.guestPort): Promise<RawClient> {
  const client = await rawClient(port);
  onTestFinished(() => void client.socket.destroy());
  return client;
}

async function join(username = 'ann', options: ConnectOptions = {}): Promise<RawClient> {
  const client = await dial();
  expect((await client.connect({ username, password: secret, ...options })).code).toBe(0);
  return client;
}

async function local(clientId: string): Promise<RawClient> {
  const client = await dial(fixture.localPort);
  expect((await client.connect({ clientId })).code).toBe(0);
  return client;
}

/** Whether a guest's publish gets through to the node. */
async function passes(username: string, topic: string): Promise<boolean> {
  const client = await join(username);
  const before = fixture.published.length;
  client.publish(topic, 'x', { qos: 1 });
  await client.until(
    () => client.isClosed() || client.packets.some((one) => one.type === type.puback),
  );
  return fixture.published.length > before;
}

test.each([
  ['ann', 'guest/ann/x', true],
  ['ann', 'guest/ann', true],
  ['ann', 'guest/ann/', true],
  ['ann', 'guest/ann/a/b/c', true],
  ['ann', 'guest/bob/x', false],
  ['ann', 'guest/annx', false],
  ['ann', 'guest/ANN/x', false],
  ['ann', 'guest', false],
  ['ann', 'guest//x', false],
  ['ann', '/guest/ann/x', false],
  ['ann', 'home/door', false],
  ['ann', '$SYS/x', false],
  ['ann', '$mycel/c', false],
  ['ann', '$guest/ann/x', false],
  ['ann', 'guest/ann/#', false],
  ['ann', 'guest/ann/+/x', false],
  ['ann', 'guest/ann/\u0000', false],
  ['ann', 'guest/ann/\u0007', false],
  ['ann', `guest/ann/${'a/'.repeat(70)}`, false],
  ['ann', `guest/ann/${'a'.repeat(1100)}`, false],
  ['sensor', 'site/a/temp', true],
  ['sensor', 'site/a/b/temp', false],
  ['sensor', 'guest/sensor/x', false],
])('%s publishing to %j passes: %s', async (username, topic, expected) => {
  expect(await passes(username, topic)).toBe(expected);
});

test.each([
  ['ann', 'guest/ann/#', true],
  ['ann', 'guest/ann/+/x', true],
  ['ann', 'guest/ann', true],
  ['ann', 'guest/ann/a/b', true],
  ['ann', '#', false],
  ['ann', '+/ann/#', false],
  ['ann', '+', false],
  ['ann', '+/+/x', false],
  ['ann', 'guest/#', false],
  ['ann', 'guest/+/x', false],
  ['ann', 'guest/bob/#', false],
  ['ann', 'guest/ann2/#', false],
  ['ann', '$SYS/#', false],
  ['ann', '$mycel/#', false],
  ['ann', '$share/g/guest/ann/x', true],
  ['ann', '$share/g/guest/#', false],
  ['ann', '$share/g/$SYS/x', false],
  ['ann', '$queue/guest/ann/x', false],
  ['ann', 'guest/ann/\u0007', false],
  ['ann', 'home/#', false],
  ['sensor', 'site/cmd/#', true],
  ['sensor', 'site/cmd/+', true],
  ['sensor', 'site/#', false],
  ['sensor', 'x/public', true],
  ['sensor', '+/public', true],
  ['sensor', '#', false],
])('%s subscribing to %j is granted: %s', async (username, filter, expected) => {
  const client = await join(username);
  expect(await client.subscribe([[filter, 1]])).toEqual([expected ? 1 : 0x80]);
});

test.each([
  ['guest/ann/will', 0],
  ['guest/bob/will', 5],
  ['home/alarm', 5],
  ['$SYS/x', 5],
  ['guest/ann/#', 5],
  ['$mycel/c', 5],
])('a will on %j is answered with %d', async (topic, code) => {
  const client = await dial();
  const answer = await client.connect({
    username: 'ann',
    password: secret,
    will: { topic, payload: 'x', retain: true },
  });
  expect(answer.code).toBe(code);
});

test('a guest does not hear what happens outside its zone, and local clients hear it', async () => {
  const guest = await join('bob');
  await guest.subscribe([['guest/bob/#', 1]]);
  const owner = await local('owner');
  await owner.subscribe([['guest/bob/#', 1]]);
  owner.publish('home/door', 'open', { qos: 1 });
  owner.publish('guest/bob/hello', 'hi', { qos: 1 });
  guest.publish('guest/bob/answer', 'yes', { qos: 1 });
  await guest.until(() => guest.publishes().length === 2);
  await owner.until(() => owner.publishes().length === 2);
  expect(
    guest
      .publishes()
      .map((one) => one.topic)
      .toSorted(),
  ).toEqual(['guest/bob/answer', 'guest/bob/hello']);
  expect(fixture.published.at(-1)?.client).toMatchObject({ zone: 'guest', guest: 'bob' });
});

test("a guest cannot take over a local client's id, nor another guest's", async () => {
  const owner = await local('same-id');
  const bob = await join('bob', { clientId: 'same-id' });
  const ann = await join('ann', { clientId: 'same-id' });
  await owner.ping();
  await bob.ping();
  const again = await join('ann', { clientId: 'same-id' });
  await ann.closed();
  await again.ping();
});

test('local clients cannot take an id of the guests', async () => {
  const client = await dial(fixture.localPort);
  expect((await client.connect({ clientId: 'guest:ann:x' })).code).toBe(2);
});

test.each([
  ['no name', {}, 5],
  ['no password', { username: 'ann' }, 5],
  ['an empty password', { username: 'ann', password: '' }, 5],
  ['a persistent session', { username: 'ann', password: secret, isClean: false }, 2],
  ['an empty client id', { username: 'ann', password: secret, clientId: '' }, 0],
])('a login with %s is answered with its code', async (_, options, code) => {
  const client = await dial();
  expect((await client.connect(options)).code).toBe(code);
});

test('a CONNECT of more than 4 KB is cut off', async () => {
  const client = await dial();
  client.send(packet(1, 0, Buffer.alloc(4097)));
  await client.closed();
  expect(client.packets).toEqual([]);
});

test('a packet of more than 64 KB closes the connection', async () => {
  const client = await join('ann');
  client.send(packet(3, 0, Buffer.alloc(64 * 1024 + 1)));
  await client.closed();
});

test('a guest has 20 subscriptions', async () => {
  const client = await join('ann');
  const filters = Array.from({ length: 21 }, (_, at) => [`guest/ann/${at}`, 0] as const);
  const granted = await client.subscribe(filters);
  expect(granted.filter((code) => code === 0).length).toBe(20);
  expect(granted[20]).toBe(0x80);
  expect(await client.subscribe([['guest/ann/0', 1]])).toEqual([1]);
});

test('a QoS 2 publish of a guest is taken once and as QoS 1', async () => {
  const client = await join('ann');
  const before = fixture.published.length;
  const id = client.publish('guest/ann/two', 'x', { qos: 2 });
  await client.until(() => client.packets.some((one) => one.type === type.pubrec));
  client.send(ack(type.pubrel, id));
  await client.until(() => client.packets.some((one) => one.type === type.pubcomp));
  expect(fixture.published.slice(before).map((one) => one.message.qos)).toEqual([1]);
});

test('removed and changed guests are disconnected at once, others are not', async () => {
  const own = await startBroker();
  onTestFinished(() => own.stop());
  own.broker.setGuests(guests());
  const login = async (username: string): Promise<RawClient> => {
    const client = await dial(own.guestPort);
    expect((await client.connect({ username, password: secret, clientId: username })).code).toBe(0);
    return client;
  };
  const [ann, bob, sensor] = [await login('ann'), await login('bob'), await login('sensor')];
  own.broker.setGuests([
    { name: 'ann', ...credentials },
    { name: 'sensor', ...credentials, publish: ['nothing'] },
  ]);
  await bob.closed();
  await sensor.closed();
  await ann.ping();
  own.broker.evictGuest('ann', 'by hand');
  await ann.closed();
  expect(own.evicted.map(({ client, reason }) => [client.guest, reason])).toEqual([
    ['bob', 'the guest was removed or changed'],
    ['sensor', 'the guest was removed or changed'],
    ['ann', 'by hand'],
  ]);
});

test('a guest beyond 50 messages a second is slowed at QoS 1 and loses at QoS 0', async () => {
  const own = await startBroker();
  onTestFinished(() => own.stop());
  own.broker.setGuests(guests());
  const client = await dial(own.guestPort);
  await client.connect({ username: 'ann', password: secret });
  for (let at = 0; at < 300; at += 1) client.publish('guest/ann/q0', String(at));
  await client.ping();
  expect(own.published.length).toBeGreaterThanOrEqual(100);
  expect(own.published.length).toBeLessThan(130);
  expect(JSON.stringify(own.metrics.snapshot().drops)).toContain('too-fast');
  const started = performance.now();
  const before = own.published.length;
  for (let at = 0; at < 50; at += 1) client.publish('guest/ann/q1', String(at), { qos: 1 });
  await client.until(() => own.published.length - before === 50 || client.isClosed());
  expect(performance.now() - started).toBeGreaterThan(700);
  expect(
    own.published.slice(before).map((one) => Buffer.from(one.message.payload).toString()),
  ).toEqual(Array.from({ length: 50 }, (_, at) => String(at)));
});

test('100 retained topics are kept of all guests together', async () => {
  const own = await startBroker();
  onTestFinished(() => own.stop());
  own.broker.setGuests(guests());
  for (const username of ['ann', 'bob']) {
    const client = await dial(own.guestPort);
    await client.connect({ username, password: secret, clientId: username });
    for (let at = 0; at < 60; at += 1)
      client.publish(`guest/${username}/${at}`, 'x', { retain: true });
    await client.ping();
  }
  expect(own.broker.retainedCount()).toBe(100);
  expect(own.published.length).toBe(120);
});

test('the 21st guest is told that there is no room', async () => {
  const own = await startBroker();
  onTestFinished(() => own.stop());
  own.broker.setGuests(guests());
  const codes: (number | string)[] = [];
  for (let at = 0; at < 21; at += 1) {
    const client = await dial(own.guestPort);
    codes.push(
      (await client.connect({ username: 'ann', password: secret, clientId: String(at) })).code,
    );
  }
  expect(codes).toEqual([...Array(20).fill(0), 3]);
});

test('after five wrong passwords the address has to wait, even with the right one', async () => {
  const own = await startBroker();
  onTestFinished(() => own.stop());
  own.broker.setGuests(guests());
  const codes: (number | string)[] = [];
  for (const [username, password] of [
    ['ann', 'wrong'],
    ['nobody', secret],
    ['ann', ''],
    ['ann', 'x'],
    ['ann', 'y'],
    ['bob', 'z'],
    ['ann', secret],
  ] as const) {
    const client = await dial(own.guestPort);
    codes.push((await client.connect({ username, password })).code);
  }
  // The empty password is refused without being looked at.
  expect(codes).toEqual([4, 4, 5, 4, 4, 4, 5]);
});

test('checking passwords does not block the event loop', async () => {
  const own = await startBroker();
  onTestFinished(() => own.stop());
  own.broker.setGuests(guests());
  let longest = 0;
  let last = performance.now();
  const timer = setInterval(() => {
    longest = Math.max(longest, performance.now() - last);
    last = performance.now();
  }, 1);
  const clients = await Promise.all(Array.from({ length: 4 }, () => dial(own.guestPort)));
  last = performance.now();
  await Promise.all(
    clients.map((client, at) =>
      client.connect({ username: 'ann', password: secret, clientId: `c${at}` }),
    ),
  );
  clearInterval(timer);
  expect(longest).toBeLessThan(250);
});

test('a filter that a rule covers matches only topics that the rule matches', () => {
  const level = fc.constantFrom('a', 'b', '', '+');
  const filter = fc
    .tuple(fc.array(level, { minLength: 1, maxLength: 4 }), fc.boolean())
    .map(([levels, isOpen]) => [...levels, ...(isOpen ? ['#'] : [])].join('/'));
  const topic = fc
    .array(fc.constantFrom('a', 'b', 'c', ''), { minLength: 1, maxLength: 5 })
    .map((levels) => levels.join('/'));
  fc.assert(
    fc.property(filter, filter, topic, (rule, wanted, name) => {
      if (filterCovers(rule, wanted) && topicMatches(wanted, name)) {
        expect(topicMatches(rule, name)).toBe(true);
      }
    }),
    { numRuns: 5000 },
  );
});
