/** Control while bulk streams, and one publisher to 100 subscribers on five nodes. */

import { fork, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ControlTimes, NodePlan } from './node-end.ts';
import { median, quantile, row, type Row } from './row.ts';
import { answer } from './throughput.ts';

const program = fileURLToPath(new URL('node-end.ts', import.meta.url));
const typescript = new URL('../typescript.mjs', import.meta.url).href;

/** Measures. */
export async function betweenNodes(options: {
  readonly rounds: number;
  readonly seconds: number;
}): Promise<readonly Row[]> {
  const control = { idle: [] as number[], busy: [] as number[] };
  let incidents = 0;
  const fanout: Record<'fanout-mesh' | 'fanout-aedes', number[]> = {
    'fanout-mesh': [],
    'fanout-aedes': [],
  };
  for (let at = 0; at < options.rounds; at += 1) {
    await run(async (start) => {
      const invite = String(await start('echo', ''));
      const times = (await start('bulk', invite)) as ControlTimes;
      control.idle.push(...times.idle);
      control.busy.push(...times.busy);
      incidents += times.incidents;
    }, options.seconds);
    for (const what of ['fanout-aedes', 'fanout-mesh'] as const) {
      await run(async (start) => {
        fanout[what].push(Number(await start(what, '')));
      }, options.seconds);
    }
  }
  return [
    row('control-p99-under-bulk', 64, quantile(control.busy, 0.99), 'ms', {
      name: 'the same without bulk',
      value: quantile(control.idle, 0.99),
    }),
    row('head-of-line', 64, control.busy.length - incidents, 'without an incident', {
      name: 'control messages sent under bulk',
      value: control.busy.length,
    }),
    row('fanout-100', 64, median(fanout['fanout-mesh']), 'msg/s', {
      name: '100 mqtt.js on one aedes',
      value: median(fanout['fanout-aedes']),
    }),
  ];
}

async function run(
  act: (start: (what: NodePlan['what'], target: string) => Promise<unknown>) => Promise<void>,
  seconds: number,
): Promise<void> {
  const home = await mkdtemp(join(tmpdir(), 'mycel-bench-'));
  const ends: ChildProcess[] = [];
  try {
    await act((what, target) => {
      const plan: NodePlan = { what, target, seconds, dataDir: home };
      const end = fork(program, [JSON.stringify(plan)], { execArgv: ['--import', typescript] });
      ends.push(end);
      return answer(end);
    });
  } finally {
    for (const end of ends) end.kill('SIGKILL');
    await rm(home, { recursive: true, force: true, maxRetries: 5 });
  }
}
