/** What a broker in the middle can do, on purpose or not, and what it learns. */

import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, onTestFinished, test } from 'vitest';
import { createUdpDatagrams } from '../../../src/adapters/dgram/udp.ts';
import type { Address } from '../../../src/kernel/address.ts';
import type { MeshId, NodeId } from '../../../src/kernel/ids.ts';
import type { DatagramSocket } from '../../../src/ports/datagram.ts';
import type { Sighting } from '../../../src/ports/discovery.ts';
import { backboneRooms } from '../../../src/wire/backbone-seal.ts';
import { generateNodeKeys, nodeIdOf } from '../../../src/wire/keys.ts';
import { startCommand } from '../../process.ts';
import { bundleProgram } from '../child.ts';
import { createCredentials } from '../link/link-fixture.ts';
import { createStation, enter, meshId, startBackboneHost } from './backbone-fixture.ts';
import type { Station } from './backbone-fixture.ts';
import { startBroker } from './brokers.ts';
import { password, startMosquitto, user } from './mosquitto.ts';

const broker = await startBroker();
afterAll(() => broker.stop());
const freshNode = (): NodeId => nodeIdOf(generateNodeKeys().edPublic);

const login = ['-h', '127.0.0.1', '-p', `${broker.port}`, '-u', user, '-P', password];

/** Somebody with a login who subscribes to everything. */
async function overhear(): Promise<() => { topic: string; hex: string }[]> {
  const argv = ['stdbuf', '-oL', 'mosquitto_sub', ...login, '-t', '#', '-F', 'heard %t %x', '-d'];
  const spy = startCommand(argv);
  onTestFinished(() => void spy.child.kill('SIGKILL'));
  await spy.line((line) => line.startsWith('Subscribed'), 5_000);
  return () =>
    spy.lines.flatMap((line) => {
      const [, topic, hex] = /^heard (\S+) ([0-9a-f]+)$/.exec(line) ?? [];
      // What begins with a dollar is the broker's own: NATS shows it to whoever asks for everything.
      return topic === undefined || hex === undefined || topic.startsWith('$')
        ? []
        : [{ topic, hex }];
    });
}

interface Trouble {
  readonly reason: string;
  readonly fix: string;
}

/** A station whose rung is listened to. */
async function listening(
  url: string = broker.url(),
): Promise<Station & { seen: Sighting[]; troubles: (Trouble | undefined)[] }> {
  const station = createStation(url);
  onTestFinished(() => station.backbone.stop());
  const seen: Sighting[] = [];
  const troubles: (Trouble | undefined)[] = [];
  await station.backbone.rung.start({
    seen: (sighting) => seen.push(sighting),
    lost: () => undefined,
    trouble: (problem) => troubles.push(problem),
  });
  return { ...station, seen, troubles };
}

async function until(condition: () => boolean): Promise<void> {
  await expect.poll(condition, { timeout: 10_000, interval: 10 }).toBe(true);
}

test('members find each other by hello, whoever comes first, and strangers to the mesh see nobody', async () => {
  const [ann, bob, eve] = [await listening(), await listening(), await listening()];
  const [annId, bobId] = [freshNode(), freshNode()];
  enter(eve, freshNode(), 'cd'.repeat(16) as MeshId);
  enter(ann, annId);
  await Promise.all([ann.up(), eve.up()]);
  enter(bob, bobId);
  await until(() => ann.seen.length > 0 && bob.seen.length > 0);
  expect(ann.seen[0]).toMatchObject({
    rung: 'backbone',
    node: bobId,
    meshTag: meshId.slice(0, 16),
    addresses: [{ host: '192.0.2.7', port: 1883 }, bob.backbone.addressOf(meshId, bobId, 1883)],
  });
  expect(bob.seen[0]).toMatchObject({ node: annId });
  expect(eve.seen).toEqual([]);
});

