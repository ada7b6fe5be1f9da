/** The commands about versions: roll one out, look how far it is, take it back. */

import type { Command } from 'commander';

import type { WithContext } from './context.ts';
import { parseDuration } from './duration.ts';
import { parseWhole } from './options.ts';

/** Flags of `update`; times in ms. */
export interface UpdateFlags {
  readonly to?: string;
  readonly select?: string;
  readonly canary?: number;
  readonly batch?: number;
  readonly healthyFor?: number;
  readonly trial?: number;
  readonly patience?: number;
  readonly sha256?: string;
  readonly detach?: boolean;
}

/** Adds them. */
export function addUpdateCommands(program: Command, withContext: WithContext): void {
  const load = () => import('./commands/update.ts');
  const update = program
    .command('update')
    .description('bring another version to the boards of the mesh, or to some of them')
    .argument('[node...]', 'ids or names (default: every member)')
    .option(
      '--to <version>',
      'a package (the tarball of "npm pack"), or a version that npm can get',
    )
    .option('--select <selector>', 'only members with this label, like room=kitchen')
    .option(
      '--canary <n>',
      'how many must keep it before anybody else tries it (default: 1)',
      parseWhole('--canary', 1, 1024),
    )
    .option(
      '--batch <n>',
      'how many may be on their way at a time (default: a tenth)',
      parseWhole('--batch', 1, 1024),
    )
    .option(
      '--healthy-for <time>',
      'how long each must be well to keep it (default: 30s)',
      (text) => parseDuration('--healthy-for', text, undefined),
    )
    .option('--trial <time>', 'how long each may try to be (default: 3m)', (text) =>
      parseDuration('--trial', text, undefined),
    )
    .option('--patience <time>', 'how long each may take in all (default: 15m)', (text) =>
      parseDuration('--patience', text, undefined),
    )
    .option('--sha256 <hex>', 'what the file of the package must have')
    .option('--detach', 'do not wait for the end')
    .action(
      withContext(async (context, nodes: readonly string[], flags: UpdateFlags) =>
        (await load()).update(context, nodes, flags),
      ),
    );
  update
    .command('status')
    .description('which version every member runs, and how far the last update is')
    .action(withContext(async (context) => (await load()).updateStatus(context)));
  update
    .command('cancel')
    .description('take the update under way back, everywhere')
    .action(withContext(async (context) => (await load()).updateCancel(context)));
}
