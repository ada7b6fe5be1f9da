import { createChannelTable } from '../../src/protocol/channels/channel-table.ts';
import { connectAsync } from 'mqtt';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createMemoryBroker } from '../../src/adapters/memory/broker.ts';
import { createMemoryLog } from '../../src/adapters/memory/log.ts';
import { createSystemClock } from '../../src/adapters/system/clock.ts';
import { createMetrics } from '../../src/adapters/system/metrics.ts';
import type { MeshId } from '../../src/kernel/ids.ts';
import { createRandom } from '../../src/kernel/random.ts';
import { createMessaging, waitingMax } from '../../src/runtime/messaging.ts';
import type { Messaging } from '../../src/runtime/messaging-world.ts';
import { createGroups } from '../../src/runtime/routing/groups.ts';
import { createLocalInterest } from '../../src/runtime/routing/local-interest.ts';
import { createSubscriptions } from '../../src/runtime/subscriptions.ts';
import { readEnvelope } from '../../src/wire/envelope.ts';
import { simNodeId } from '../sim/routing-mesh.ts';
import { portOf, startMesh, textOf, until } from './loopback.ts';

const self = simNodeId(0);
const peer = simNodeId(1);

/** Events that fill the outbox while the peer acknowledges nothing. */
const outboxMax = 16_384;

interface Stage {
  readonly messaging: Messaging;
  /** Payloads that went to the peer, in order. */
  readonly sent: string[];
  /** Payloads that subscribers of this node got, in order. */
  readonly heard: string[];
  /** The peer has everything up to this event. */
  acknowledge(upTo: number): void;
}

/** The message floor over the memory twin of the broker, linked with a peer that acknowledges when it is told to. */
function stage(): Stage {
  const sent: string[] = [];
  const heard: string[] = [];
  const metrics = createMetrics();
  const log = createMemoryLog();
  const clock = createSystemClock();
  const interest = createLocalInterest(clock);
  const groups = createGroups({ self, clock, interest });
  const broker = createMemoryBroker({
    published: () => undefined,
    interest: () => undefined,
    evicted: () => undefined,
    groups,
  });
  const reader = broker.connect({
    clientId: 'reader',
    received: ({ payload }) => heard.push(new TextDecoder().decode(payload)),
  });
  reader.subscribe('#', 1);
  const messaging = createMessaging({
    self,
    boot: 1,
    clock,
    random: createRandom(1),
    log,
    metrics,
    broker,
    channels: createChannelTable([]),
    subscriptions: createSubscriptions({
      groups,
      log,
      metrics,
      retained: () => [],
      wanted: () => undefined,
    }),
    interest,
    groups,
    journal: undefined,
    found: { leftover: undefined, places: [] },
    missed: () => undefined,
    givenUp: () => undefined,
    mesh: 'mesh' as MeshId,
    alert: () => undefined,
    mayLeave: () => true,
    transmit(_to, raw) {
      sent.push(new TextDecoder().decode(readEnvelope(raw)?.payload));
      return true;
    },
    sendLetter: () => undefined,
    sendBroadcast: () => undefined,
    profile: 'wired',
    memberCount: () => 1,
    rttMs: () => undefined,
    sendInterest: () => undefined,
    sendRetained: () => undefined,
    queuedBytes: () => 0,
    announceNeighbours: () => undefined,
    parcel: () => undefined,
    canRead: () => true,
  });
  onTestFinished(() => messaging.stop());
  let letters = 0;
  messaging.step((router, now) => {
    router.memberJoined(now, peer, 1);
    router.linkUp(now, peer);
  });
  return {
    messaging,
    sent,
    heard,
    acknowledge(upTo) {
      letters += 1;
      const passage = { to: self, id: letters, isFlood: false };
      const body = { kind: 'ack', boot: 1, upTo, ranges: [] } as const;
      messaging.step((router, now) =>
        router.letterReceived(now, peer, { from: peer, fromBoot: 1, ttl: 16, passage, body }),
      );
    },
  };
}

function publish(messaging: Messaging, from: number, to: number): Promise<unknown>[] {
  return Array.from({ length: to - from }, (_, at) =>
    messaging.publish('t', new TextEncoder().encode(`${from + at}`), {}),
  );
}