test('datagrams pass between inboxes, and from UDP to UDP as before', async () => {
  const ends: {
    station: Station;
    socket: DatagramSocket;
    heard: [Address, string][];
    id: NodeId;
  }[] = [];
  for (const host of ['127.0.0.1', '127.0.0.1']) {
    const station = await listening();
    const heard: [Address, string][] = [];
    const id = freshNode();
    const datagrams = station.backbone.datagrams(createUdpDatagrams());
    const socket = await datagrams.open({
      host,
      port: 0,
      receive: (from, bytes) => heard.push([from, Buffer.from(bytes).toString()]),
    });
    onTestFinished(() => socket.stop());
    enter(station, id);
    await station.up();
    ends.push({ station, socket, heard, id });
  }
  const [ann, bob] = ends as [(typeof ends)[0], (typeof ends)[0]];
  const far = bob.station.backbone.addressOf(meshId, bob.id, 1883);
  ann.socket.send(far, Buffer.from('over the broker'));
  ann.socket.send({ host: '127.0.0.1', port: bob.socket.port }, Buffer.from('over the LAN'));
  await until(() => bob.heard.length === 2);
  const back = ann.station.backbone.addressOf(meshId, ann.id, 1883);
  expect(bob.heard.find(([, text]) => text === 'over the broker')?.[0]).toEqual(back);
  bob.socket.send(back, Buffer.from('answer'));
  await until(() => ann.heard.length === 1);
});

// RabbitMQ needs several seconds for a start.
test(
  'a broker that dies cuts every stream at once, and is used again when it is back',
  { timeout: 120_000 },
  async () => {
    const own = await startBroker();
    onTestFinished(() => own.stop());
    const mesh = generateNodeKeys();
    const hosts = await Promise.all(
      [0, 1].map(() => startBackboneHost(own.url(), createCredentials(mesh))),
    );
    const [ann, bob] = hosts as [(typeof hosts)[0], (typeof hosts)[0]];
    onTestFinished(() =>
      Promise.all(hosts.map((one) => one.transport.stop())).then(() => undefined),
    );
    const patience = (): AbortSignal => AbortSignal.timeout(8_000);
    await ann.transport.dial(bob.node, [bob.address], patience());
    await bob.heard.until(() => bob.heard.opened.length === 1);
    const killedAt = performance.now();
    await own.kill();
    await ann.heard.until(() => ann.heard.closed.length === 1);
    await bob.heard.until(() => bob.heard.closed.length === 1);
    expect(performance.now() - killedAt).toBeLessThan(1_000);
    await expect(ann.transport.dial(bob.node, [bob.address], patience())).rejects.toThrow(
      /backbone is not connected/,
    );
    await own.start();
    await Promise.all([ann.station.up(), bob.station.up()]);
    const again = await ann.transport.dial(bob.node, [bob.address], patience());
    again.send('control', Uint8Array.of(1));
    await bob.heard.until(() => bob.heard.frames.length === 1);
  },
);

test.each([
  ['a wrong password', { user, password: 'guessed' }],
  ['a user that is none', { user: 'nobody', password }],
])(
  '%s is told in one sentence with its fix, and no secret is in it or in the log',
  async (_, as) => {
    const ann = await listening(broker.url(as));
    enter(ann, freshNode());
    await until(() => ann.troubles.length > 0);
    expect(ann.troubles[0]).toEqual({
      reason: `The backbone broker at 127.0.0.1:${broker.port} refuses the user or the password.`,
      fix: 'Correct them in --backbone.',
    });
    const told = JSON.stringify([ann.log.take(), ann.troubles]);
    for (const secret of [as.password, encodeURIComponent(as.password), as.user]) {
      if (secret !== user) expect(told).not.toContain(secret);
    }
  },
);

test('a broker that is not there, or is something else, is told and tried again', async () => {
  const deaf = createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
  deaf.listen(0, '127.0.0.1');
  await once(deaf, 'listening');
  onTestFinished(() => void deaf.close());
  const { port } = deaf.address() as { port: number };
  const [web, nowhere] = [
    await listening(`mqtt://127.0.0.1:${port}`),
    await listening('mqtt://127.0.0.1:1'),
  ];
  enter(web, freshNode());
  enter(nowhere, freshNode());
  await until(() => web.troubles.length > 1 && nowhere.troubles.length > 1);
  expect(web.troubles[0]?.reason).toMatch(/cannot be reached: malformed MQTT/);
  expect(nowhere.troubles[0]?.reason).toMatch(/127\.0\.0\.1:1 cannot be reached: .*ECONNREFUSED/);
});

