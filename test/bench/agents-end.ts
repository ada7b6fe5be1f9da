/** A process that fills one node with idle agents, or one broker of Moleculer with idle services. Run with --expose-gc. */

import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import { createNode } from 'mycel';
import type { AgentsPlan, Filled } from './agents.ts';

const plan = JSON.parse(process.argv[2] ?? '') as AgentsPlan;
/** Both keep a state of their own and handle a message. */
const source = `
import { defineAgent } from 'mycel';
export const agent = defineAgent({
  name: 'idle',
  isolation: 'in-process',
  init: () => ({ count: 0 }),
  handle(state) { return { count: state.count + 1 }; },
});`;

// The bench may die first.
process.on('disconnect', () => process.exit());
process.send?.(await { mycel: fillNode, moleculer: fillBroker }[plan.way]());

async function heldBytes(): Promise<number> {
  for (let at = 0; at < 4; at += 1) {
    globalThis.gc?.();
    await sleep(50);
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

async function filled(before: number, tookMs: number): Promise<Filled> {
  await sleep(500);
  const bytes = (await heldBytes()) - before;
  return { perSecond: (plan.count / tookMs) * 1_000, bytesEach: bytes / plan.count };
}

/** As many as one agent may have replicas, several times; the time includes looking at the module. */
async function fillNode(): Promise<Filled> {
  const node = await createNode({
    dataDir: plan.dataDir,
    port: 0,
    interfaces: ['lo'],
    profile: 'loopback',
    mdns: false,
    multicast: false,
  });
  await node.start();
  const running = (): number =>
    node.agents.list().filter(({ state }) => state === 'running').length;
  // What is loaded with the first agent is not one agent's.
  await node.agents.deploy(source, { name: 'first' });
  while (running() < 1) await sleep(5);
  await sleep(2_000);
  const before = await heldBytes();
  const from = performance.now();
  const names = Array.from({ length: plan.count / plan.each }, (_, at) => `idle-${at}`);
  await Promise.all(names.map((name) => node.agents.deploy(source, { name, replicas: plan.each })));
  while (running() <= plan.count) await sleep(1);
  return filled(before, performance.now() - from);
}

async function fillBroker(): Promise<Filled> {
  const { ServiceBroker } = createRequire(import.meta.url)('moleculer') as {
    readonly ServiceBroker: new (options: object) => {
      createService(service: object): void;
      start(): Promise<void>;
      waitForServices(names: readonly string[]): Promise<unknown>;
    };
  };
  const broker = new ServiceBroker({ logger: false });
  const service = (name: string) => ({
    name,
    created(this: { state: unknown }) {
      this.state = { count: 0 };
    },
    actions: {
      handle(this: { state: { count: number } }) {
        this.state.count += 1;
      },
    },
  });
  await broker.start();
  broker.createService(service('first'));
  await sleep(1_000);
  const before = await heldBytes();
  const from = performance.now();
  const names = Array.from({ length: plan.count }, (_, at) => `idle-${at}`);
  for (const name of names) broker.createService(service(name));
  await broker.waitForServices(names);
  return filled(before, performance.now() - from);
}
