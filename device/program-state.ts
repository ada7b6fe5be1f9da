/** The commands about what the mesh knows together: state, events, partitions. */

import type { Command } from 'commander';

import type { WithContext } from './context.ts';
import { parseDuration } from './duration.ts';
import { parseWhole } from './options.ts';

/** Flags of `events query`; times in ms. */
export interface QueryFlags {
  readonly type?: string;
  readonly since?: number;
  readonly correlation?: string;
  readonly limit?: number;
  readonly local?: boolean;
}

/** Adds them. */
export function addStateCommands(program: Command, withContext: WithContext): void {
  addState(program, withContext);
  addEvents(program, withContext);
  program
    .command('partitions')
    .description('splits of the mesh, and what healing them merged')
    .action(
      withContext(async (context) =>
        (await import('./commands/partitions.ts')).partitions(context),
      ),
    );
}

function addState(program: Command, withContext: WithContext): void {
  const load = () => import('./commands/state.ts');
  const state = program.command('state').description('values that every node may read and write');
  state
    .command('set')
    .description('write a value')
    .argument('<key>')
    .argument('<json>')
    .action(
      withContext(async (context, key: string, json: string) =>
        (await load()).stateSet(context, key, json),
      ),
    );
  state
    .command('get')
    .description('print what is under a key')
    .argument('<key>')
    .action(withContext(async (context, key: string) => (await load()).stateGet(context, key)));
  state
    .command('incr')
    .description('add to a counter; a negative number takes away')
    .argument('<key>')
    .argument('[n]', 'how much (default: 1)')
    .allowUnknownOption()
    .action(
      withContext(async (context, key: string, by: string | undefined) =>
        (await load()).stateIncrement(context, key, by),
      ),
    );
  state
    .command('add')
    .description('add a member to a set')
    .argument('<key>')
    .argument('<json>')
    .action(
      withContext(async (context, key: string, json: string) =>
        (await load()).stateAdd(context, key, json),
      ),
    );
  state
    .command('remove')
    .description('remove a member of a set, or the value under a key')
    .argument('<key>')
    .argument('[json]', 'the member; without it, the value of `set`')
    .action(
      withContext(async (context, key: string, json: string | undefined) =>
        (await load()).stateRemove(context, key, json),
      ),
    );
  state
    .command('watch')
    .description('print changes as they come')
    .argument('[prefix]', 'only keys that begin so')
    .action(
      withContext(async (context, prefix: string | undefined) =>
        (await load()).stateWatch(context, prefix ?? ''),
      ),
    );
  state
    .command('status')
    .description('how much there is, and how the disk bears it')
    .action(withContext(async (context) => (await load()).stateStatus(context)));
  state
    .command('ls')
    .description('list what there is')
    .argument('[prefix]', 'only keys that begin so')
    .action(
      withContext(async (context, prefix: string | undefined) =>
        (await load()).stateList(context, prefix ?? ''),
      ),
    );
}

function addEvents(program: Command, withContext: WithContext): void {
  const load = () => import('./commands/events.ts');
  const events = program.command('events').description('what happened, on all nodes');
  events
    .command('emit')
    .description('tell that something happened')
    .argument('<type>')
    .argument('[json]', 'more about it')
    .option('--correlation <id>', 'the story it belongs to')
    .action(
      withContext(
        async (
          context,
          type: string,
          json: string | undefined,
          flags: { readonly correlation?: string },
        ) => (await load()).eventsEmit(context, type, json, flags.correlation),
      ),
    );
  events
    .command('query')
    .description('ask all nodes what happened')
    .option('--type <type>', 'a type, or the beginning of one followed by *')
    .option('--since <time>', 'not longer ago than this, like 1h', (given) =>
      parseDuration('--since', given, undefined),
    )
    .option('--correlation <id>', 'only this story')
    .option('--limit <n>', 'the latest so many (default: 100)', parseWhole('--limit', 1, 1000))
    .option('--local', 'only what this node keeps')
    .action(
      withContext(async (context, flags: QueryFlags) => (await load()).eventsQuery(context, flags)),
    );
  events
    .command('tail')
    .description('print events as they come')
    .argument('[type]', 'a type, or the beginning of one followed by *')
    .action(
      withContext(async (context, type: string | undefined) =>
        (await load()).eventsTail(context, type ?? '*'),
      ),
    );
}
