/** Steers a rung that runs in its own process and network namespace. */

import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { createInterface } from 'node:readline';

import { build } from 'esbuild';

import type { RungEvent, RungStation } from '../../contract/rung.ts';
import type { RungRecord } from '../../../src/ports/discovery.ts';
import type { LabHost } from './lab.ts';
import type { BareCommand } from './bare-child.ts';
import type { RungChildOptions, RungCommand } from './rung-child.ts';

/** A station in another process. */
export interface RemoteRung extends RungStation {
  readonly host: LabHost;
  ask(command: RungCommand | BareCommand): Promise<unknown>;
  /** Exit code and signal, once the process has ended. */
  readonly ended: Promise<string>;
  readonly stderr: () => string;
  signal(name: NodeJS.Signals): void;
}

const bundles = new Map<string, Promise<string>>();

/** Bundles a script for plain node, once per test process; packages stay where they are installed. */
function bundle(name: string): Promise<string> {
  const known = bundles.get(name);
  if (known !== undefined) return known;
  const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));
  const outfile = path(`../../../node_modules/.cache/mycel-lab/${name}-${process.pid}.mjs`);
  const built = build({
    entryPoints: [path(`./${name}.ts`)],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    logLevel: 'error',
  }).then(() => outfile);
  bundles.set(name, built);
  return built;
}

/** Starts the process; the rung itself waits for `start`. */
export function spawnRung(host: LabHost, options: RungChildOptions): Promise<RemoteRung> {
  return spawnScript(host, 'rung-child', JSON.stringify(options));
}

/** Starts a process with bare bonjour-service. */
export function spawnBare(host: LabHost): Promise<RemoteRung> {
  return spawnScript(host, 'bare-child', '{}');
}

async function spawnScript(host: LabHost, name: string, options: string): Promise<RemoteRung> {
  const script = await bundle(name);
  const child = spawn('ip', ['netns', 'exec', host.ns, process.execPath, script, options], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const remote = steer(host, child);
  await remote.waitFor('the process is up', (event) => event.event === 'up', 20_000);
  return remote;
}

function steer(host: LabHost, child: ChildProcess): RemoteRung {
  const bus = new EventEmitter().setMaxListeners(0);
  const events: RungEvent[] = [];
  const waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  let nextId = 1;
  let stderr = '';
  let hasEnded = false;
  child.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const ended = once(child, 'exit').then(([code, signal]) => {
    hasEnded = true;
    for (const one of waiting.values()) one.reject(new Error(`The rung's process died: ${stderr}`));
    bus.emit('event');
    return `${String(code)} ${String(signal)}`;
  });
  if (child.stdout !== null) {
    createInterface({ input: child.stdout }).on('line', (line) => {
      const said = JSON.parse(line) as { id?: number; result?: unknown; error?: string };
      if (said.id === undefined) {
        events.push(said as unknown as RungEvent);
        bus.emit('event');
        return;
      }
      const one = waiting.get(said.id);
      waiting.delete(said.id);
      if (said.error === undefined) one?.resolve(said.result);
      else one?.reject(new Error(said.error));
    });
  }

  function ask(command: RungCommand | BareCommand): Promise<unknown> {
    const id = nextId;
    nextId += 1;
    return new Promise((resolve, reject) => {
      waiting.set(id, { resolve, reject });
      child.stdin?.write(`${JSON.stringify({ id, ...command })}\n`);
    });
  }

  return {
    host,
    address: host.address,
    events,
    ended,
    ask,
    stderr: () => stderr,
    signal: (name) => child.kill(name),
    start: async () => void (await ask({ do: 'start' })),
    announce: async (beacon) => void (await ask({ do: 'announce', beacon })),
    burst: async () => void (await ask({ do: 'burst' })),
    records: async () => (await ask({ do: 'records' })) as RungRecord[],
    async stop() {
      const left = (await ask({ do: 'stop' })) as string[];
      child.stdin?.end();
      await ended;
      return left;
    },
    async vanish() {
      child.kill('SIGKILL');
      await ended;
    },
    async waitFor(words, isIt, withinMs, from = 0) {
      const signal = AbortSignal.timeout(withinMs);
      for (let at = from; ; at += 1) {
        while (at >= events.length) {
          if (hasEnded) throw new Error(`${words}: the process ended first. ${stderr}`);
          await once(bus, 'event', { signal }).catch((error: unknown) => {
            const story = events.map((event) => JSON.stringify(event)).join('\n');
            throw new Error(`Not within ${withinMs} ms: ${words}. Heard:\n${story}\n${stderr}`, {
              cause: error,
            });
          });
        }
        const event = events[at];
        if (event !== undefined && isIt(event)) return event;
      }
    },
  };
}
