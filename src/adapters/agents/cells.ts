/** Cells of this computer: agents in this process, in worker threads, and in child processes. */

import { spawn } from 'node:child_process';
import { Worker } from 'node:worker_threads';
import * as z from 'zod/mini';
import { BoundedMap } from '../../kernel/bounded-map.ts';
import { MycelError } from '../../kernel/errors.ts';
import type { AgentFacts, Cell, CellOptions, Cells, FromCell } from '../../ports/agent-cell.ts';
import { createRunner, moduleUrl, pickAgent, runnerProgram } from './agent-runner.ts';

/** Words that wait for a cell that has not loaded its agent yet. */
const earlyMax = 64;

/** Builds the opener. */
export function createCells(): Cells {
  return {
    inspect: inspectOnce,
    open: (isolation, options) =>
      isolation === 'in-process'
        ? openHere(options)
        : isolation === 'thread'
          ? openThread(options)
          : openProcess(options),
  };
}

/** How long a module may take to load, in ms. */
const loadMsMax = 10_000;

const factsSchema = z.object({
  name: z.string().check(z.regex(/^[a-z][a-z0-9-]{0,62}$/)),
  needs: z._default(z.array(z.string().check(z.maxLength(64))).check(z.maxLength(16)), []),
  tasks: z._default(
    z.array(z.string().check(z.regex(/^[A-Za-z][\w.-]{0,63}$/))).check(z.maxLength(16)),
    [],
  ),
  bids: z._default(z.boolean(), false),
  partition: z._default(
    z.enum(['run-everywhere-and-merge', 'pause-minority', 'sticky-home']),
    'run-everywhere-and-merge',
  ),
  isolation: z._default(z.enum(['in-process', 'thread', 'process']), 'thread'),
  heapMb: z._default(z.int().check(z.gte(4)).check(z.lte(4_096)), 64),
});

/** What modules say of themselves, by their code: a module that is deployed again is not looked at again. */
const known = new BoundedMap<string, Promise<AgentFacts>>(16);

function inspectOnce(code: string): Promise<AgentFacts> {
  const kept = known.get(code);
  if (kept !== undefined) return kept;
  const facts = inspect(code);
  known.set(code, facts);
  // What failed may have been the machine's fault.
  facts.catch(() => known.delete(code));
  return facts;
}

function inspect(code: string): Promise<AgentFacts> {
  const program = `
import { parentPort } from 'node:worker_threads';
const pickAgent = ${pickAgent.toString()};
const agent = pickAgent(await import(${JSON.stringify(moduleUrl(code))}));
const { name, needs, tasks, partition, isolation, heapMb } = agent ?? {};
const bids = typeof agent?.bid === 'function';
parentPort.postMessage(agent === undefined ? {} : { name, needs, tasks, bids, partition, isolation, heapMb });
`;
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(moduleUrl(program)), {
      resourceLimits: { maxOldGenerationSizeMb: 64 },
      env: {},
      stdout: true,
      stderr: true,
    });
    const refuse = (reason: string): void => {
      clearTimeout(timer);
      reject(new MycelError('MYCEL_BAD_AGENT', { reason }));
      void worker.terminate();
    };
    const timer = setTimeout(() => refuse(`It did not load within ${loadMsMax} ms.`), loadMsMax);
    worker.on('error', (error) => refuse(`It failed when it was loaded: ${error.message}`));
    worker.on('exit', () => refuse('It ended while it was loaded.'));
    worker.on('message', (said: Record<string, unknown>) => {
      if (Object.keys(said).length === 0) {
        return refuse(
          'It exports no agent: "export const agent = defineAgent({ name, init, handle })".',
        );
      }
      const given = Object.fromEntries(
        Object.entries(said).filter(([, value]) => value !== undefined),
      );
      const read = factsSchema.safeParse(given);
      if (!read.success) {
        const [issue] = read.error.issues;
        return refuse(`Its '${issue?.path.join('.') ?? ''}' is not valid.`);
      }
      clearTimeout(timer);
      resolve(read.data);
      void worker.terminate();
    });
  });
}

/** Modules loaded into this process, by their code: a thousand agents of one kind load one. */
const modules = new BoundedMap<string, Promise<Record<string, unknown>>>(64);

function moduleOf(code: string): Promise<Record<string, unknown>> {
  let module = modules.get(code);
  if (module === undefined) {
    module = import(moduleUrl(code)) as Promise<Record<string, unknown>>;
    modules.set(code, module);
  }
  return module;
}

