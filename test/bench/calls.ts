/** Calls of one action from one node to another, and within one, beside Moleculer's over TCP in the same run. */

import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { median, quantile, row, type Row } from './row.ts';
import { answer } from './throughput.ts';
import { warmUp } from './warm-up.ts';

/** Who calls whom. `both`: one process that calls itself. */
export interface CallsPlan {
  readonly way: 'mycel' | 'moleculer';
  readonly role: 'server' | 'client' | 'both';
  readonly dataDir: string;
  /** An invite of the server's. */
  readonly target: string;
  /** Where Moleculer listens, and where the other end does. */
  readonly port: number;
  readonly peer: number;
  readonly bytes: number;
}

/** What a caller has counted. */
export interface Counted {
  readonly perSecond: number;
  /** Of each call, in ms. */
  readonly delays: readonly number[];
  readonly cpuMs: number;
}

type Way = CallsPlan['way'];

/** Characters of the text that goes there and comes back. */
const bytes = 64;

/** Callers at once under load. */
const inFlight = 64;

const program = fileURLToPath(new URL('calls-end.ts', import.meta.url));
const typescript = new URL('../typescript.mjs', import.meta.url).href;

/** What the rounds of one way came to. */
interface Runs {
  readonly loaded: Counted[];
  readonly single: Counted[];
  readonly local: Counted[];
  /** CPU of both ends for one call under load, in µs. */
  readonly cpu: number[];
}

/** Measures, round by round in turns. */
export async function calls(options: {
  readonly rounds: number;
  readonly seconds: number;
}): Promise<readonly Row[]> {
  const fresh = (): Runs => ({ loaded: [], single: [], local: [], cpu: [] });
  const runs = { mycel: fresh(), moleculer: fresh() };
  for (let at = 0; at < options.rounds; at += 1) {
    for (const way of ['moleculer', 'mycel'] as const) {
      await between(way, options.seconds, runs[way]);
      await within(way, options.seconds, runs[way]);
    }
  }
  const { mycel, moleculer } = runs;
  const compare = (name: string, unit: string, of: (runs: Runs) => number): Row =>
    row(name, bytes, of(mycel), unit, { name: 'Moleculer', value: of(moleculer) });
  const rate = (counted: readonly Counted[]): number =>
    median(counted.map(({ perSecond }) => perSecond));
  const delay = (counted: readonly Counted[], share: number): number =>
    quantile(
      counted.flatMap(({ delays }) => delays),
      share,
    );
  return [
    compare('calls-64-in-flight', 'call/s', ({ loaded }) => rate(loaded)),
    compare('calls-64-in-flight-p50', 'ms', ({ loaded }) => delay(loaded, 0.5)),
    compare('calls-64-in-flight-p99', 'ms', ({ loaded }) => delay(loaded, 0.99)),
    compare('call-cpu', 'µs', ({ cpu }) => median(cpu)),
    compare('calls-sequential', 'call/s', ({ single }) => rate(single)),
    compare('call-p50', 'ms', ({ single }) => delay(single, 0.5)),
    compare('call-p99', 'ms', ({ single }) => delay(single, 0.99)),
    compare('local-calls', 'call/s', ({ local }) => rate(local)),
  ];
}

async function between(way: Way, seconds: number, into: Runs): Promise<void> {
  const [port, peer] = [await freePort(), await freePort()];
  await withEnds(async (start) => {
    const server = await start({ way, role: 'server', target: '', port, peer });
    const target = String(server.said);
    const client = await start({ way, role: 'client', target, port: peer, peer: port });
    await warm(client.end);
    const before = Number(await ask(server.end, 'cpu'));
    const loaded = (await ask(client.end, { inFlight, seconds })) as Counted;
    const served = Number(await ask(server.end, 'cpu')) - before;
    into.loaded.push(loaded);
    into.cpu.push(((loaded.cpuMs + served) / loaded.delays.length) * 1_000);
    into.single.push((await ask(client.end, { inFlight: 1, seconds })) as Counted);
  });
}

async function within(way: Way, seconds: number, into: Runs): Promise<void> {
  await withEnds(async (start) => {
    const { end } = await start({ way, role: 'both', target: '', port: 0, peer: 0 });
    await warm(end);
    into.local.push((await ask(end, { inFlight, seconds })) as Counted);
  });
}

async function warm(end: ChildProcess): Promise<void> {
  await warmUp(async () => ((await ask(end, { inFlight, seconds: 0.5 })) as Counted).perSecond);
}

type Started = { readonly end: ChildProcess; readonly said: unknown };

async function withEnds(
  act: (start: (what: Omit<CallsPlan, 'dataDir' | 'bytes'>) => Promise<Started>) => Promise<void>,
): Promise<void> {
  const home = await mkdtemp(join(tmpdir(), 'mycel-bench-'));
  const ends: ChildProcess[] = [];
  try {
    await act(async (what) => {
      const plan: CallsPlan = { ...what, bytes, dataDir: join(home, what.role) };
      const end = fork(program, [JSON.stringify(plan)], { execArgv: ['--import', typescript] });
      ends.push(end);
      return { end, said: await answer(end) };
    });
  } finally {
    for (const end of ends) end.kill('SIGKILL');
    await rm(home, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function ask(end: ChildProcess, what: unknown): Promise<unknown> {
  end.send(what as string);
  return answer(end);
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  return port;
}
