/** The command line of mycel: what all commands share. Each command loads its code when it runs. */

import { Command } from 'commander';

import type { Context, WithContext } from './context.ts';
import { resolveDataDir } from './data-dir.ts';
import { usageFailure } from './failure.ts';
import { addAgentCommands } from './program-agents.ts';
import { addBlobCommands } from './program-blobs.ts';
import { addBoardCommands } from './program-board.ts';
import { addConfigCommands } from './program-config.ts';
import { addGatewayCommands } from './program-gateway.ts';
import { addDecisionCommands } from './program-decisions.ts';
import { addMeshCommands } from './program-mesh.ts';
import { addNodeCommands } from './program-node.ts';
import { addRouteCommands } from './program-routes.ts';
import { addStateCommands } from './program-state.ts';
import { addTaskCommands } from './program-tasks.ts';
import { addTopologyCommands } from './program-topology.ts';
import { addUpdateCommands } from './program-updates.ts';
import type { Terminal } from './terminal.ts';
import { version } from './version.ts';

/** Builds the whole command tree. Parse errors are thrown (commander's `exitOverride`), never printed. */
export function createProgram(terminal: Terminal): Command {
  const program = new Command('mycel')
    .description('Small boards on one network, working as one machine.')
    .version(version, '-V, --version', 'print the version')
    .option('--json', 'print JSON for programs')
    .option('--data-dir <dir>', "the node's directory (or MYCEL_DATA_DIR)")
    .exitOverride()
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => terminal.line(text.trimEnd()),
      // Mistakes are told by main, in one line; a command without its subcommand shows its help.
      writeErr: (text) => {
        if (text.startsWith('Usage:')) terminal.note(text.trimEnd());
      },
      getOutHelpWidth: () => terminal.columns,
    })
    .addHelpText('after', '\nStart with "mycel up", then "mycel invite" to let the next board in.');
  const withContext = contextFor(terminal);
  addNodeCommands(program, withContext);
  addMeshCommands(program, withContext);
  addAgentCommands(program, withContext);
  addTaskCommands(program, withContext);
  addTopologyCommands(program, withContext);
  addRouteCommands(program, withContext);
  addBlobCommands(program, withContext);
  addDecisionCommands(program, withContext);
  addConfigCommands(program, withContext);
  addBoardCommands(program, withContext);
  addUpdateCommands(program, withContext);
  addGatewayCommands(program, withContext);
  addStateCommands(program, withContext);
  return program;
}

function contextFor(terminal: Terminal): WithContext {
  return function withContext<Args extends readonly unknown[]>(
    run: (context: Context, ...args: Args) => Promise<void>,
  ) {
    return async (...received: unknown[]) => {
      // Commander hands over the arguments, then the flags, then the command itself.
      const command = received.at(-1) as Command;
      const shared = command.optsWithGlobals<{ json?: boolean; dataDir?: string }>();
      if (shared.dataDir === '') {
        throw usageFailure('--data-dir is empty.', 'Give it a path, or leave it out.');
      }
      const json = shared.json === true;
      const context = { json, dataDir: resolveDataDir(shared.dataDir), terminal };
      await run(context, ...(received.slice(0, -1) as unknown as Args));
    };
  };
}
