/** One end of a run of calls: a node of the built library, or a broker of Moleculer. */

import { once } from 'node:events';
import { createRequire } from 'node:module';
import { action, createNode } from 'mycel';
import * as z from 'zod/mini';
import type { CallsPlan, Counted } from './calls.ts';

/** Both validate what comes in. */
const text = z.object({ text: z.string() });
const params = { text: 'string' };

const plan = JSON.parse(process.argv[2] ?? '') as CallsPlan;
const payload = { text: 'x'.repeat(plan.bytes) };
const service = {
  name: 'echo',
  actions: { say: { params, handler: (context: { params: unknown }) => context.params } },
};
// The bench may die first.
process.on('disconnect', () => process.exit());
const roles = {
  mycel: { server: mycelServer, client: mycelClient, both: mycelBoth },
  moleculer: { server: moleculerServer, client: moleculerClient, both: moleculerBoth },
};
await roles[plan.way][plan.role]();

type Call = () => Promise<unknown>;

/** What is used of Moleculer. It is loaded by the ends that need it alone: the others are not to carry its memory. */
interface Broker {
  createService(service: object): void;
  start(): Promise<void>;
  waitForServices(name: string): Promise<unknown>;
  call(action: string, params: unknown): Promise<unknown>;
}
interface Moleculer {
  readonly ServiceBroker: new (options: object) => Broker;
}

async function startNode(): Promise<Awaited<ReturnType<typeof createNode>>> {
  const node = await createNode({
    dataDir: plan.dataDir,
    port: 0,
    interfaces: ['lo'],
    profile: 'loopback',
    mdns: false,
    multicast: false,
    ...(plan.role === 'client' ? { join: plan.target } : {}),
  });
  await node.start();
  return node;
}

function offer(node: Awaited<ReturnType<typeof createNode>>): void {
  node.service({
    name: 'echo',
    version: '1.0.0',
    actions: { say: action({ input: text, output: text }, (input) => input) },
  });
}

async function mycelServer(): Promise<void> {
  const node = await startNode();
  offer(node);
  process.send?.((await node.invite()).invite);
  serveCounts();
}

async function mycelClient(): Promise<void> {
  const node = await startNode();
  await measureWhenAsked(() => node.call('echo.say', payload));
}

async function mycelBoth(): Promise<void> {
  const node = await startNode();
  offer(node);
  await measureWhenAsked(() => node.call('echo.say', payload));
}

/** As it comes, but for the port, and for peers that are named instead of found. */
function startBroker(): Broker {
  const { port, peer, role } = plan;
  const urls = [
    `127.0.0.1:${port}/${role}`,
    `127.0.0.1:${peer}/${role === 'server' ? 'client' : 'server'}`,
  ];
  const moleculer = createRequire(import.meta.url)('moleculer') as Moleculer;
  return new moleculer.ServiceBroker({
    nodeID: role,
    logger: false,
    ...(role === 'both'
      ? {}
      : {
          transporter: {
            type: 'TCP',
            options: { udpDiscovery: false, useHostname: false, port, urls },
          },
        }),
  });
}

async function moleculerServer(): Promise<void> {
  const broker = startBroker();
  broker.createService(service);
  await broker.start();
  process.send?.('up');
  serveCounts();
}

async function moleculerClient(): Promise<void> {
  const broker = startBroker();
  await broker.start();
  await broker.waitForServices('echo');
  await measureWhenAsked(() => broker.call('echo.say', payload));
}

async function moleculerBoth(): Promise<void> {
  const broker = startBroker();
  broker.createService(service);
  await broker.start();
  await measureWhenAsked(() => broker.call('echo.say', payload));
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}

/** The serving end tells what CPU it has used. */
function serveCounts(): void {
  process.on('message', () => process.send?.(cpuMs()));
}

async function measureWhenAsked(call: Call): Promise<void> {
  const giveUpAt = performance.now() + 20_000;
  for (;;) {
    try {
      await call();
      break;
    } catch (error) {
      if (performance.now() > giveUpAt) throw error;
      await new Promise((resolve) => void setTimeout(resolve, 20));
    }
  }
  process.send?.('ready');
  for (;;) {
    const [asked] = (await once(process, 'message')) as [{ inFlight: number; seconds: number }];
    process.send?.(await measure(call, asked.inFlight, asked.seconds));
  }
}

/** So many callers, each with one call open at a time. By the clock, not a timer: calls that stay in the process may leave timers no turn. */
async function measure(call: Call, inFlight: number, seconds: number): Promise<Counted> {
  const delays: number[] = [];
  const beganCpu = cpuMs();
  const began = performance.now();
  const until = began + seconds * 1_000;
  const caller = async (): Promise<void> => {
    for (let from = performance.now(); from < until;) {
      await call();
      const now = performance.now();
      delays.push(now - from);
      from = now;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, caller));
  const perSecond = (delays.length / (performance.now() - began)) * 1_000;
  return { perSecond, delays, cpuMs: cpuMs() - beganCpu };
}
