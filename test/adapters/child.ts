/** Runs a TypeScript program of the tests as a process of its own, so that it can be killed, stopped and blocked. */

import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { build } from 'esbuild';

/** Programs bundled from the sources, ready to run. */
export interface Bundle {
  readonly file: string;
  dispose(): Promise<void>;
}

/** Bundles one program into one file, as the released command is. */
export async function bundleProgram(source: string): Promise<Bundle> {
  const directory = await mkdtemp(join(tmpdir(), 'mycel-child-'));
  const file = join(directory, 'program.mjs');
  await build({
    entryPoints: [source],
    outfile: file,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    conditions: ['@mycel/source'],
    minify: true,
    banner: {
      js: "import { createRequire } from 'node:module';const require = createRequire(import.meta.url);",
    },
    logLevel: 'silent',
  });
  return { file, dispose: () => rm(directory, { recursive: true, force: true }) };
}

/** A running program whose standard output is read line by line. */
export interface Program {
  readonly child: ChildProcess;
  /** Every line so far. */
  readonly lines: readonly string[];
  /** Resolves with the first line (old or new) that fits; rejects after `ms` or when the program ends without one. */
  line(fits: (line: string) => boolean, ms: number): Promise<string>;
  /** Resolves when the program has ended and its output was read. */
  readonly ended: Promise<number | null>;
}

/** Starts a bundled program. */
export function startProgram(
  file: string,
  args: readonly string[],
  command: readonly string[] = [],
): Program {
  const [first = '', ...rest] = [...command, process.execPath, file, ...args];
  const child = spawn(first, rest, { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines: string[] = [];
  const watchers = new Set<() => void>();
  let isEnded = false;
  const reader = createInterface({ input: child.stdout });
  reader.on('line', (line) => {
    lines.push(line);
    for (const watcher of watchers) watcher();
  });
  const ended = new Promise<number | null>((resolve) => {
    child.once('close', (code) => {
      isEnded = true;
      resolve(code);
      for (const watcher of watchers) watcher();
    });
  });
  return {
    child,
    lines,
    ended,
    line(fits, ms) {
      return new Promise((resolve, reject) => {
        const timer = AbortSignal.timeout(ms);
        const look = (): void => {
          const found = lines.find((line) => fits(line));
          if (found === undefined && !isEnded && !timer.aborted) return;
          watchers.delete(look);
          timer.removeEventListener('abort', look);
          if (found !== undefined) resolve(found);
          else
            reject(new Error(`no such line within ${ms} ms; last: ${lines.slice(-3).join(' | ')}`));
        };
        watchers.add(look);
        timer.addEventListener('abort', look);
        look();
      });
    },
  };
}
