/** The node that stays: the real command, with a probe inside. */

import { fork } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { open } from 'node:fs/promises';
import { StringDecoder } from 'node:string_decoder';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { descriptorsOf } from '../bench/process-memory.ts';
import { runCommand } from '../process.ts';
import { countCensus, isCensusLine, type Census } from './census.ts';
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
  sample(cycle: number): Promise<{ readonly sample: Sample; readonly census: Census }>;
  stop(): Promise<void>;
}

/** Starts it as the founder of a mesh. */
export async function startResident(dataDir: string): Promise<Resident> {
  const probe = new URL('probe.mjs', import.meta.url).href;
  const printed = `${dataDir}.out`;
  const output = await open(printed, 'a');
  const child = fork(command, ['up', '--name', 'resident', '--data-dir', dataDir, ...nodeFlags], {
    // What V8 prints itself would wait for a full buffer, and come in pieces between what the node prints.
    execPath: 'stdbuf',
    execArgv: ['-oL', process.execPath, '--expose-gc', '--import', probe],
    // To a file: of what does not fit into a pipe at once V8 would lose the rest.
    stdio: ['ignore', output.fd, 'inherit', 'ipc'],
  });
  const states = new Map<string, string>();
  const watchers = new Set<() => void>();
  const census: string[] = [];
  const sampled = new EventEmitter();
  const stopFollowing = follow(printed, (text) => {
    if (isCensusLine(text)) {
      census.push(text);
      return;
    }
    const event = JSON.parse(text) as Record<string, unknown>;
    if (event['event'] === 'sample') sampled.emit('sample', event, countCensus(census.splice(0)));
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
      const taken = once(sampled, 'sample', { signal: AbortSignal.timeout(lineMs) });
      child.send('sample');
      const [{ rss, external, resources }, counted] = (await taken) as [
        { rss: number; external: number; resources: Record<string, number> },
        Census,
      ];
      const sample = {
        cycle,
        rss,
        own: counted.own,
        compiled: counted.compiled,
        external,
        descriptors: descriptorsOf(child.pid),
        resources: Object.values(resources).reduce((sum, count) => sum + count, 0),
      };
      return { sample, census: counted };
    },
    async stop() {
      if (child.exitCode !== null) return;
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await ended;
      await stopFollowing();
      await output.close();
    },
  };
}

/** How often the file is looked at, in ms. */
const followMs = 20;

/** Calls with each line that is appended to a file. Returns what ends that. */
function follow(path: string, line: (text: string) => void): () => Promise<void> {
  let isOver = false;
  const following = (async () => {
    const file = await open(path, 'r');
    const bytes = Buffer.alloc(1 << 20);
    const decoder = new StringDecoder('utf8');
    let rest = '';
    while (!isOver) {
      const { bytesRead } = await file.read(bytes, 0, bytes.length);
      if (bytesRead === 0) {
        await sleep(followMs);
        continue;
      }
      const lines = (rest + decoder.write(bytes.subarray(0, bytesRead))).split('\n');
      rest = lines.pop() ?? '';
      for (const text of lines) line(text);
    }
    await file.close();
  })();
  return async () => {
    isOver = true;
    await following;
  };
}