async function drain({ acknowledge, sent }: Stage, count: number): Promise<void> {
  while (sent.length < count) {
    acknowledge(sent.length);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe('the message floor', () => {
  test('holds publishers back when the outbox is full and takes them in their order', async () => {
    const one = stage();
    const total = outboxMax + 500;
    const publishing = publish(one.messaging, 0, total);
    await publishing[outboxMax - 1];
    expect(one.heard.length).toBe(outboxMax);
    await drain(one, total);
    await Promise.all(publishing);
    const wanted = Array.from({ length: total }, (_, at) => `${at}`);
    expect(one.sent).toEqual(wanted);
    expect(one.heard).toEqual(wanted);
  });

  test('takes a waiting publish back with its signal, and no other', async () => {
    const one = stage();
    const full = publish(one.messaging, 0, outboxMax);
    const stop = new AbortController();
    const reason = new Error('too late');
    const waiting = one.messaging.publish('t', new TextEncoder().encode('never'), {
      signal: stop.signal,
    });
    const behind = publish(one.messaging, outboxMax, outboxMax + 1);
    stop.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    await drain(one, outboxMax + 1);
    await Promise.all([...full, ...behind]);
    expect(one.sent.at(-1)).toBe(`${outboxMax}`);
    expect(one.sent).not.toContain('never');
    expect(one.heard).not.toContain('never');
    const over = new AbortController();
    await one.messaging.publish('t', new Uint8Array(1), { signal: over.signal });
    over.abort();
  });

  test('refuses what cannot even wait, and says which limit it is', async () => {
    const one = stage();
    const publishing = publish(one.messaging, 0, outboxMax + waitingMax);
    await expect(one.messaging.publish('t', new Uint8Array(1), {})).rejects.toMatchObject({
      code: 'MYCEL_OUTBOX_FULL',
    });
    await drain(one, outboxMax + waitingMax);
    await Promise.all(publishing);
  });

  test('bounds the bytes that wait, too', async () => {
    const one = stage();
    void publish(one.messaging, 0, outboxMax);
    const large = new Uint8Array(128 * 1024);
    const verdicts: Promise<string>[] = Array.from({ length: 130 }, () =>
      one.messaging.publish('t', large, {}).then(
        () => 'taken',
        (error: { code: string }) => error.code,
      ),
    );
    await drain(one, outboxMax + 128);
    const counts = (await Promise.all(verdicts)).filter((one) => one === 'taken').length;
    expect(counts).toBe(128);
    expect(await verdicts[128]).toBe('MYCEL_OUTBOX_FULL');
  });

  test('tells those who wait that the node stops', async () => {
    const one = stage();
    void publish(one.messaging, 0, outboxMax);
    const waiting = one.messaging.publish('t', new Uint8Array(1), {});
    void one.messaging.stop();
    await expect(waiting).rejects.toMatchObject({ code: 'MYCEL_NOT_RUNNING' });
  });
});

describe('plain clients of two nodes', () => {
  async function join(
    port: number,
    filters: readonly string[],
  ): Promise<{
    readonly heard: string[];
    readonly client: Awaited<ReturnType<typeof connectAsync>>;
  }> {
    const client = await connectAsync(`mqtt://127.0.0.1:${port}`, { reconnectPeriod: 0 });
    onTestFinished(() => client.endAsync(true));
    const heard: string[] = [];
    client.on('message', (topic, payload) => heard.push(`${topic} ${payload.toString()}`));
    if (filters.length > 0) await client.subscribeAsync([...filters], { qos: 1 });
    return { heard, client };
  }

  test('get their own publishes back exactly once, as everybody else does', async () => {
    const [ann, bob] = await startMesh('ann', 'bob');
    if (ann === undefined || bob === undefined) throw new Error('there are two');
    const mine = await join(portOf(ann), ['own/#']);
    const theirs = await join(portOf(bob), ['own/#']);
    const api: string[] = [];
    bob.subscribe('own/#', (message) => api.push(`${message.topic} ${textOf(message)}`));
    for (let count = 0; count < 50; count += 1) {
      await mine.client.publishAsync('own/x', `${count}`, { qos: count % 2 === 0 ? 1 : 0 });
    }
    await mine.client.publishAsync('own/end', '', { qos: 1 });
    const heard = [mine.heard, theirs.heard, api];
    await until(() => heard.every((list) => list.length === 51));
    await bob.publish('own/last', 'x');
    await until(() => heard.every((list) => list.includes('own/last x')));
    const wanted = [...Array.from({ length: 50 }, (_, at) => `own/x ${at}`), 'own/end '];
    for (const list of heard) expect(list.slice().sort()).toEqual([...wanted, 'own/last x'].sort());
  });

  test('get a message once for their overlapping filters, at the higher QoS', async () => {
    const [ann, bob] = await startMesh('ann', 'bob');
    if (ann === undefined || bob === undefined) throw new Error('there are two');
    const { client, heard } = await join(portOf(ann), []);
    await client.subscribeAsync({ 'o/#': { qos: 0 }, 'o/x': { qos: 1 }, 'o/+': { qos: 0 } });
    const levels: number[] = [];
    client.on('message', (_topic, _payload, packet) => levels.push(packet.qos));
    for (let count = 0; count < 20; count += 1) await bob.publish('o/x', `${count}`);
    await bob.publish('o/end', '');
    await until(() => heard.includes('o/end '));
    expect(heard).toEqual([...Array.from({ length: 20 }, (_, at) => `o/x ${at}`), 'o/end ']);
    expect(levels).toEqual([...Array.from({ length: 20 }, () => 1), 0]);
  });
});
