/**
 * What the gateway adds to a language model's answer: time, CPU and memory, beside the same requests without it. Portkey's
 * gateway is measured in the same run where `MYCEL_PORTKEY` names a directory in which `@portkey-ai/gateway` is installed
 * (docs/decisions/0044).
 */

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { startProvider } from '../gateway/provider.ts';
import type { Provider } from '../gateway/provider.ts';
import { startCommand } from '../process.ts';
import type { Program } from '../process.ts';
import type { LlmCounted, LlmPlan } from './llm-end.ts';
import { memoryOf } from './process-memory.ts';
import { median, quantile, row } from './row.ts';
import type { Row } from './row.ts';

/** How long to measure. */
export interface GatewayOptions {
  /** Requests one after another, before the clock starts: V8 compiles what is hot for the first few thousand of them. */
  readonly warmUp: number;
  /** Requests one after another, in each of four rounds. */
  readonly requests: number;
  /** Streams at once. */
  readonly streams: number;
  /** Time for which requests are kept in flight, in ms. */
  readonly flightMs: number;
  /** Streams of a hundred tokens that a device reads, and before the clock starts. */
  readonly deviceStreams: number;
  readonly deviceWarmUp: number;
}

/** Time of a paced model for a token, in ms. */
const pieceMs = 5;

/** Rounds in which the places that are compared take turns. */
const rounds = 4;

/** Requests in flight at a slow model, and how slow it is, in ms. */
const inFlight = 128;
const slowMs = 800;

/** Relays bytes and looks at nothing: the least that a program in between can do. */
const relay = `
const http = require('node:http');
const agent = new http.Agent({ keepAlive: true });
const to = new URL(process.env.TO);
const server = http.createServer((from, back) => {
  const onward = http.request({ host: to.hostname, port: to.port, agent, method: from.method, path: from.url, headers: from.headers }, (answer) => {
    back.writeHead(answer.statusCode, answer.headers);
    answer.pipe(back);
  });
  from.pipe(onward);
}).listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port })));
`;

/** Where requests go, and the process behind it. */
interface Place {
  readonly base: string;
  readonly pid: number | undefined;
  readonly headers?: Readonly<Record<string, string>>;
}

const agent = new Agent({ keepAlive: true, maxSockets: 1024 });

function post({ base, headers: own = {} }: Place, body: object): Promise<string> {
  const text = JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const headers = {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(text),
      ...own,
    };
    const url = `${base}/v1/chat/completions`;
    const outgoing = request(url, { method: 'POST', agent, headers }, (answer) => {
      let got = '';
      answer.setEncoding('utf8');
      answer.on('data', (piece: string) => (got += piece));
      answer.once('error', reject);
      answer.once('end', () =>
        answer.statusCode === 200 ? resolve(got) : reject(new Error(got.slice(0, 300))),
      );
    });
    outgoing.once('error', reject);
    outgoing.end(text);
  });
}

let drawn = 0;
/** No two are the same, so that none is answered from another one's answer. */
function chat(more: object = {}): object {
  drawn += 1;
  return { model: 'small', messages: [{ role: 'user', content: `${drawn} 100 words` }], ...more };
}

/** Time of a process on a CPU so far, all its threads and the kernel for it, in ms; counted in hundredths of a second. */
function cpuMs(pid: number | undefined): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** What one request took: the middle time of all, and the mean time of the process in between on a CPU, in ms. */
interface Cost {
  readonly ms: number;
  readonly cpu: number;
}

/** Asks each place one thing after another, warm, in rounds that take turns: what else runs meanwhile meets all of them. */
async function inTurns(
  { warmUp, requests }: GatewayOptions,
  places: readonly { readonly place: Place; readonly body: () => object }[],
): Promise<readonly Cost[]> {
  // In turns, too: what answers two kinds of requests is compiled for both.
  for (let at = 0; at < warmUp; at += requests) {
    for (const { place, body } of places) {
      for (let one = 0; one < Math.min(requests, warmUp - at); one += 1) await post(place, body());
    }
  }
  const sums = places.map(() => ({ times: [] as number[], cpu: 0 }));
  for (let round = 0; round < rounds; round += 1) {
    for (const [at, { place, body }] of places.entries()) {
      const { times, cpu } = sums[at] ?? { times: [], cpu: 0 };
      const cpuFrom = place.pid === undefined ? 0 : cpuMs(place.pid);
      for (let one = 0; one < requests; one += 1) {
        const from = performance.now();
        await post(place, body());
        times.push(performance.now() - from);
      }
      const used = place.pid === undefined ? 0 : cpuMs(place.pid) - cpuFrom;
      sums[at] = { times, cpu: cpu + used };
    }
  }
  return sums.map(({ times, cpu }) => ({ ms: median(times), cpu: cpu / times.length }));
}

