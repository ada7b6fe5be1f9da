/** What much replicated state costs: memory, the time to start with it, and what deletions leave behind. */

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { row, type Row } from './row.ts';
import type { StateFound, StatePlan } from './state-end.ts';

const program = fileURLToPath(new URL('state-end.ts', import.meta.url));
const typescript = new URL('../typescript.mjs', import.meta.url).href;

/** Measures with so many keys of small objects, and after a value was set and deleted so many times. */
export async function stateSize(options: {
  readonly keys: number;
  readonly cycles: number;
}): Promise<readonly Row[]> {
  const home = await mkdtemp(join(tmpdir(), 'mycel-state-bench-'));
  const run = async (name: string, plan: Omit<StatePlan, 'dataDir'>): Promise<StateFound> => {
    const whole = JSON.stringify({ ...plan, dataDir: join(home, name) });
    const execArgv = ['--expose-gc', '--import', typescript];
    const child = fork(program, [whole], { execArgv });
    try {
      const [found] = (await once(child, 'message')) as [StateFound];
      return found;
    } finally {
      child.kill('SIGKILL');
    }
  };
  try {
    const empty = await run('empty', { keys: 0, cycles: 0 });
    await run('full', { keys: options.keys, cycles: 0 });
    const full = await run('full', { keys: 0, cycles: 0 });
    if (full.keys !== options.keys)
      throw new Error(`${full.keys} of ${options.keys} keys are there`);
    const cycled = await run('cycled', { keys: 1_000, cycles: options.cycles });
    const again = await run('cycled', { keys: 0, cycles: 0 });
    if (again.keys !== 1_000) throw new Error(`${again.keys} of 1000 keys are left`);
    const few = 'without any keys';
    return [
      row('state-start', 0, full.startMs, 'ms', { name: few, value: empty.startMs }),
      row('state-rss', 0, full.rss, 'MB', { name: few, value: empty.rss }),
      row('state-after-cycles', 0, cycled.journalBytesAfter, 'B', {
        name: 'before them',
        value: cycled.journalBytesBefore,
      }),
      row('state-start-after-cycles', 0, again.startMs, 'ms', {
        name: few,
        value: empty.startMs,
      }),
    ];
  } finally {
    await rm(home, { recursive: true, force: true, maxRetries: 5 });
  }
}
