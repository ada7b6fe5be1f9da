/** One end of a throughput run, as a process of its own: a node of the built library, or plain mqtt.js and aedes. */

import { once } from 'node:events';
import { createServer } from 'node:net';
import { Aedes } from 'aedes';
import { connectAsync } from 'mqtt';
import { createNode, type MeshNode } from 'mycel';
import type { RunPlan } from './throughput.ts';

/** Messages handed over and not yet taken, at most. */
const windowMax = 512;

const plan = JSON.parse(process.argv[2] ?? '') as RunPlan;
const { qos, bytes, target } = plan;
const topic = 'bench/speed';
const payload = Buffer.alloc(bytes, 'x');
let received = 0;
process.on('message', (message) => {
  if (message === 'count') process.send?.(received);
});
// The bench may die first.
process.on('disconnect', () => process.exit());

if (plan.way === 'mesh') await (plan.role === 'receiver' ? meshReceiver() : meshSender());
else await (plan.role === 'receiver' ? rawReceiver() : rawSender());

async function meshReceiver(): Promise<void> {
  const node = await startNode();
  node.subscribe(topic, () => (received += 1));
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

async function rawReceiver(): Promise<void> {
  const broker = await Aedes.createBroker();
  await new Promise<void>((resolve) => {
    broker.subscribe(
      topic,
      (_packet, done) => {
        received += 1;
        done();
      },
      resolve,
    );
  });
  const server = createServer((socket) => broker.handle(socket)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  process.send?.(String((server.address() as { port: number }).port));
}

async function rawSender(): Promise<void> {
  const client = await connectAsync(`mqtt://127.0.0.1:${target}`);
  process.send?.('connected');
  await once(process, 'message');
  send((done) =>
    client.publish(topic, payload, { qos }, (error) => (error ? fail(error) : done())),
  );
}

/** Keeps `windowMax` messages on their way for ever. */
function send(publish: (done: () => void) => void): void {
  let underWay = 0;
  let isPumping = false;
  const pump = (): void => {
    isPumping = true;
    while (underWay < windowMax) {
      underWay += 1;
      publish(done);
    }
    isPumping = false;
  };
  const done = (): void => {
    underWay -= 1;
    // In batches, so that neither side pays for a turn of the loop per message.
    if (!isPumping && underWay === windowMax / 2) setImmediate(pump);
  };
  pump();
}

function fail(error: unknown): never {
  console.error(error);
  process.exit(1);
}