/** Measures a gateway as people run it, a bare relay, and the stand-in provider alone. */
export async function gateway(options: GatewayOptions): Promise<readonly Row[]> {
  const home = await mkdtemp(join(tmpdir(), 'mycel-bench-'));
  const provider = await startProvider();
  const programs: Program[] = [];
  try {
    const direct: Place = { base: provider.url.replace(/\/v1$/, ''), pid: undefined };
    const bareFrom = performance.now();
    const bare = startCommand([process.execPath, '-e', relay], { env: { TO: provider.url } });
    programs.push(bare);
    const { port } = JSON.parse(await bare.line(() => true, 20_000)) as { port: number };
    const bareMs = performance.now() - bareFrom;
    const relayed: Place = { base: `http://127.0.0.1:${port}`, pid: bare.child.pid };
    const { program, place, readyMs } = await startGateway(home, provider);
    programs.push(program);
    const portkey = await startPortkey(provider);
    if (portkey !== undefined) programs.push(portkey.program);
    const stage = { provider, direct, relayed, place, portkey: portkey?.place, readyMs, bareMs };
    return [...(await compare(options, stage)), ...(await onTheMesh(home, provider, options))];
  } finally {
    for (const { child } of programs) child.kill('SIGKILL');
    agent.destroy();
    await provider.close();
    await rm(home, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function startGateway(
  home: string,
  provider: Provider,
): Promise<{ program: Program; place: Place; readyMs: number }> {
  const config = join(home, 'gateway.yaml');
  const target = `{ name: lab, kind: openai, url: "${provider.url}", models: [small, large] }`;
  await writeFile(config, `http: { port: 0 }\ntargets: [${target}]\n`);
  const mycel = fileURLToPath(new URL('../../dist/mycel.mjs', import.meta.url));
  const node = ['--data-dir', join(home, 'n'), '--port', '0', '--interface', 'lo', '--json'];
  const from = performance.now();
  const program = startCommand([
    process.execPath,
    mycel,
    'gateway',
    'up',
    '--config',
    config,
    ...node,
  ]);
  const line = await program.line((text) => text.includes('"ready"'), 30_000);
  const readyMs = performance.now() - from;
  const { http } = JSON.parse(line) as { http: { host: string; port: number } };
  const place = { base: `http://${http.host}:${http.port}`, pid: program.child.pid };
  return { program, place, readyMs };
}

/** Portkey's gateway, where it is installed. */
async function startPortkey(
  provider: Provider,
): Promise<{ program: Program; place: Place } | undefined> {
  const { MYCEL_PORTKEY: dir } = process.env;
  if (dir === undefined) return undefined;
  const script = join(dir, 'node_modules/@portkey-ai/gateway/build/start-server.js');
  const port = await freePort();
  const program = startCommand([process.execPath, script, `--port=${port}`, '--headless']);
  const place = {
    base: `http://127.0.0.1:${port}`,
    pid: program.child.pid,
    headers: {
      authorization: 'Bearer x',
      'x-portkey-provider': 'openai',
      'x-portkey-custom-host': provider.url,
    },
  };
  const until = performance.now() + 20_000;
  for (;;) {
    try {
      await post(place, chat());
      return { program, place };
    } catch (error) {
      if (performance.now() > until) throw error;
      await new Promise((go) => setTimeout(go, 50));
    }
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

/**
 * A device asks through the mesh. `llm-cached`: an answer that the gateway has kept, beside a call of an action of the same
 * node. `device-stream-cpu`: CPU time of the device's process for one stream of a hundred tokens, ten streams at a time, warm,
 * less what the process uses in as long a time without streams; `at-once`: of a model that writes all of it at once, `paced`: of
 * one that writes 200 tokens a second. `device-stream-frames`: lots that one comes in.
 */
async function onTheMesh(
  home: string,
  provider: Provider,
  { requests, deviceStreams, deviceWarmUp }: GatewayOptions,
): Promise<readonly Row[]> {
  const dataDir = join(home, 'n');
  const mycel = fileURLToPath(new URL('../../dist/mycel.mjs', import.meta.url));
  const invited = startCommand([
    process.execPath,
    mycel,
    'invite',
    '--json',
    '--data-dir',
    dataDir,
  ]);
  const line = await invited.line((text) => text.includes('mycel:'), 20_000);
  const plan: LlmPlan = {
    dataDir: join(home, 'd'),
    invite: (JSON.parse(line) as { invite: string }).invite,
    answers: requests,
    streams: deviceStreams,
    warmUp: deviceWarmUp,
  };
  provider.answerMs = 0;
  const end = fork(fileURLToPath(new URL('llm-end.ts', import.meta.url)), [JSON.stringify(plan)], {
    execArgv: ['--import', new URL('../typescript.mjs', import.meta.url).href],
  });
  try {
    await once(end, 'message');
    provider.pieceMs = pieceMs;
    end.send('paced');
    const [counted] = (await once(end, 'message')) as [LlmCounted];
    const { kept, unary, atOnce, paced } = counted;
    return [
      row('llm-cached-p50', 0, median(kept), 'ms', {
        name: 'a call of an action',
        value: median(unary),
      }),
      row('llm-cached-p95', 0, quantile(kept, 0.95), 'ms', {
        name: 'a call of an action',
        value: quantile(unary, 0.95),
      }),
      ...[
        { pace: 'at-once', cost: atOnce },
        { pace: 'paced', cost: paced },
      ].flatMap(({ pace, cost }) => [
        row(`device-stream-cpu-${pace}`, 0, cost.cpuMs, 'ms', {
          name: 'the node alone, as long',
          value: cost.idleCpuMs,
        }),
        row(`device-stream-frames-${pace}`, 0, cost.frames, 'frames', {
          name: 'tokens',
          value: 100,
        }),
      ]),
    ];
  } finally {
    end.kill('SIGKILL');
    provider.pieceMs = 0;
  }
}

/**
 * The rows of the gateway's HTTP side, all of them after `warmUp` requests:
 * - `gateway-p50`: middle time of a whole answer of 0.75 kB, one request at a time, as the client sees it.
 * - `gateway-added`: that, less the same for the stand-in provider asked directly.
 * - `gateway-cpu`: CPU time of the gateway's process alone, all threads, for one of them: parsing, policy, upstream, accounts,
 *   and what its node does besides. The client and the stand-in share another process.
 * - `gateway-cached`: the same answer again, from the cache.
 * - `gateway-rate`: answers a second when the model takes 0.8 s for each.
 */
async function compare(
  options: GatewayOptions,
  stage: {
    readonly provider: Provider;
    readonly direct: Place;
    readonly relayed: Place;
    readonly place: Place;
    readonly portkey: Place | undefined;
    readonly readyMs: number;
    readonly bareMs: number;
  },
): Promise<readonly Row[]> {
  const { provider, direct, relayed, place, portkey, readyMs, bareMs } = stage;
  const { streams, flightMs } = options;
  const kept = chat({ temperature: 0 });
  const nothing: Cost = { ms: Number.NaN, cpu: Number.NaN };
  const [alone = nothing, bare = nothing, ours = nothing, cached = nothing, theirs] = await inTurns(
    options,
    [
      { place: direct, body: chat },
      { place: relayed, body: chat },
      { place, body: chat },
      { place, body: () => kept },
      ...(portkey === undefined ? [] : [{ place: portkey, body: chat }]),
    ],
  );

  const same = chat({ temperature: 0 });
  const release = provider.hold();
  const before = provider.seen.length;
  const asked = Array.from({ length: 100 }, () => post(place, same));
  await new Promise((go) => setTimeout(go, 500));
  release();
  await Promise.all(asked);
  const upstreamCalls = provider.seen.length - before;

  const restMb = memoryOf(place.pid).rss;
  provider.pieceMs = 10;
  let mostMb = 0;
  const watch = setInterval(() => (mostMb = Math.max(mostMb, memoryOf(place.pid).rss)), 50);
  const texts = await Promise.all(
    Array.from({ length: streams }, () => post(place, chat({ stream: true }))),
  );
  clearInterval(watch);
  provider.pieceMs = 0;
  const cut = texts.filter((text) => !text.endsWith('data: [DONE]\n\n')).length;
  if (cut > 0) throw new Error(`${cut} of ${streams} streams did not end whole`);

  provider.answerMs = slowMs;
  let done = 0;
  const until = performance.now() + flightMs;
  const from = performance.now();
  await Promise.all(
    Array.from({ length: inFlight }, async () => {
      for (; performance.now() < until; done += 1) await post(place, chat());
    }),
  );
  const perSecond = (done * 1000) / (performance.now() - from);

  return [
    row('gateway-p50', 0, ours.ms, 'ms', { name: 'the provider alone', value: alone.ms }),
    row('gateway-added', 0, ours.ms - alone.ms, 'ms', {
      name: 'added by a bare relay',
      value: bare.ms - alone.ms,
    }),
    row('gateway-cpu', 0, ours.cpu, 'ms', { name: 'of a bare relay', value: bare.cpu }),
    ...(theirs === undefined
      ? []
      : [
          row('gateway-added-portkey', 0, ours.ms - alone.ms, 'ms', {
            name: 'added by Portkey',
            value: theirs.ms - alone.ms,
          }),
          row('gateway-cpu-portkey', 0, ours.cpu, 'ms', { name: 'of Portkey', value: theirs.cpu }),
          row('gateway-rss-portkey', 0, restMb, 'MB', {
            name: 'Portkey at rest',
            value: memoryOf(portkey?.pid).rss,
          }),
        ]),
    row('gateway-cached', 0, cached.ms, 'ms', { name: 'the provider alone', value: alone.ms }),
    row('gateway-coalesced', 0, upstreamCalls, 'calls', { name: 'identical requests', value: 100 }),
    row(`gateway-rss-${streams}-streams`, 0, mostMb, 'MB', { name: 'before them', value: restMb }),
    row(`gateway-rate-${inFlight}`, 0, perSecond, '1/s', {
      name: `at most, at ${slowMs} ms each`,
      value: (inFlight * 1000) / slowMs,
    }),
    row('gateway-ready', 0, readyMs, 'ms', { name: 'a bare relay', value: bareMs }),
  ];
}
