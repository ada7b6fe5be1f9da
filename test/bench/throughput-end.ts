/** One end of a run between two processes: a node of the built library, mqtt.js and a broker, a bare socket, or Moleculer. */

import { once } from 'node:events';
import { createRequire } from 'node:module';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { Aedes } from 'aedes';
import { connectAsync } from 'mqtt';
import { createNode, type MeshNode } from 'mycel';
import type { Count, RunPlan } from './throughput.ts';

/** Messages handed over and not yet taken, at most, and their bytes: a node refuses what waits for its outbox beyond 16 MiB. */
const windowMax = 512;
const windowBytesMax: number = 8 * 1024 * 1024;

/** Delays kept; a run at half load has fewer. */
const delaysMax = 1_000_000;

const plan = JSON.parse(process.argv[2] ?? '') as RunPlan;
const { qos, bytes, target } = plan;
const topic = 'bench/speed';
const payload = Buffer.alloc(Math.max(8, bytes), 'x');
let received = 0;
let delays: number[] = [];
process.on('message', (message) => {
  if (message !== 'count') return;
  const { user, system } = process.cpuUsage();
  const count: Count = { received, cpuMs: (user + system) / 1_000, delays };
  delays = [];
  process.send?.(count);
});
// The bench may die first.
process.on('disconnect', () => process.exit());

const roles = {
  mesh: { receiver: meshReceiver, sender: meshSender },
  aedes: { receiver: aedesReceiver, sender: mqttSender },
  mosquitto: { receiver: mqttReceiver, sender: mqttSender },
  socket: { receiver: socketReceiver, sender: socketSender },
  'moleculer-emit': { receiver: moleculerReceiver, sender: moleculerSender },
  'moleculer-broadcast': { receiver: moleculerReceiver, sender: moleculerSender },
};
await roles[plan.way][plan.role]();

/** Both ends read one clock: the machine's. */
function now(): number {
  return Number(process.hrtime.bigint() / 1_000n) / 1_000;
}

function took(message: Uint8Array): void {
  received += 1;
  if (plan.rate === undefined || delays.length >= delaysMax) return;
  const view = new DataView(message.buffer, message.byteOffset);
  delays.push(now() - view.getFloat64(0));
}

async function meshReceiver(): Promise<void> {
  const node = await startNode();
  node.subscribe(topic, (message) => took(message.payload));
  process.send?.((await node.invite()).invite);
}

async function meshSender(): Promise<void> {
  const node = await startNode(target);
  const linked = new Promise<void>((resolve) => {
    node.on('link', ({ isOpen }) => isOpen && resolve());
  });
  await linked;
  process.send?.('linked');
  await once(process, 'message');
  send((done) => void node.publish(topic, payload, { qos }).then(done, fail));
}

async function startNode(join?: string): Promise<MeshNode> {
  const { dataDir } = plan;
  const node = await createNode({
    dataDir,
    port: 0,
    interfaces: ['lo'],
    profile: 'loopback',
    mdns: false,
    multicast: false,
    ...(join === undefined ? {} : { join }),
  });
  await node.start();
  return node;
}

async function aedesReceiver(): Promise<void> {
  const broker = await Aedes.createBroker();
  await new Promise<void>((resolve) => {
    broker.subscribe(
      topic,
      (packet, done) => {
        took(packet.payload as Buffer);
        done();
      },
      resolve,
    );
  });
  process.send?.(await listening(createServer((socket) => broker.handle(socket))));
}

/** The broker is a process of its own; `target` is its port. */
async function mqttReceiver(): Promise<void> {
  const client = await connectAsync(`mqtt://127.0.0.1:${target}`);
  client.on('message', (_topic, message) => took(message));
  await client.subscribeAsync(topic, { qos });
  process.send?.(target);
}

async function mqttSender(): Promise<void> {
  const client = await connectAsync(`mqtt://127.0.0.1:${target}`);
  // mqtt.js adds a listener for each publish that finds the socket full, and a pace does not wait for it.
  client.stream.setMaxListeners(0);
  process.send?.('connected');
  await once(process, 'message');
  send((done) =>
    client.publish(topic, payload, { qos }, (error) => (error ? fail(error) : done())),
  );
}

/** Frames of a length in 4 bytes and the payload, many in one write: what a wire can carry at best. */
async function socketReceiver(): Promise<void> {
  const server = createServer({ noDelay: true }, (socket) => {
    let rest = Buffer.alloc(0);
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      let data = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      while (data.length >= 4) {
        const end = 4 + data.readUInt32BE(0);
        if (data.length < end) break;
        took(data.subarray(4, end));
        data = data.subarray(end);
      }
      rest = data;
    });
  });
  process.send?.(await listening(server));
}