function openHere({ code, said, ended }: CellOptions): Cell {
  let isOver = false;
  let run: ReturnType<typeof createRunner> | undefined;
  const early: Parameters<Cell['tell']>[0][] = [];
  const end = (reason: string | undefined): void => {
    if (isOver) return;
    isOver = true;
    ended(reason);
  };
  const say = (word: FromCell): void => {
    // Never inside the call that caused it, as over a thread's port.
    queueMicrotask(() => {
      if (isOver) return;
      said(word);
      if (word.t === 'failed') end(word.reason);
      if (word.t === 'stopped') end(undefined);
    });
  };
  moduleOf(code).then(
    (module) => {
      const agent = pickAgent(module);
      if (agent === undefined) return say({ t: 'failed', reason: 'the module exports no agent' });
      run = createRunner(agent, say);
      for (const word of early.splice(0)) run(word);
    },
    (error: unknown) =>
      say({
        t: 'failed',
        reason: error instanceof Error ? (error.stack ?? error.message) : String(error),
      }),
  );
  return {
    tell(word) {
      if (isOver) return;
      if (run !== undefined) run(word);
      else if (early.length < earlyMax) early.push(word);
    },
    kill: () => end('killed'),
  };
}

function openThread({ code, heapMb, said, ended }: CellOptions): Cell {
  const wiring = `
import { parentPort } from 'node:worker_threads';
const say = (word) => parentPort.postMessage(word);
const early = [];
let run;
parentPort.on('message', (word) => (run === undefined ? early.push(word) : run(word)));
const receive = (runner) => { run = runner; for (const word of early.splice(0)) run(word); };
`;
  const worker = new Worker(new URL(moduleUrl(runnerProgram(code, wiring))), {
    resourceLimits: {
      maxOldGenerationSizeMb: heapMb,
      maxYoungGenerationSizeMb: Math.max(1, heapMb / 4),
    },
    env: {},
    stdout: true,
    stderr: true,
  });
  let isOver = false;
  let reason: string | undefined;
  const end = (): void => {
    if (isOver) return;
    isOver = true;
    ended(reason);
  };
  const kill = (why: string | undefined): void => {
    reason ??= why;
    void worker.terminate();
  };
  worker.on('message', (word: FromCell) => {
    if (isOver) return;
    said(word);
    if (word.t === 'failed') kill(word.reason);
    if (word.t === 'stopped') kill(undefined);
  });
  worker.on('error', (error: Error & { code?: string }) => {
    reason ??=
      error.code === 'ERR_WORKER_OUT_OF_MEMORY'
        ? `it used more than ${heapMb} MiB of heap`
        : error.message;
  });
  worker.on('exit', end);
  // What an agent prints is not the node's to print.
  worker.stdout.resume();
  worker.stderr.resume();
  return {
    tell: (word) => worker.postMessage(word),
    kill: () => kill('killed'),
  };
}

function openProcess({ code, heapMb, said, ended }: CellOptions): Cell {
  const wiring = `
const say = (word) => process.send?.(word);
const early = [];
let run;
process.on('message', (word) => (run === undefined ? early.push(word) : run(word)));
process.on('disconnect', () => process.exit(0));
const receive = (runner) => { run = runner; for (const word of early.splice(0)) run(word); };
`;
  const flags = [`--max-old-space-size=${heapMb}`, '--input-type=module', '-'];
  const child = spawn(process.execPath, flags, {
    stdio: ['pipe', 'ignore', 'ignore', 'ipc'],
    serialization: 'advanced',
    env: {},
  });
  child.stdin?.on('error', () => {});
  child.stdin?.end(runnerProgram(code, wiring));
  let isOver = false;
  let reason: string | undefined;
  const end = (why: string | undefined): void => {
    if (isOver) return;
    isOver = true;
    ended(reason ?? why);
  };
  let isWanted = true;
  const kill = (why: string | undefined): void => {
    reason ??= why;
    isWanted = why !== undefined;
    child.kill('SIGKILL');
  };
  child.on('message', (word: FromCell) => {
    if (isOver) return;
    said(word);
    if (word.t === 'failed') kill(word.reason);
    if (word.t === 'stopped') kill(undefined);
  });
  child.on('error', (error) => end(error.message));
  child.on('exit', (exitCode, signal) =>
    end(isWanted ? `its process ended with ${signal ?? exitCode}` : undefined),
  );
  return {
    tell: (word) => {
      if (child.connected) child.send(word, () => {});
    },
    kill: () => kill('killed'),
  };
}
