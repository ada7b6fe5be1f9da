/** The commands about tasks. */

import type { Command } from 'commander';

import type { WithContext } from './context.ts';
import { parseDuration } from './duration.ts';

/** Flags of `task submit`; times in ms. */
export interface SubmitFlags {
  readonly wait?: number | true;
  readonly auction?: string;
}

/** Adds them. */
export function addTaskCommands(program: Command, withContext: WithContext): void {
  const tasks = () => import('./commands/tasks.ts');
  const task = program.command('task').description('have something done by whoever can do it best');
  task
    .command('submit')
    .description('have a task, or a list of them, auctioned among the nodes that take its kind')
    .argument('<json>', 'like \'{"kind":"resize","input":{"width":80},"effect":"idempotent"}\'')
    .option(
      '--auction <kind>',
      'a task: first-price, vickrey, english, dutch; a list: single-item, assignment, combinatorial',
    )
    .option('--wait [time]', 'wait for the result, for 60s or so long', (text) =>
      parseDuration('--wait', text, 's'),
    )
    .action(
      withContext(async (context, json: string, flags: SubmitFlags) =>
        (await tasks()).submit(context, json, flags),
      ),
    );
  task
    .command('cancel')
    .description('give a task up; what is done stays done')
    .argument('<id>', 'as "mycel tasks" shows it')
    .action(withContext(async (context, id: string) => (await tasks()).cancel(context, id)));
  program
    .command('tasks')
    .description('the tasks that this node knows, and where they stand')
    .action(withContext(async (context) => (await tasks()).tasks(context)));
  program
    .command('auctions')
    .description('who bid how much for each task, who won, and why')
    .argument('[id]', 'only of this task')
    .option('--summary', 'how well this node has allotted tasks so far, and won them')
    .action(
      withContext(async (context, id: string | undefined, flags: { summary?: true }) =>
        flags.summary === true
          ? (await tasks()).figures(context)
          : (await tasks()).auctions(context, id),
      ),
    );
}
