/** The commands about services and agents. */

import type { Command } from 'commander';

import type { WithContext } from './context.ts';
import { parseDuration } from './duration.ts';

/** Flags of `call`; times in ms. */
export interface CallFlags {
  readonly timeout?: number;
  readonly select?: string;
}

/** Adds them. */
export function addAgentCommands(program: Command, withContext: WithContext): void {
  const services = () => import('./commands/services.ts');
  program
    .command('services')
    .description('what the nodes of the mesh offer')
    .action(withContext(async (context) => (await services()).services(context)));
  program
    .command('call')
    .description('call an action of a service')
    .argument('<service.action>')
    .argument('[json]', 'its input')
    .option('--timeout <time>', 'how long to wait, like 5s (the default)', (text) =>
      parseDuration('--timeout', text, 's'),
    )
    .option(
      '--select <selector>',
      'only instances that fit, like "category:camera, location:lab/*"',
    )
    .action(
      withContext(async (context, target: string, input: string | undefined, flags: CallFlags) =>
        (await services()).call(context, target, input, flags),
      ),
    );
}
