/** The commands about settings. */

import { Option, type Command } from 'commander';

import type { ConfigFlags } from './commands/config.ts';
import type { WithContext } from './context.ts';
import { configStrategies } from './control-config.ts';
import { parseDuration } from './duration.ts';

/** Adds them. */
export function addConfigCommands(program: Command, withContext: WithContext): void {
  const load = () => import('./commands/config.ts');
  const timeout = (command: Command): Command =>
    command.option('--timeout <time>', 'how long to try, like 5s (the default)', (text) =>
      parseDuration('--timeout', text, 's'),
    );
  const config = program
    .command('config')
    .description('settings of the mesh and of this node, with their history');
  timeout(
    config
      .command('get')
      .description('a setting as it counts here; without a path, all of them')
      .argument('[path]')
      .addOption(
        new Option('--agreed <how>', 'ask the members and make one value of it').choices(
          configStrategies,
        ),
      ),
  ).action(
    withContext(async (context, path: string | undefined, flags: ConfigFlags) =>
      (await load()).configGet(context, path, flags),
    ),
  );
  timeout(
    config
      .command('set')
      .description('set it for the whole mesh, by decision of a majority; refused without one')
      .argument('<path>', 'words joined by dots')
      .argument('<json>')
      .option('--local', 'for this node only; it comes before what the mesh sets')
      .option('--eventual', 'also without a majority: the latest writer wins'),
  ).action(
    withContext(async (context, path: string, value: string, flags: ConfigFlags) =>
      (await load()).configSet(context, path, value, flags),
    ),
  );
  config
    .command('history')
    .description('what it was, the latest first')
    .argument('<path>')
    .action(
      withContext(async (context, path: string) => (await load()).configHistory(context, path)),
    );
  timeout(
    config
      .command('rollback')
      .description('go back to the value before, or to a version; this is a new change')
      .argument('<path>')
      .argument('[version]'),
  ).action(
    withContext(async (context, path: string, version: string | undefined, flags: ConfigFlags) =>
      (await load()).configRollback(context, path, version, flags),
    ),
  );
}