async function socketSender(): Promise<void> {
  const socket = connect({ host: '127.0.0.1', port: Number(target), noDelay: true });
  await once(socket, 'connect');
  process.send?.('connected');
  await once(process, 'message');
  let batch: Buffer[] = [];
  let waiting: (() => void)[] = [];
  let isPlanned = false;
  const head = Buffer.alloc(4);
  head.writeUInt32BE(payload.length);
  const flush = (): void => {
    isPlanned = false;
    const dones = waiting;
    waiting = [];
    const frames = Buffer.concat(batch);
    batch = [];
    socket.write(frames, () => {
      for (const done of dones) done();
    });
  };
  send((done) => {
    batch.push(head, Buffer.from(payload));
    waiting.push(done);
    if (isPlanned) return;
    isPlanned = true;
    setImmediate(flush);
  });
}

/** What is used of Moleculer, which is loaded by its own ends alone. */
interface Broker {
  createService(service: object): void;
  start(): Promise<void>;
  waitForServices(name: string): Promise<unknown>;
  emit(event: string, params: unknown): unknown;
  broadcast(event: string, params: unknown): unknown;
}

async function moleculerBroker(nodeID: string, urls: readonly string[]): Promise<[Broker, string]> {
  const port = await freePort();
  const { ServiceBroker } = createRequire(import.meta.url)('moleculer') as {
    readonly ServiceBroker: new (options: object) => Broker;
  };
  const options = { udpDiscovery: false, useHostname: false, port, urls };
  const transporter = { type: 'TCP', options };
  return [new ServiceBroker({ nodeID, logger: false, transporter }), `127.0.0.1:${port}/${nodeID}`];
}

/** Both are told of each other: the receiver of the port that its peer will have. */
async function moleculerReceiver(): Promise<void> {
  const [broker, place] = await moleculerBroker('receiver', []);
  broker.createService({
    name: 'bench',
    events: {
      speed(context: { params: { text: string } }): void {
        took(Buffer.from(context.params.text, 'latin1'));
      },
    },
  });
  await broker.start();
  process.send?.(place);
}

async function moleculerSender(): Promise<void> {
  const [broker] = await moleculerBroker('sender', [target]);
  await broker.start();
  await broker.waitForServices('bench');
  process.send?.('connected');
  await once(process, 'message');
  const hand = plan.way === 'moleculer-emit' ? 'emit' : 'broadcast';
  // Its messages are JSON: bytes travel as text, as its users have them.
  send((done) => {
    Promise.resolve(broker[hand]('speed', { text: payload.toString('latin1') })).then(done, fail);
  });
}

async function freePort(): Promise<number> {
  const probe = createServer();
  const port = Number(await listening(probe));
  probe.close();
  return port;
}

async function listening(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return String((server.address() as AddressInfo).port);
}

function send(publish: (done: () => void) => void): void {
  if (plan.rate === undefined) sendFlood(publish);
  else sendPaced(publish, plan.rate);
}

/** Keeps as many messages as the window allows on their way for ever. */
function sendFlood(publish: (done: () => void) => void): void {
  const window = Math.min(windowMax, Math.max(2, Math.floor(windowBytesMax / payload.length)));
  let underWay = 0;
  let isPumping = false;
  const pump = (): void => {
    isPumping = true;
    while (underWay < window) {
      underWay += 1;
      publish(done);
    }
    isPumping = false;
  };
  const done = (): void => {
    underWay -= 1;
    // In batches, so that neither side pays for a turn of the loop per message.
    if (!isPumping && underWay === window >> 1) setImmediate(pump);
  };
  pump();
}

/** So many messages a second, each with the instant it is sent at. */
function sendPaced(publish: (done: () => void) => void, rate: number): void {
  const from = now();
  let sent = 0;
  const pump = (): void => {
    const due = Math.floor(((now() - from) * rate) / 1_000);
    // What a stalled machine missed is not sent in one heap.
    if (due - sent > 1_000) sent = due - 1_000;
    for (; sent < due; sent += 1) {
      payload.writeDoubleBE(now(), 0);
      publish(() => {});
    }
    setTimeout(pump, 1);
  };
  pump();
}

function fail(error: unknown): never {
  console.error(error);
  process.exit(1);
}