test('by TLS a broker must show a certificate that this computer trusts', async () => {
  const own = await startMosquitto(true);
  onTestFinished(() => own.stop());
  const ann = await listening(own.url());
  enter(ann, freshNode());
  await until(() => ann.troubles.length > 0);
  expect(ann.troubles[0]?.reason).toMatch(/cannot be reached: self-signed certificate[.;]/);
  const bundle = await bundleProgram(fileURLToPath(new URL('tls-station.ts', import.meta.url)));
  onTestFinished(() => bundle.dispose());
  const argv = [process.execPath, bundle.file, own.url()];
  const trusting = startCommand(argv, { env: { NODE_EXTRA_CA_CERTS: own.ca ?? '' } });
  onTestFinished(() => void trusting.child.kill('SIGKILL'));
  await trusting.line((line) => line === 'up', 10_000);
  expect(await trusting.ended).toBe(0);
});

test('who listens to everything on the broker sees neither topics, names, ids nor anything twice', async () => {
  const overheardBy = await overhear();
  const mesh = generateNodeKeys();
  const hosts = await Promise.all(
    [0, 1].map(() => startBackboneHost(broker.url(), createCredentials(mesh))),
  );
  const [ann, bob] = hosts as [(typeof hosts)[0], (typeof hosts)[0]];
  const near = await ann.transport.dial(bob.node, [bob.address], AbortSignal.timeout(5_000));
  for (let at = 0; at < 20; at += 1) near.send('data', Buffer.from('the secret recipe'));
  await bob.heard.until(() => bob.heard.frames.length === 20);
  for (const one of hosts) await one.transport.stop();
  const said = hosts.map(({ station }) => station.metrics.snapshot().counters['backbone.out'] ?? 0);
  await until(() => overheardBy().length === (said[0] ?? 0) + (said[1] ?? 0));
  const overheard = overheardBy();
  expect(overheard.length).toBeGreaterThan(10);
  const all = Buffer.from(overheard.map(({ hex }) => hex).join(''), 'hex').toString('latin1');
  const readable = ['secret recipe', 'MYC', 'MQTT', '$mycel', ann.node, bob.node, meshId];
  for (const words of readable) expect(all).not.toContain(words);
  const { all: everybody, topicOf, inboxOf } = backboneRooms(meshId);
  const rooms = new Set([everybody, topicOf(inboxOf(ann.node)), topicOf(inboxOf(bob.node))]);
  expect(new Set(overheard.map(({ topic }) => topic))).toEqual(rooms);
  for (const topic of rooms) {
    expect(topic).toMatch(/^[0-9a-f]{32}\/[0-9a-f]{32}$/);
    for (const words of [ann.node, bob.node, meshId]) expect(topic).not.toContain(words);
  }
  expect(new Set(overheard.map(({ hex }) => hex)).size).toBe(overheard.length);
});

test('bytes of a stranger, and packets played again, are counted and change nothing', async () => {
  const mesh = generateNodeKeys();
  const hosts = await Promise.all(
    [0, 1].map(() => startBackboneHost(broker.url(), createCredentials(mesh))),
  );
  const [ann, bob] = hosts as [(typeof hosts)[0], (typeof hosts)[0]];
  onTestFinished(() => Promise.all(hosts.map((one) => one.transport.stop())).then(() => undefined));
  const overheardBy = await overhear();
  const near = await ann.transport.dial(bob.node, [bob.address], AbortSignal.timeout(5_000));
  near.send('control', Uint8Array.of(1));
  await bob.heard.until(() => bob.heard.frames.length === 1);
  const { topicOf, inboxOf } = backboneRooms(meshId);
  const toBob = topicOf(inboxOf(bob.node));
  const heardOf = (): string[] =>
    overheardBy().flatMap(({ topic, hex }) => (topic === toBob ? [hex] : []));
  await until(() => heardOf().length > 3);
  const recorded = heardOf();
  const drops = (): number =>
    bob.station.metrics.snapshot().drops['backbone: not of this mesh'] ?? 0;
  const before = drops();
  const home = await mkdtemp(join(tmpdir(), 'mycel-strange-'));
  onTestFinished(() => rm(home, { recursive: true, force: true }));
  const file = join(home, 'bytes');
  const strange = [...recorded, '', '00', 'ff'.repeat(60), 'ab'.repeat(20_000)];
  for (const hex of strange) {
    await writeFile(file, Buffer.from(hex, 'hex'));
    const publish = startCommand(['mosquitto_pub', ...login, '-t', toBob, '-f', file]);
    expect(await publish.ended).toBe(0);
  }
  await until(() => drops() === before + strange.length);
  near.send('control', Uint8Array.of(2));
  await bob.heard.until(() => bob.heard.frames.length === 2);
  expect([...ann.heard.closed, ...bob.heard.closed]).toEqual([]);
});
