/** Messages from one node to another through the public API, beside mqtt.js to brokers and a bare socket in the same run. */

import { fork, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { median, quantile, row, type Row } from './row.ts';
import { warmUp } from './warm-up.ts';

/** What to measure. */
export interface ThroughputOptions {
  readonly rounds: number;
  /** Time that is counted, once both ends are warm. */
  readonly seconds: number;
  /** Beside every baseline there is. */
  readonly isWhole: boolean;
  /** Sizes of the payload. */
  readonly bytes: readonly number[];
}

/** How long a program may take to start or to answer, in ms. */
const answerMs = 30_000;

/** One sample of warming up, and how long a run warms up whose rate is given. */
const sampleMs = 500;
const pacedWarmMs = 3_000;

/** Who sends to whom: two nodes, mqtt.js to aedes in the receiver's process, mqtt.js over mosquitto, a socket, or Moleculer over TCP. */
export type Way =
  | 'mesh'
  | 'aedes'
  | 'mosquitto'
  | 'socket'
  | 'moleculer-emit'
  | 'moleculer-broadcast';

/** One two-process run, as the programs are told it. */
export interface RunPlan {
  readonly way: Way;
  readonly role: 'receiver' | 'sender';
  readonly qos: 0 | 1;
  readonly bytes: number;
  /** Messages a second; undefined: as many as can be. */
  readonly rate?: number;
  readonly dataDir: string;
  /** From the receiver: an invite, or a port. */
  readonly target: string;
}

/** What a program has counted. */
export interface Count {
  readonly received: number;
  readonly cpuMs: number;
  /** In ms, since the last count; only of paced runs. */
  readonly delays: readonly number[];
}

/** One run. */
interface Measured {
  readonly perSecond: number;
  /** CPU of both ends, in ms for 100 000 messages. */
  readonly cpuMsPer100k: number;
  readonly delays: readonly number[];
}

const program = fileURLToPath(new URL('throughput-end.ts', import.meta.url));
const typescript = new URL('../typescript.mjs', import.meta.url).href;
const mosquitto = ['/usr/sbin/mosquitto', '/usr/local/sbin/mosquitto'].find((path) =>
  existsSync(path),
);

const names: Readonly<Record<Exclude<Way, 'mesh'>, string>> = {
  aedes: 'mqtt.js to aedes',
  mosquitto: 'mqtt.js over mosquitto',
  socket: 'length-prefixed socket',
  'moleculer-emit': 'Moleculer TCP, emit',
  'moleculer-broadcast': 'Moleculer TCP, broadcast',
};

/** The interleaved rounds of all rows. */
export async function throughput(options: ThroughputOptions): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for (const bytes of options.bytes) {
    for (const qos of [0, 1] as const) {
      const others: Exclude<Way, 'mesh'>[] = ['aedes'];
      if (mosquitto !== undefined && options.isWhole) others.push('mosquitto');
      if (qos === 0) others.push('socket', 'moleculer-emit');
      if (qos === 0 && options.isWhole) others.push('moleculer-broadcast');
      rows.push(...(await compare(qos, bytes, others, options)));
    }
  }
  return rows;
}

async function compare(
  qos: 0 | 1,
  bytes: number,
  others: readonly Exclude<Way, 'mesh'>[],
  options: ThroughputOptions,
): Promise<Row[]> {
  const runs = new Map<Way, Measured[]>();
  for (let at = 0; at < options.rounds; at += 1) {
    for (const way of [...others, 'mesh'] as const) {
      const measured = await measure({ way, qos, bytes }, options.seconds);
      runs.set(way, [...(runs.get(way) ?? []), measured]);
    }
  }
  const rate = (way: Way): number => median((runs.get(way) ?? []).map((one) => one.perSecond));
  const cpu = (way: Way): number => median((runs.get(way) ?? []).map((one) => one.cpuMsPer100k));
  const name = qos === 0 ? 'signal-throughput' : 'event-throughput';
  const rows = others.map((way) => {
    // Neither knows a quality of service.
    const quality = way === 'aedes' || way === 'mosquitto' ? `, QoS ${qos}` : '';
    const baseline = { name: `${names[way]}${quality}`, value: rate(way) };
    return row(
      way === 'aedes' ? name : `${name}-to-${way}`,
      bytes,
      rate('mesh'),
      'msg/s',
      baseline,
    );
  });
  if (qos === 1) return rows;
  rows.push(
    row('cpu-per-100k', bytes, cpu('mesh'), 'ms', { name: names.aedes, value: cpu('aedes') }),
    row('cpu-per-100k-to-moleculer', bytes, cpu('mesh'), 'ms', {
      name: names['moleculer-emit'],
      value: cpu('moleculer-emit'),
    }),
    ...(await delaysAtHalfLoad(bytes, rate('aedes') / 2, options)),
  );
  return rows;
}

