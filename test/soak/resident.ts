/** The node that stays: the real command, with a probe inside. */

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { descriptorsOf } from '../bench/process-memory.ts';
import { runCommand } from '../process.ts';
import type { Sample } from './verdict.ts';

/** The command under test. */
export const command: string =
  process.env['MYCEL_BUNDLE'] ?? fileURLToPath(new URL('../../dist/mycel.mjs', import.meta.url));

/** Flags of every node here: loopback needs no rights and no network. */
export const nodeFlags = [
  '--json',
  '--port',
  '0',
  '--interface',
  'lo',
  '--profile',
  'loopback',
] as const;

/** Longest wait for anything the node says, in ms: what a soak is after is growth, not speed. */
const lineMs = 180_000;

/** The node that stays. */
export interface Resident {
  /** Runs `mycel` against it and gives what it printed. @throws when it fails. */
  ask(...args: readonly string[]): Promise<string>;
  /** Resolves when the node has said that this member is in one of these states, since it last was in another. */
  says(id: string, ...states: readonly string[]): Promise<void>;
  sample(cycle: number): Promise<Sample>;
  stop(): Promise<void>;
}

/** Starts it as the founder of a mesh. */
export async function startResident(dataDir: string): Promise<Resident> {
  const probe = new URL('probe.mjs', import.meta.url).href;
  const child = fork(command, ['up', '--name', 'resident', '--data-dir', dataDir, ...nodeFlags], {
    execArgv: ['--expose-gc', '--import', probe],
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  const states = new Map<string, string>();
  const watchers = new Set<() => void>();
  const output = child.stdout;
  if (output === null) throw new Error('the node has no output');
  createInterface({ input: output }).on('line', (text) => {
    const event = JSON.parse(text) as Record<string, unknown>;
    if (event['event'] === 'ready') states.set('self', 'ready');
    if (event['event'] === 'member') states.set(String(event['id']), String(event['state']));
    for (const watch of watchers) watch();
  });

  function says(id: string, ...wanted: readonly string[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const watch = (): void => {
        if (!wanted.includes(states.get(id) ?? '')) return;
        clearTimeout(timer);
        watchers.delete(watch);
        resolve();
      };
      const timer = setTimeout(
        () => reject(new Error(`${id} is ${states.get(id)}, not ${wanted.join(' or ')}`)),
        lineMs,
      );
      watchers.add(watch);
      watch();
    });
  }

  await says('self', 'ready');
  return {
    says,
    async ask(...args) {
      const argv = [process.execPath, command, ...args, '--json', '--data-dir', dataDir];
      const { code, stdout, stderr } = await runCommand(argv, { ms: lineMs });
      if (code !== 0) throw new Error(`mycel ${args.join(' ')}: exit ${code} ${stderr}`);
      return stdout;
    },
    async sample(cycle) {
      child.send('sample');
      const [{ rss, heapUsed, codeUsed, external, resources }] = (await once(child, 'message', {
        signal: AbortSignal.timeout(lineMs),
      })) as [
        {
          rss: number;
          heapUsed: number;
          codeUsed: number;
          external: number;
          resources: Record<string, number>;
        },
      ];
      return {
        cycle,
        rss,
        heap: heapUsed,
        code: codeUsed,
        external,
        descriptors: descriptorsOf(child.pid),
        resources: Object.values(resources).reduce((sum, count) => sum + count, 0),
      };
    },
    async stop() {
      if (child.exitCode !== null) return;
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await ended;
    },
  };
}
