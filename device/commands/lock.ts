/** `mycel lock`: runs a command while holding a lock, and ends it when the lock is lost. */

import { spawn, type ChildProcess } from 'node:child_process';
import { constants } from 'node:os';

import type { Context } from '../context.ts';
import type { LockEvent } from '../control-decisions.ts';
import { connectControl } from '../control-client.ts';
import { Exit, Failure } from '../failure.ts';
import type { LockFlags } from '../program-decisions.ts';

/** A command that does not end on SIGTERM after the lock is lost is killed, in ms. */
const graceMs = 2_000;

/**
 * Waits for the lock, runs the command with the fencing token in `MYCEL_FENCE`, and ends as it ends.
 * @throws {Failure} MYCEL_LOCK_BUSY, MYCEL_NO_QUORUM, or MYCEL_LOCK_LOST after the command was ended.
 */
export async function lock(
  context: Context,
  name: string,
  command: readonly string[],
  flags: LockFlags,
): Promise<void> {
  const client = await connectControl(context.dataDir);
  const heard: LockEvent[] = [];
  let wake = (): void => {};
  const hear = (event: LockEvent): void => {
    heard.push(event);
    wake();
  };
  const lost = (reason: string): LockEvent => ({ type: 'lost', reason });
  try {
    await client.stream(
      'lock',
      {
        name,
        ...(flags.ttl === undefined ? {} : { ttlMs: flags.ttl }),
        ...(flags.wait === undefined ? {} : { waitMs: flags.wait }),
      },
      {
        event: hear,
        ended: (failure) => hear(lost(failure?.message ?? 'The node has stopped.')),
      },
    );
    while (heard.length === 0) await new Promise<void>((resolve) => (wake = resolve));
    const first = heard[0] as LockEvent;
    if (first.type === 'refused') throw Failure.received(first.error);
    if (first.type === 'lost') throw lockLost(name, first.reason);
    const code = await runUnder(command, first.token, (ended) => {
      wake = ended;
      if (heard.length > 1) ended();
    });
    const later = heard[1];
    if (later?.type === 'lost') throw lockLost(name, later.reason);
    if (code !== 0) throw new Exit(code);
  } finally {
    client.close();
  }
}

/** Runs the command until it ends by itself, by our signals, or because `onLost` calls back. */
function runUnder(
  [program = '', ...args]: readonly string[],
  token: number,
  onLost: (end: () => void) => void,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, MYCEL_FENCE: String(token) };
    const child: ChildProcess = spawn(program, args, { stdio: 'inherit', env });
    let killer: NodeJS.Timeout | undefined;
    let isOver = false;
    const forward = (signal: NodeJS.Signals): void => void child.kill(signal);
    process.on('SIGINT', forward).on('SIGTERM', forward);
    const finish = (): void => {
      isOver = true;
      clearTimeout(killer);
      process.off('SIGINT', forward).off('SIGTERM', forward);
    };
    child.once('error', (error: NodeJS.ErrnoException) => {
      finish();
      const what =
        error.code === 'ENOENT' ? `There is no command '${program}'.` : `${error.message}.`;
      reject(new Failure('MYCEL_USAGE', what, 'Check the command after "--".'));
    });
    child.once('close', (code, signal) => {
      finish();
      resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
    });
    onLost(() => {
      // Given back is lost as well: then there is nothing to end, and nothing to stay for.
      if (isOver) return;
      child.kill('SIGTERM');
      killer ??= setTimeout(() => child.kill('SIGKILL'), graceMs);
    });
  });
}

function lockLost(name: string, reason: string): Failure {
  return new Failure(
    'MYCEL_LOCK_LOST',
    `The lock '${name}' was lost: ${reason.replace(/ \(MYCEL_\w+\)$/, '')}`,
    'The command was ended. Run it again; what it changed must be checked against MYCEL_FENCE.',
  );
}
