/** Runs the bundled command as people do: real processes, real nodes on loopback. */

import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { vi } from 'vitest';

/** How a command ended. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly out: string;
  readonly err: string;
}

/** A command that is still running. */
export interface Live {
  readonly child: ChildProcess;
  /** The JSON lines it has printed so far. */
  readonly lines: Record<string, unknown>[];
  readonly ended: Promise<Ended>;
  /** Waits for a JSON line with these fields, 20 s unless told. */
  line(
    fields: Readonly<Record<string, unknown>>,
    waitMs?: number,
  ): Promise<Record<string, unknown>>;
}

/** The command and a directory for its nodes; both go when the test ends. */
export interface Mycel {
  readonly home: string;
  readonly script: string;
  start(args: readonly string[], env?: NodeJS.ProcessEnv): Live;
  run(args: readonly string[], input?: string | Buffer): Promise<Ended>;
  /** Starts a node on loopback with a directory named after it, and waits until it is ready. */
  up(name: string, flags?: readonly string[], env?: NodeJS.ProcessEnv): Promise<Live>;
  dir(name: string): string;
  /** Ends every process and removes the directory. */
  stop(): Promise<void>;
}

/** Longest wait for a line, in ms. */
const lineMs = 20_000;

/** Bundles the command as it is now. */
export async function bundleMycel(): Promise<Mycel> {
  const root = fileURLToPath(new URL('../..', import.meta.url));
  const home = await mkdtemp(join(tmpdir(), 'mycel-live-'));
  const script = join(home, 'mycel.mjs');
  await promisify(execFile)(process.execPath, [join(root, 'device/bundle.mjs'), script]);
  const running = new Set<ChildProcess>();
  const dir = (name: string): string => join(home, name);
  const start = (args: readonly string[], env: NodeJS.ProcessEnv = {}): Live =>
    follow(
      track(
        running,
        spawn(process.execPath, [script, ...args], { env: { ...process.env, ...env } }),
      ),
    );
  return {
    home,
    script,
    dir,
    start,
    run(args, input) {
      const live = start(args);
      live.child.stdin?.on('error', () => undefined);
      live.child.stdin?.end(input);
      return live.ended;
    },
    async up(name, flags = [], env = {}) {
      const network = ['--interface', 'lo', '--profile', 'loopback'];
      const live = start(
        ['up', '--json', '--name', name, '--data-dir', dir(name), ...network, ...flags],
        env,
      );
      await Promise.race([live.line({ event: 'ready' }), live.ended.then(failEarly)]);
      return live;
    },
    async stop() {
      await Promise.all(
        [...running].map((child) => {
          child.kill('SIGKILL');
          return once(child, 'close');
        }),
      );
      await rm(home, { recursive: true, force: true });
    },
  };
}

function failEarly({ code, err }: Ended): never {
  throw new Error(`the node ended with ${code}: ${err}`);
}

function track(running: Set<ChildProcess>, child: ChildProcess): ChildProcess {
  running.add(child);
  child.once('close', () => running.delete(child));
  return child;
}

function follow(child: ChildProcess): Live {
  const lines: Record<string, unknown>[] = [];
  let out = '';
  let err = '';
  let rest = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    out += chunk.toString('utf8');
    const parts = (rest + chunk.toString('utf8')).split('\n');
    rest = parts.pop() ?? '';
    for (const part of parts) {
      if (part.startsWith('{')) lines.push(JSON.parse(part) as Record<string, unknown>);
    }
  });
  child.stderr?.on('data', (chunk: Buffer) => (err += chunk.toString('utf8')));
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ code, signal, out, err }));
  });
  return {
    child,
    lines,
    ended,
    line: (fields, waitMs = lineMs) =>
      vi.waitFor(
        () => {
          const found = lines.find((line) =>
            Object.entries(fields).every(([key, value]) => line[key] === value),
          );
          if (found === undefined) {
            throw new Error(`no ${JSON.stringify(fields)} in ${JSON.stringify(lines)} ${err}`);
          }
          return found;
        },
        { timeout: waitMs, interval: 20 },
      ),
  };
}
