/** The commands about the ways of messages: who would hear one. */

import type { Command } from 'commander';

import type { WithContext } from './context.ts';

/** Adds them. */
export function addRouteCommands(program: Command, withContext: WithContext): void {
  program
    .command('listeners')
    .description('does anyone listen? who would hear a message on a topic')
    .argument('<topic>')
    .action(
      withContext(async (context, topic: string) =>
        (await import('./commands/listeners.ts')).listeners(context, topic),
      ),
    );
}
