/** MQTT 3.1.1, packet by packet, on the local port and on the guest port: ten areas of the standard. */

import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { hashGuestPassword } from '../../src/adapters/aedes/guest-passwords.ts';
import { startBroker } from '../adapters/aedes/broker-fixture.ts';
import type { BrokerFixture } from '../adapters/aedes/broker-fixture.ts';
import { ack, connectBytes, packet, rawClient, type } from '../adapters/aedes/raw-client.ts';
import type { ConnectOptions, RawClient } from '../adapters/aedes/raw-client.ts';

let fixture: BrokerFixture;

beforeAll(async () => {
  fixture = await startBroker();
  const password = await hashGuestPassword('secret');
  // A guest with every topic and sessions of its own: what differs from the local port is the zone, not the rules.
  const wide = { publish: ['#'], subscribe: ['#'], mayPersist: true };
  fixture.broker.setGuests([{ name: 'ann', ...password, ...wide }]);
});

afterAll(() => fixture.stop());

describe.each(['local', 'guest'] as const)('MQTT 3.1.1 on the %s port', (zone) => {
  const login = zone === 'guest' ? { username: 'ann', password: 'secret' } : {};
  const at = (name: string): string => `conf/${zone}/${name}`;

  async function dial(): Promise<RawClient> {
    const client = await rawClient(zone === 'local' ? fixture.localPort : fixture.guestPort);
    onTestFinished(() => void client.socket.destroy());
    return client;
  }
  async function join(options: ConnectOptions = {}): Promise<RawClient> {
    const client = await dial();
    const { code } = await client.connect({ ...login, ...options });
    expect(code).toBe(0);
    return client;
  }

  test('basic: a message of each QoS reaches its subscriber once, by the exchange of its QoS', async () => {
    const client = await join({ clientId: 'basic' });
    expect(await client.subscribe([[at('basic'), 2]])).toEqual([2]);
    client.publish(at('basic'), 'zero');
    const one = client.publish(at('basic'), 'one', { qos: 1 });
    const two = client.publish(at('basic'), 'two', { qos: 2 });
    await client.until(() => client.packets.some((each) => each.type === type.pubrec));
    client.send(ack(type.pubrel, two));
    await client.until(() => client.publishes().length === 3);
    for (const message of client.publishes()) {
      if (message.qos === 1) client.send(ack(type.puback, message.id ?? 0));
      if (message.qos === 2) client.send(ack(type.pubrec, message.id ?? 0));
    }
    await client.until(() => client.packets.some((each) => each.type === type.pubrel));
    await client.until(() => client.packets.some((each) => each.type === type.pubcomp));
    expect(
      client
        .publishes()
        .map(({ payload, qos }) => `${payload}${qos}`)
        .toSorted(),
    ).toEqual(['one1', 'two2', 'zero0']);
    expect(client.packets.find((each) => each.type === type.puback)?.body.readUInt16BE(0)).toBe(
      one,
    );
  });

  test('basic: a second CONNECT and a wrong protocol name close the connection', async () => {
    const twice = await join({ clientId: 'twice' });
    twice.send(connectBytes({ ...login, clientId: 'twice' }));
    await twice.closed();
    const strange = await dial();
    strange.send(connectBytes({ ...login, protocol: 'hj' }));
    await strange.closed();
  });

  test('basic: another protocol version is told so before the connection closes [MQTT-3.1.2-2]', async () => {
    const modern = await dial();
    const bytes = connectBytes({ ...login });
    // The level follows the name; version 5 has a length of properties after the keep-alive.
    const level = bytes.indexOf('MQTT') + 4;
    const head = bytes.subarray(2, level + 4);
    const body = Buffer.concat([head, Buffer.of(0), bytes.subarray(level + 4)]);
    body[level - 2] = 5;
    modern.send(packet(1, 0, body));
    await modern.closed();
    expect(modern.packets.map(({ type: kind, body: told }) => [kind, ...told])).toEqual([
      [type.connack, 0, 1],
    ]);
  });

  test('retained: the last message waits for later subscribers and an empty one deletes it', async () => {
    const client = await join({ clientId: 'keeper' });
    for (const qos of [0, 1, 2]) {
      const id = client.publish(at(`kept/${qos}`), `v${qos}`, { qos, retain: true });
      if (qos === 2) client.send(ack(type.pubrel, id));
    }
    await client.until(() => client.packets.some((each) => each.type === type.pubcomp));
    const late = await join({ clientId: 'late' });
    await late.subscribe([[at('kept/+'), 2]]);
    await late.until(() => late.publishes().length === 3);
    expect(late.publishes().every((message) => message.retain)).toBe(true);
    for (const qos of [0, 1, 2]) client.publish(at(`kept/${qos}`), '', { retain: true });
    await client.ping();
    const later = await join({ clientId: 'later' });
    await later.subscribe([[at('kept/+'), 2]]);
    await later.ping();
    expect(later.publishes()).toEqual([]);
    // To those who were subscribed already it is an ordinary message.
    expect(
      late
        .publishes()
        .slice(3)
        .every((message) => !message.retain),
    ).toBe(true);
  });

  test('offline: a session keeps its QoS 1 and 2 messages while its client is away', async () => {
    const away = await join({ clientId: 'away', isClean: false });
    await away.subscribe([[at('off/#'), 2]]);
    await away.disconnect();
    const sender = await join({ clientId: 'sender' });
    sender.publish(at('off/0'), 'zero');
    sender.publish(at('off/1'), 'one', { qos: 1 });
    const id = sender.publish(at('off/2'), 'two', { qos: 2 });
    await sender.until(() => sender.packets.some((each) => each.type === type.pubrec));
    sender.send(ack(type.pubrel, id));
    await sender.ping();
    const back = await dial();
    expect(await back.connect({ ...login, clientId: 'away', isClean: false })).toEqual({
      code: 0,
      isPresent: true,
    });
    await back.until(() => back.publishes().length === 2);
    expect(
      back
        .publishes()
        .map((message) => message.payload)
        .toSorted(),
    ).toEqual(['one', 'two']);
    await back.disconnect();
    const clean = await dial();
    expect(await clean.connect({ ...login, clientId: 'away' })).toEqual({
      code: 0,
      isPresent: false,
    });
    await clean.ping();
    expect(clean.publishes()).toEqual([]);
  });

  test('will: published when the connection breaks, not after DISCONNECT', async () => {
    const watcher = await join({ clientId: 'watcher' });
    await watcher.subscribe([[at('will/#'), 1]]);
    const polite = await join({
      clientId: 'polite',
      will: { topic: at('will/polite'), payload: 'gone' },
    });
    await polite.disconnect();
    const broken = await join({
      clientId: 'broken',
      will: { topic: at('will/broken'), payload: 'gone', qos: 1 },
    });
    broken.socket.resetAndDestroy();
    await watcher.until(() => watcher.publishes().length === 1);
    expect(watcher.publishes()[0]).toMatchObject({
      topic: at('will/broken'),
      payload: 'gone',
      qos: 1,
    });
  });

  test('will: a newer connection of the same client id ends the older one', async () => {
    const watcher = await join({ clientId: 'watcher2' });
    await watcher.subscribe([[at('taken'), 1]]);
    const first = await join({ clientId: 'same', will: { topic: at('taken'), payload: 'first' } });
    await join({ clientId: 'same' });
    await first.closed();
    await watcher.until(() => watcher.publishes().length === 1);
  });

  test('overlapping: one message, at the highest QoS of the matching filters', async () => {
    for (const filters of [
      [
        [at('lap/#'), 2],
        [at('lap/+'), 1],
      ],
      [
        [at('lap/#'), 0],
        [at('lap/x'), 2],
      ],
      [
        [at('lap/x'), 0],
        [at('lap/#'), 1],
        [at('+/x'), 0],
      ],
    ] as const) {
      const client = await join({ clientId: `lap${filters.length}` });
      await client.subscribe(filters);
      const id = client.publish(at('lap/x'), 'once', { qos: 2 });
      await client.until(() => client.packets.some((each) => each.type === type.pubrec));
      client.send(ack(type.pubrel, id));
      await client.until(() => client.publishes().length > 0);
      await client.ping();
      const highest = Math.max(...filters.map(([, qos]) => qos));
      expect(client.publishes().map((message) => message.qos)).toEqual([highest]);
      await client.disconnect();
    }
  });

  test('granted QoS is never exceeded, live, retained or kept', async () => {
    const sender = await join({ clientId: 'loud' });
    sender.publish(at('cap/kept'), 'r', { qos: 1, retain: true });
    await sender.until(() => sender.packets.some((each) => each.type === type.puback));
    const client = await join({ clientId: 'modest', isClean: false });
    await client.subscribe([[at('cap/+'), 0]]);
    sender.publish(at('cap/live'), 'l', { qos: 1 });
    await client.until(() => client.publishes().length === 2);
    expect(client.publishes().map((message) => message.qos)).toEqual([0, 0]);
    sender.publish(at('cap/kept'), '', { retain: true });
    await client.disconnect();
  });

  test('keepalive: a client silent for one and a half times its promise is disconnected, with its will', async () => {
    const watcher = await join({ clientId: 'guard', keepalive: 0 });
    await watcher.subscribe([[at('silent'), 1]]);
    const silent = await join({
      clientId: 'silent',
      keepalive: 1,
      will: { topic: at('silent'), payload: 'expired' },
    });
    const started = performance.now();
    await silent.closed();
    expect(performance.now() - started).toBeGreaterThan(1400);
    await watcher.until(() => watcher.publishes().length === 1);
  });

  test('redelivery: what was not acknowledged comes again with DUP and its id, after a reconnect', async () => {
    const first = await join({ clientId: 'redo', isClean: false });
    await first.subscribe([[at('redo/#'), 2]]);
    first.publish(at('redo/1'), 'one', { qos: 1 });
    const id = first.publish(at('redo/2'), 'two', { qos: 2 });
    await first.until(() => first.packets.some((each) => each.type === type.pubrec));
    first.send(ack(type.pubrel, id));
    await first.until(() => first.publishes().length === 2);
    await first.disconnect();
    const again = await dial();
    expect((await again.connect({ ...login, clientId: 'redo', isClean: false })).isPresent).toBe(
      true,
    );
    await again.until(() => again.publishes().length === 2);
    expect(again.publishes().every((message) => message.dup)).toBe(true);
    expect(again.publishes().map((message) => message.id)).toEqual(
      first.publishes().map((message) => message.id),
    );
    // The QoS 2 one got as far as PUBREC: from there on only the PUBREL is repeated.
    const two = again.publishes().find((message) => message.qos === 2);
    again.send(ack(type.pubrec, two?.id ?? 0));
    await again.until(() => again.packets.some((each) => each.type === type.pubrel));
    again.send(ack(type.puback, again.publishes().find((message) => message.qos === 1)?.id ?? 0));
    await again.disconnect();
    const last = await join({ clientId: 'redo', isClean: false });
    await last.until(() => last.packets.some((each) => each.type === type.pubrel));
    expect(last.publishes()).toEqual([]);
    last.send(ack(type.pubcomp, two?.id ?? 0));
    await last.disconnect();
  });

  test('a repeated QoS 2 publish is taken once', async () => {
    const watcher = await join({ clientId: 'counter' });
    await watcher.subscribe([[at('two'), 0]]);
    const before = fixture.published.length;
    const sender = await join({ clientId: 'repeater', isClean: false });
    sender.publish(at('two'), 'once', { qos: 2, id: 77 });
    await sender.until(() => sender.packets.some((each) => each.type === type.pubrec));
    sender.socket.resetAndDestroy();
    const back = await join({ clientId: 'repeater', isClean: false });
    back.publish(at('two'), 'once', { qos: 2, id: 77, dup: true });
    await back.until(() => back.packets.some((each) => each.type === type.pubrec));
    back.send(ack(type.pubrel, 77));
    await back.until(() => back.packets.some((each) => each.type === type.pubcomp));
    await watcher.ping();
    expect(watcher.publishes().length).toBe(1);
    expect(fixture.published.length - before).toBe(1);
  });

  test('$ topics match no filter that starts with a wildcard', async () => {
    const client = await join({ clientId: 'dollar' });
    await client.subscribe([
      ['#', 1],
      ['+/dollar', 1],
    ]);
    await client.ping();
    const before = client.publishes().length;
    client.publish('$conf/dollar', 'hidden', { qos: 1 });
    await client.until(() => client.packets.some((each) => each.type === type.puback));
    await client.ping();
    expect(
      client
        .publishes()
        .slice(before)
        .filter((message) => message.topic.startsWith('$')),
    ).toEqual([]);
  });

  test('an empty client id is given a name with a clean session and refused without', async () => {
    const refused = await dial();
    expect((await refused.connect({ ...login, clientId: '', isClean: false })).code).toBe(2);
    await refused.closed();
    await join({ clientId: '', isClean: true });
  });

  test('a subscription that is not allowed is answered with 0x80, beside one that is', async () => {
    const client = await join({ clientId: 'refused' });
    expect(
      await client.subscribe([
        ['$mycel/#', 1],
        [at('fine'), 1],
        ['$share/g', 1],
      ]),
    ).toEqual([0x80, 1, 0x80]);
  });

  test('unsubscribing stops the messages of that filter only', async () => {
    const client = await join({ clientId: 'leaver' });
    await client.subscribe([
      [at('un/a'), 1],
      [at('un/b'), 1],
    ]);
    const filter = Buffer.from(at('un/a'));
    const body = Buffer.concat([Buffer.from([0, 99, 0, filter.length]), filter]);
    client.send(Buffer.concat([Buffer.from([0xa2, body.length]), body]));
    await client.until(() => client.packets.some((each) => each.type === type.unsuback));
    client.publish(at('un/a'), 'a');
    client.publish(at('un/b'), 'b');
    await client.until(() => client.publishes().length === 1);
    await client.ping();
    expect(client.publishes().map((message) => message.payload)).toEqual(['b']);
  });
});
