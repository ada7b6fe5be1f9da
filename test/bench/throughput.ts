/** Messages a second from one node to another through the public API, beside plain mqtt.js to aedes in the same run. */

import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { median, row, type Row } from './row.ts';

/** What to measure. */
export interface ThroughputOptions {
  readonly rounds: number;
  /** Time that is counted, after one second of warming up. */
  readonly seconds: number;
  /** Sizes of the payload. */
  readonly bytes: readonly number[];
}

/** How long a program may take to start or to answer, in ms. */
const answerMs = 30_000;

/** Who sends to whom: two nodes, or mqtt.js to aedes in the receiver's process. */
type Way = 'mesh' | 'raw';

/** One two-process run, as the programs are told it. */
export interface RunPlan {
  readonly way: Way;
  readonly role: 'receiver' | 'sender';
  readonly qos: 0 | 1;
  readonly bytes: number;
  readonly dataDir: string;
  /** From the receiver: an invite, or a port. */
  readonly target: string;
}

const program = fileURLToPath(new URL('throughput-end.ts', import.meta.url));
const typescript = new URL('../typescript.mjs', import.meta.url).href;

/** The interleaved rounds of all rows. */
export async function throughput(options: ThroughputOptions): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for (const bytes of options.bytes) {
    for (const qos of [0, 1] as const) {
      const rates: Record<Way, number[]> = { mesh: [], raw: [] };
      for (let at = 0; at < options.rounds; at += 1) {
        for (const way of ['raw', 'mesh'] as const) {
          rates[way].push(await measure(way, qos, bytes, options.seconds));
        }
      }
      rows.push(
        row(
          qos === 0 ? 'signal-throughput' : 'event-throughput',
          bytes,
          median(rates.mesh),
          'msg/s',
          { name: `mqtt.js to aedes, QoS ${qos}`, value: median(rates.raw) },
        ),
      );
    }
  }
  return rows;
}

async function measure(way: Way, qos: 0 | 1, bytes: number, seconds: number): Promise<number> {
  const home = await mkdtemp(join(tmpdir(), 'mycel-bench-'));
  const ends: ChildProcess[] = [];
  const start = async (role: RunPlan['role'], target: string): Promise<[ChildProcess, string]> => {
    const plan: RunPlan = { way, role, qos, bytes, target, dataDir: join(home, role) };
    const end = fork(program, [JSON.stringify(plan)], { execArgv: ['--import', typescript] });
    ends.push(end);
    return [end, String(await answer(end))];
  };
  try {
    const [receiver, target] = await start('receiver', '');
    const [sender] = await start('sender', target);
    sender.send('go');
    await sleep(1000);
    const before = await count(receiver);
    const from = performance.now();
    await sleep(seconds * 1000);
    const after = await count(receiver);
    return ((after - before) / (performance.now() - from)) * 1000;
  } finally {
    for (const end of ends) end.kill('SIGKILL');
    await rm(home, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function count(receiver: ChildProcess): Promise<number> {
  receiver.send('count');
  return Number(await answer(receiver));
}

/** The next message of a program. @throws when it ends or says nothing for `answerMs`. */
async function answer(end: ChildProcess): Promise<unknown> {
  const ended = once(end, 'exit').then(([code]): never => {
    throw new Error(`a program of the bench ended with ${String(code)}`);
  });
  const said = once(end, 'message', { signal: AbortSignal.timeout(answerMs) });
  const [message] = await Promise.race([said, ended]);
  return message;
}
