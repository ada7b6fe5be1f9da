/** The `mycel` command: parses, runs, and turns every failure into one line and an exit code. */

import { CommanderError } from 'commander';

import { toFailure, usageFailure, type Failure } from './failure.ts';
import { createProgram } from './program.ts';
import { createTerminal, harmless, type Terminal } from './terminal.ts';

const terminal = createTerminal();
// The exit code is set, not forced: what is still on its way to a slow pipe gets there.
process.exitCode = await run(process.argv.slice(2), terminal);

/** Runs one command line and gives its exit code. */
async function run(args: readonly string[], to: Terminal): Promise<number> {
  const program = createProgram(to);
  try {
    await program.parseAsync(args, { from: 'user' });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return 0;
      if (error.code === 'commander.help') {
        to.note(program.helpInformation().trimEnd());
        return 2;
      }
      return complain(usageOf(error), args, to);
    }
    return complain(toFailure(error), args, to);
  }
}

/** One line on stderr: what, then how to mend it. */
function complain(failure: Failure, args: readonly string[], to: Terminal): number {
  if (args.includes('--json')) to.note(JSON.stringify({ error: failure.toRecord() }));
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
