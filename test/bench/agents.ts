/** A thousand idle agents in one process: how soon they run, and what each holds, beside services of Moleculer. */

import { fork, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { median, row, type Row } from './row.ts';
import { answer } from './throughput.ts';

/** What one process is to fill. */
export interface AgentsPlan {
  readonly way: 'mycel' | 'moleculer';
  readonly dataDir: string;
  readonly count: number;
  /** Replicas of one deployment. */
  readonly each: number;
}

/** What it came to. */
export interface Filled {
  readonly perSecond: number;
  readonly bytesEach: number;
}

const program = fileURLToPath(new URL('agents-end.ts', import.meta.url));
const typescript = new URL('../typescript.mjs', import.meta.url).href;

/** Measures. */
export async function agents(options: { readonly rounds: number }): Promise<readonly Row[]> {
  const runs: Record<AgentsPlan['way'], Filled[]> = { mycel: [], moleculer: [] };
  for (let at = 0; at < options.rounds; at += 1) {
    for (const way of ['moleculer', 'mycel'] as const) runs[way].push(await fill(way));
  }
  const compare = (name: string, unit: string, of: (filled: Filled) => number): Row =>
    row(name, 0, median(runs.mycel.map(of)), unit, {
      name: 'services of Moleculer',
      value: median(runs.moleculer.map(of)),
    });
  return [
    compare('agents-spawn', 'agents/s', ({ perSecond }) => perSecond),
    compare('agent-memory', 'KiB', ({ bytesEach }) => bytesEach / 1024),
  ];
}

async function fill(way: AgentsPlan['way']): Promise<Filled> {
  const home = await mkdtemp(join(tmpdir(), 'mycel-bench-'));
  let end: ChildProcess | undefined;
  try {
    const plan: AgentsPlan = { way, dataDir: home, count: 1_000, each: 250 };
    const execArgv = ['--expose-gc', '--import', typescript];
    end = fork(program, [JSON.stringify(plan)], { execArgv });
    return (await answer(end)) as Filled;
  } finally {
    end?.kill('SIGKILL');
    await rm(home, { recursive: true, force: true, maxRetries: 5 });
  }
}