/** Both carry the same load: half of what mqtt.js to aedes can. */
async function delaysAtHalfLoad(
  bytes: number,
  load: number,
  options: ThroughputOptions,
): Promise<Row[]> {
  const delays: Record<'mesh' | 'aedes', number[]> = { mesh: [], aedes: [] };
  for (let at = 0; at < options.rounds; at += 1) {
    for (const way of ['aedes', 'mesh'] as const) {
      const run = await measure({ way, qos: 0, bytes, rate: load }, options.seconds);
      delays[way] = delays[way].concat(run.delays);
    }
  }
  const baseline = (share: number) => ({ name: names.aedes, value: quantile(delays.aedes, share) });
  return [
    row('signal-p50-half-load', bytes, quantile(delays.mesh, 0.5), 'ms', baseline(0.5)),
    row('signal-p99-half-load', bytes, quantile(delays.mesh, 0.99), 'ms', baseline(0.99)),
  ];
}

async function measure(
  what: Pick<RunPlan, 'way' | 'qos' | 'bytes' | 'rate'>,
  seconds: number,
): Promise<Measured> {
  const home = await mkdtemp(join(tmpdir(), 'mycel-bench-'));
  const ends: ChildProcess[] = [];
  const start = async (role: RunPlan['role'], target: string): Promise<[ChildProcess, string]> => {
    const plan: RunPlan = { ...what, role, target, dataDir: join(home, role) };
    const end = fork(program, [JSON.stringify(plan)], { execArgv: ['--import', typescript] });
    ends.push(end);
    return [end, String(await answer(end))];
  };
  try {
    const broker = what.way === 'mosquitto' ? await startMosquitto(home, ends) : '';
    const [receiver, target] = await start('receiver', broker);
    const [sender] = await start('sender', target);
    sender.send('go');
    if (what.rate === undefined) await warmUp(() => receivedWithin(receiver, sampleMs));
    else await sleep(pacedWarmMs);
    const before = [await count(receiver), await count(sender)] as const;
    const from = performance.now();
    await sleep(seconds * 1000);
    const after = [await count(receiver), await count(sender)] as const;
    const messages = after[0].received - before[0].received;
    const cpuMs = after[0].cpuMs + after[1].cpuMs - before[0].cpuMs - before[1].cpuMs;
    return {
      perSecond: (messages / (performance.now() - from)) * 1000,
      cpuMsPer100k: (cpuMs / messages) * 100_000,
      delays: after[0].delays,
    };
  } finally {
    for (const end of ends) end.kill('SIGKILL');
    await rm(home, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function receivedWithin(receiver: ChildProcess, ms: number): Promise<number> {
  const before = await count(receiver);
  await sleep(ms);
  return (await count(receiver)).received - before.received;
}

/** Starts it on a free port; gives the port. */
async function startMosquitto(home: string, ends: ChildProcess[]): Promise<string> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  const config = join(home, 'mosquitto.conf');
  await writeFile(
    config,
    `listener ${port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0\n`,
  );
  const broker = spawn(mosquitto ?? 'mosquitto', ['-c', config], { stdio: 'pipe' });
  ends.push(broker);
  for await (const chunk of broker.stderr) if (String(chunk).includes('running')) break;
  return String(port);
}

async function count(end: ChildProcess): Promise<Count> {
  end.send('count');
  return (await answer(end)) as Count;
}

/** The next message of a program. @throws when it ends or says nothing for `answerMs`. */
export async function answer(end: ChildProcess): Promise<unknown> {
  const over = new AbortController();
  const signal = AbortSignal.any([over.signal, AbortSignal.timeout(answerMs)]);
  const ended = once(end, 'exit', { signal }).then(([code]): never => {
    throw new Error(`a program of the bench ended with ${String(code)}`);
  });
  try {
    const [message] = await Promise.race([once(end, 'message', { signal }), ended]);
    return message;
  } finally {
    over.abort();
  }
}
