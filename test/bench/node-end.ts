/** Nodes of the built library in a process of their own, for the runs that count what happens between several of them. */

import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Aedes } from 'aedes';
import { connectAsync } from 'mqtt';
import type { MqttClient } from 'mqtt';
import { createNode } from 'mycel';

/** What a process of this program is told to do. */
export interface NodePlan {
  readonly what: 'echo' | 'bulk' | 'fanout-mesh' | 'fanout-aedes';
  readonly dataDir: string;
  readonly seconds: number;
  /** An invite. */
  readonly target: string;
}

/** Round trips of control in ms, and how often a control frame waited for data ahead of it for too long. */
export interface ControlTimes {
  readonly idle: readonly number[];
  readonly busy: readonly number[];
  readonly incidents: number;
}

/** Content that the other end fetches again and again. */
const bulkMiB = 4;
let bulkBytes = 0;

/** Subscribers of the fan-out, and the nodes they are spread over. */
const subscribers = 100;
const fanoutNodes = 5;

const plan = JSON.parse(process.argv[2] ?? '') as NodePlan;
process.on('disconnect', () => process.exit());
const acts = { echo, bulk, 'fanout-mesh': fanoutMesh, 'fanout-aedes': fanoutAedes };
process.send?.(await acts[plan.what]());

type Node = Awaited<ReturnType<typeof createNode>>;

async function up(name: string, join_?: string): Promise<Node> {
  const node = await createNode({
    name,
    dataDir: join(plan.dataDir, name),
    port: 0,
    interfaces: ['lo'],
    profile: 'loopback',
    mdns: false,
    multicast: false,
    ...(join_ === undefined ? {} : { join: join_ }),
  });
  // A node that joins changes its mesh once, and publishes nothing meanwhile.
  const linked = new Promise<void>((resolve) => {
    node.on('link', ({ isOpen }) => isOpen && resolve());
  });
  await node.start();
  if (join_ !== undefined) await linked;
  return node;
}

/** Answers each urgent question, and takes the bulk. */
async function echo(): Promise<string> {
  const node = await up('echo');
  node.subscribe('ask', ({ payload }) => {
    void node.publish('answer', payload, { qos: 0, urgent: true });
  });
  node.subscribe('bulk', ({ payload }) => void fetchForEver(node, Buffer.from(payload).toString()));
  return (await node.invite()).invite;
}

async function fetchForEver(node: Node, hash: string): Promise<void> {
  for (;;) {
    for await (const chunk of node.blobs.get(hash)) bulkBytes += chunk.length;
    await node.blobs.remove(hash);
  }
}

/** Round trips of urgent questions: alone, then while `data` is saturated. */
async function bulk(): Promise<ControlTimes> {
  const node = await up('bulk', plan.target);
  let answered = (_at: number): void => {};
  node.subscribe('answer', ({ payload }) =>
    answered(new DataView(payload.buffer, payload.byteOffset).getFloat64(0)),
  );
  const ask = async (): Promise<number> => {
    const payload = Buffer.alloc(64);
    const from = performance.now();
    payload.writeDoubleBE(from, 0);
    const back = new Promise<void>((resolve) => {
      answered = (at) => {
        if (at === from) resolve();
      };
    });
    await node.publish('ask', payload, { qos: 0, urgent: true });
    await Promise.race([back, sleep(2_000)]);
    return performance.now() - from;
  };
  const rounds = async (ms: number): Promise<number[]> => {
    const took: number[] = [];
    for (const from = performance.now(); performance.now() - from < ms; await sleep(2)) {
      took.push(await ask());
    }
    return took;
  };
  await rounds(1_000);
  const idle = await rounds(plan.seconds * 1_000);
  const { hash } = await node.blobs.put(Buffer.alloc(bulkMiB * 1024 * 1024, 'x'));
  await node.publish('bulk', hash);
  await sleep(1_000);
  const busy = await rounds(plan.seconds * 1_000);
  return { idle, busy, incidents: node.status().headOfLine.incidents };
}

async function clientsOf(ports: readonly number[], heard: () => void): Promise<MqttClient[]> {
  const clients = await Promise.all(
    Array.from({ length: subscribers }, (_, at) =>
      connectAsync(`mqtt://127.0.0.1:${ports[at % ports.length]}`),
    ),
  );
  for (const client of clients) {
    client.on('message', heard);
    await client.subscribeAsync('fan/out', { qos: 0 });
  }
  return clients;
}

/** Deliveries a second, all subscribers together, with a window of messages on their way. */
async function fan(publisher: MqttClient, ports: readonly number[]): Promise<number> {
  let heard = 0;
  let sent = 0;
  const clients = await clientsOf(ports, () => (heard += 1));
  const pump = (): void => {
    while (sent * subscribers - heard < 200 * subscribers) {
      publisher.publish('fan/out', Buffer.alloc(64));
      sent += 1;
    }
    setImmediate(pump);
  };
  pump();
  await sleep(1_000);
  const before = heard;
  const from = performance.now();
  await sleep(plan.seconds * 1_000);
  const rate = ((heard - before) / (performance.now() - from)) * 1_000;
  void clients;
  return rate;
}

async function fanoutMesh(): Promise<number> {
  const first = await up('0');
  const nodes = [first];
  for (let at = 1; at < fanoutNodes; at += 1) {
    nodes.push(await up(String(at), (await first.invite()).invite));
  }
  while (nodes.some((node) => node.status().links.length < fanoutNodes - 1)) await sleep(20);
  const ports = nodes.map((node) => node.status().mqttPort);
  return fan(await connectAsync(`mqtt://127.0.0.1:${ports[0]}`), ports);
}

async function fanoutAedes(): Promise<number> {
  const broker = await Aedes.createBroker();
  const server = createServer((socket) => broker.handle(socket)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return fan(await connectAsync(`mqtt://127.0.0.1:${port}`), [port]);
}
