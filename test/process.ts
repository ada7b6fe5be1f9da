/** Starts real programs for tests and reads their standard output line by line, as it comes. */

import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';

/** One line of standard output and when it came (`performance.now`). */
interface OutputLine {
  readonly at: number;
  readonly text: string;
}

/** A running program. */
export interface Program {
  readonly child: ChildProcess;
  /** Every line so far, oldest first. */
  readonly output: readonly OutputLine[];
  /** The texts of `output`. */
  readonly lines: readonly string[];
  /** What it wrote to standard error so far. */
  errors(): string;
  /** Resolves with the first line (old or new) that fits; rejects after `ms` or when the program ends without one. */
  line(fits: (line: string) => boolean, ms: number): Promise<string>;
  /**
   * Resolves with the first thing other than undefined that `look` returns; it is asked again at every line.
   * Rejects after `ms`, or when the program has ended and there is still nothing.
   */
  until<Found>(what: string, look: () => Found | undefined, ms: number): Promise<Found>;
  /** Resolves with the exit code (null after a signal) when it has ended and its output was read. */
  readonly ended: Promise<number | null>;
}

/** How to start one. */
export interface StartOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Written to standard input, which is then closed. Without it, standard input stays open and empty. */
  readonly input?: string;
}

/** Starts a program; what it writes to standard error is kept and shown when a wait fails. */
export function startCommand(argv: readonly string[], options: StartOptions = {}): Program {
  const [command = '', ...args] = argv;
  const child = spawn(command, args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    env: { ...process.env, ...options.env },
  });
  const output: OutputLine[] = [];
  const lines: string[] = [];
  let errors = '';
  let isEnded = false;
  const watchers = new Set<() => void>();
  const wake = (): void => {
    for (const watcher of watchers) watcher();
  };

  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors = (errors + text).slice(-100_000);
  });
  // A program that ends before it read its input breaks the pipe; its exit code tells the story.
  child.stdin.on('error', () => undefined);
  if (options.input !== undefined) child.stdin.end(options.input);
  createInterface({ input: child.stdout }).on('line', (text) => {
    output.push({ at: performance.now(), text });
    lines.push(text);
    wake();
  });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      isEnded = true;
      resolve(code);
      wake();
    });
  });

  function until<Found>(what: string, look: () => Found | undefined, ms: number): Promise<Found> {
    return new Promise((resolve, reject) => {
      const finish = (): void => {
        clearTimeout(timer);
        watchers.delete(watch);
      };
      const fail = (why: string): void => {
        finish();
        const tail = lines.slice(-5).join('\n  ');
        reject(
          new Error(
            `${argv.slice(-6).join(' ')}: ${why} waiting for ${what}\nlast lines:\n  ${tail}\nstderr:\n  ${errors.slice(-2000)}`,
          ),
        );
      };
      const watch = (): void => {
        const found = look();
        if (found === undefined) return isEnded ? fail('it ended') : undefined;
        finish();
        resolve(found);
      };
      const timer = setTimeout(() => fail(`${ms} ms passed`), ms);
      watchers.add(watch);
      watch();
    });
  }

  return {
    child,
    output,
    lines,
    ended,
    errors: () => errors,
    until,
    line: (fits, ms) => until('a line', () => lines.find((line) => fits(line)), ms),
  };
}

/** What became of a program that was run to its end. */
export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end; kills it after `ms`. */
export async function runCommand(
  argv: readonly string[],
  options: StartOptions & { readonly ms?: number } = {},
): Promise<Finished> {
  const program = startCommand(argv, { input: '', ...options });
  const timer = setTimeout(() => program.child.kill('SIGKILL'), options.ms ?? 30_000);
  try {
    const code = await program.ended;
    const stdout = program.lines.map((line) => `${line}\n`).join('');
    return { code, stdout, stderr: program.errors() };
  } finally {
    clearTimeout(timer);
  }
}
