/** The commands about the ways of messages: who would hear one, and what becomes of it. */

import type { Command } from 'commander';

import type { WithContext } from './context.ts';

/** Flags of `explain`. */
export interface ExplainFlags {
  readonly message?: string;
}

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
  program
    .command('explain')
    .description('what would happen to a message on a topic, or happened to one, hop by hop')
    .argument('[topic]')
    .option('--message <id>', 'the message with this id ("mycel pub --json" shows it)')
    .action(
      withContext(async (context, topic: string | undefined, flags: ExplainFlags) =>
        (await import('./commands/explain.ts')).explain(context, topic, flags),
      ),
    );
}
