/** The commands about what the mesh decides together: keys, locks and roles. */

import type { Command } from 'commander';

import type { WithContext } from './context.ts';
import { parseDuration } from './duration.ts';

/** Flags of the commands that wait for a decision; times in ms. */
export interface DecisionFlags {
  readonly timeout?: number;
}

/** Flags of `lock`; times in ms. */
export interface LockFlags {
  readonly ttl?: number;
  readonly wait?: number;
}

/** Adds them. */
export function addDecisionCommands(program: Command, withContext: WithContext): void {
  const load = () => import('./commands/kv.ts');
  const timeout = (command: Command): Command =>
    command.option('--timeout <time>', 'how long to try, like 5s (the default)', (text) =>
      parseDuration('--timeout', text, 's'),
    );
  const kv = program
    .command('kv')
    .description('keys that a majority decides about; refused without one');
  timeout(kv.command('get').description('the value as of now').argument('<key>')).action(
    withContext(async (context, key: string, flags: DecisionFlags) =>
      (await load()).kvGet(context, key, flags),
    ),
  );
  timeout(
    kv.command('put').description('write a value').argument('<key>').argument('<json>'),
  ).action(
    withContext(async (context, key: string, value: string, flags: DecisionFlags) =>
      (await load()).kvPut(context, key, value, flags),
    ),
  );
  timeout(
    kv
      .command('cas')
      .description('write a value only if the key holds what is expected')
      .argument('<key>')
      .argument('<expected>', 'JSON, or - for absent')
      .argument('<json>'),
  ).action(
    withContext(
      async (context, key: string, expected: string, value: string, flags: DecisionFlags) =>
        (await load()).kvCas(context, key, [expected, value], flags),
    ),
  );
  timeout(
    program
      .command('leader')
      .description('who has a role; without one, who leads the group of voters')
      .argument('[role]'),
  ).action(
    withContext(async (context, role: string | undefined, flags: DecisionFlags) =>
      (await import('./commands/leader.ts')).leader(context, role, flags),
    ),
  );
  program
    .command('lock')
    .description('run a command while holding a lock; its fencing token is in MYCEL_FENCE')
    .argument('<name>')
    .argument('<command...>', 'after --')
    .option(
      '--ttl <time>',
      'how long the lock outlives this node, like 10s (the default)',
      (text) => parseDuration('--ttl', text, 's'),
    )
    .option('--wait <time>', 'how long to wait for it, like 30s (the default)', (text) =>
      parseDuration('--wait', text, 's'),
    )
    .action(
      withContext(async (context, name: string, command: readonly string[], flags: LockFlags) =>
        (await import('./commands/lock.ts')).lock(context, name, command, flags),
      ),
    );
}
