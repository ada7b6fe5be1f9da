/** The `mycel` command: parses, runs, and turns every failure into one line and an exit code. */

import { CommanderError } from 'commander';

import { Exit, toFailure, usageFailure, type Failure } from './failure.ts';
import { createProgram } from './program.ts';
import { createTerminal, harmless, type Terminal } from './terminal.ts';

/** Stack frames that an unexpected failure prints. */
const framesMax = 6;

const terminal = createTerminal();
const args = process.argv.slice(2);
// Without this Node prints the whole minified line that threw. The process ends all the same: its state is unknown.
process.on('uncaughtException', (error) => {
  complain(toFailure(error), args, terminal);
  for (const frame of framesOf(error)) terminal.note(frame);
  process.exit(1);
});
void run(args, terminal).then((code) => {
  // Set, not forced: what is still on its way to a slow pipe gets there.
  process.exitCode = code;
});

/** Runs one command line and gives its exit code. */
async function run(given: readonly string[], to: Terminal): Promise<number> {
  const program = createProgram(to);
  try {
    await program.parseAsync(given, { from: 'user' });
    return 0;
  } catch (error) {
    if (error instanceof Exit) return error.exitCode;
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return 0;
      if (error.code === 'commander.help') return 2;
      return complain(usageOf(error), given, to);
    }
    return complain(toFailure(error), given, to);
  }
}

/** One line on stderr: what, then how to mend it. */
function complain(failure: Failure, given: readonly string[], to: Terminal): number {
  if (given.includes('--json')) to.note(JSON.stringify({ error: failure.toRecord() }));
  else to.note(`${to.style('red', harmless(failure.message))} ${harmless(failure.fix)}`);
  return failure.exitCode;
}

/** Commander writes "error: unknown option '--prot'\n(Did you mean --port?)". */
function usageOf(error: CommanderError): Failure {
  const [first = '', hint] = error.message.replace(/^error: /, '').split('\n');
  const what = first.charAt(0).toUpperCase() + first.slice(1).replace(/\.$/, '');
  const meant = /^\((.*)\)$/.exec(hint ?? '')?.[1];
  return usageFailure(`${what}.`, meant ?? 'See "mycel --help".');
}

function framesOf(error: Error): string[] {
  const lines = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line));
  return lines.slice(0, framesMax).map((line) => line.slice(0, 200));
}
