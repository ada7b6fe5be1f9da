/** A device that asks language models through the mesh, in a process of its own whose CPU is counted. */

import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { createNode } from 'mycel';

/** What it is told to do. */
export interface LlmPlan {
  readonly dataDir: string;
  readonly invite: string;
  /** Answers that are kept at the gateway, one after another. */
  readonly answers: number;
  /** Streams of a hundred tokens, and before the clock starts: V8 compiles what is hot for the first few hundred. */
  readonly streams: number;
  readonly warmUp: number;
}

/** What it has counted. */
export interface LlmCounted {
  /** Of each kept answer, and of each call of an action of the same node, in ms. */
  readonly kept: readonly number[];
  readonly unary: readonly number[];
  /** Of streams that a model writes at once, and of those that it writes at its pace. */
  readonly atOnce: StreamCost;
  readonly paced: StreamCost;
}

/** What one stream cost. */
export interface StreamCost {
  /** CPU of one stream, less what the node uses alone in as long a time; and that, in ms. */
  readonly cpuMs: number;
  readonly idleCpuMs: number;
  /** Lots that it came in. */
  readonly frames: number;
}

/** Streams at once. */
const atOnce = 10;

const plan = JSON.parse(process.argv[2] ?? '') as LlmPlan;
process.on('disconnect', () => process.exit());

const node = await createNode({
  name: 'device',
  dataDir: plan.dataDir,
  join: plan.invite,
  port: 0,
  interfaces: ['lo'],
  mdns: false,
  multicast: false,
});
await node.start();
while ((await node.llm.targets()).length === 0) await sleep(50);
const [{ gateway } = { gateway: node.id }] = await node.llm.targets();

async function times(count: number, run: () => Promise<unknown>): Promise<number[]> {
  const taken: number[] = [];
  for (let at = 0; at < count + 50; at += 1) {
    const from = performance.now();
    await run();
    if (at >= 50) taken.push(performance.now() - from);
  }
  return taken;
}

const cpuNow = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
};

let drawn = 0;
let frames = 0;
/** Steps of one lot come in one turn of the event loop. */
async function stream(): Promise<void> {
  drawn += 1;
  const prompt = `${process.pid} ${drawn} 100 words`;
  let text = '';
  let turn = -1;
  let now = 0;
  let isTicking = false;
  for await (const event of node.llm.stream({
    model: 'small',
    messages: [{ role: 'user', content: prompt }],
  })) {
    if (event.type !== 'text') continue;
    if (!isTicking) {
      isTicking = true;
      setImmediate(() => {
        now += 1;
        isTicking = false;
      });
    }
    if (now !== turn) frames += 1;
    turn = now;
    text += event.text;
  }
  if (text.split(' ').length !== 100)
    throw new Error(`a stream had ${text.split(' ').length} words`);
}

async function streams(count: number): Promise<void> {
  let left = count;
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      while (left > 0) {
        left -= 1;
        await stream();
      }
    }),
  );
}

const question = { model: 'small', temperature: 0, messages: [{ role: 'user', content: 'again' }] };
const kept = await times(plan.answers, () => node.llm.chat(question));
const unary = await times(plan.answers, () => node.call('$SRV.ping', {}, { node: gateway }));

/** The node alone uses CPU, too: as long a time of that is taken off. */
async function cost(): Promise<StreamCost> {
  frames = 0;
  const from = performance.now();
  const cpuFrom = cpuNow();
  await streams(plan.streams);
  const cpu = cpuNow() - cpuFrom;
  const tookMs = performance.now() - from;
  const restFrom = cpuNow();
  await sleep(tookMs);
  const rest = cpuNow() - restFrom;
  const { streams: count } = plan;
  return { cpuMs: (cpu - rest) / count, idleCpuMs: rest / count, frames: frames / count };
}

// Compiled is what ran often: at the pace of a model that would take minutes.
await streams(plan.warmUp);
const atOnceCost = await cost();
process.send?.('paced, please');
await once(process, 'message');
const paced = await cost();
const counted: LlmCounted = { kept, unary, atOnce: atOnceCost, paced };
process.send?.(counted);
await once(process, 'disconnect');
