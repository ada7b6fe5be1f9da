/** The scripts and units of firmware-scripts/, which the bundler writes in: the program installs itself. */

import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Failure } from './failure.ts';
import { createLineSplitter } from './line-splitter.ts';

declare const MYCEL_FIRMWARE: string | undefined;

/** Longest line of a script that is read, in bytes. */
const lineBytesMax: number = 64 * 1024;

/** Most of what a script writes to stderr that is kept, in characters. */
const complaintLengthMax: number = 16 * 1024;

/** One run of a script. */
export interface ScriptRun {
  readonly script: 'install.sh' | 'uninstall.sh' | 'flash.sh';
  readonly args?: readonly string[];
  /** What the script learns besides the environment of this process. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Called with every line of its stdout. */
  line(text: string): void;
}

/**
 * Runs one of the scripts, with the others beside it, from a directory that is gone afterwards.
 * @throws {Failure} MYCEL_SETUP with the reason and the next step that the script gave.
 */
export async function runScript(run: ScriptRun): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'mycel-setup-'));
  try {
    for (const [name, text] of Object.entries(firmware())) {
      await writeFile(join(directory, name), text);
    }
    await follow(run, join(directory, run.script));
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function firmware(): Readonly<Record<string, string>> {
  if (typeof MYCEL_FIRMWARE === 'string') {
    return JSON.parse(MYCEL_FIRMWARE) as Readonly<Record<string, string>>;
  }
  throw new Failure(
    'MYCEL_SETUP',
    'This mycel runs from its sources and carries no scripts.',
    'Use dist/mycel.mjs ("npm run build"), or the scripts in firmware-scripts/.',
  );
}

function follow({ args = [], env, line }: ScriptRun, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn('sh', [path, ...args], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const splitter = createLineSplitter(lineBytesMax);
    child.stdout.on('data', (chunk: Buffer) => {
      for (const text of splitter.push(chunk).lines) line(text);
    });
    let complaint = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      complaint = (complaint + text).slice(-complaintLengthMax);
    });
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0) resolve();
      else reject(failureOf(complaint, code));
    });
  });
}

/** The scripts end with "mycel <what>: <reason>" and "  next: <step>"; anything else is told as it is. */
function failureOf(complaint: string, code: number | null): Failure {
  const told = /^mycel \w+: (.*)\n {2}next: (.*)$/m.exec(complaint);
  const reason = told?.[1] ?? complaint.trim().split('\n').at(-1) ?? '';
  return new Failure(
    'MYCEL_SETUP',
    reason === '' ? `The script ended with ${code ?? 'a signal'}.` : reason,
    told?.[2] ?? 'Run it again; nothing that was done before is lost.',
  );
}
