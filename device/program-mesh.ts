/** The commands about the mesh: who may enter, who must leave, and guests. */

import type { Command } from 'commander';

import type { WithContext } from './context.ts';
import { parseDuration } from './duration.ts';
import { collect, parseChoice, parseWhole } from './options.ts';

/** Flags of `invite`; times in ms. */
export interface InviteFlags {
  readonly ttl?: number;
  readonly uses?: number;
  readonly open?: number;
  readonly role?: 'node' | 'admin';
}

/** Flags of `guest add`. */
export interface GuestFlags {
  readonly publish?: readonly string[];
  readonly subscribe?: readonly string[];
  readonly passwordStdin?: boolean;
}

/** Adds them. */
export function addMeshCommands(program: Command, withContext: WithContext): void {
  const admit = () => import('./commands/admit.ts');
  program
    .command('init')
    .description('make the mesh of this node real, without inviting anybody yet')
    .option('--mesh <name>', 'its name (default: the one given to up)')
    .action(
      withContext(async (context, flags: { readonly mesh?: string }) =>
        (await admit()).init(context, flags.mesh),
      ),
    );
  program
    .command('invite')
    .description('let another board in')
    .option('--ttl <time>', 'how long it holds, like 15m (the default)', (text) =>
      parseDuration('--ttl', text, undefined),
    )
    .option('--uses <n>', 'how many boards may use it (default: 1)', parseWhole('--uses', 1, 1000))
    .option('--open <time>', 'also let anyone nearby ask to enter, like 5m', (text) =>
      parseDuration('--open', text, undefined),
    )
    .option(
      '--role <role>',
      'node, or admin who may invite in turn',
      parseChoice('--role', ['node', 'admin']),
    )
    .action(
      withContext(async (context, flags: InviteFlags) =>
        (await import('./commands/invite.ts')).invite(context, flags),
      ),
    );
  program
    .command('join')
    .description('enter a mesh with an invite')
    .argument('<invite>', 'mycel:1:…, or @file')
    .action(withContext(async (context, invite: string) => (await admit()).join(context, invite)));
  program
    .command('pending')
    .description('newcomers that wait for approval')
    .action(withContext(async (context) => (await admit()).pending(context)));
  program
    .command('approve')
    .description('let a waiting newcomer in')
    .argument('<id|code>', 'its id, name, or the six digits it shows')
    .action(withContext(async (context, who: string) => (await admit()).approve(context, who)));
  addGuest(program, withContext);
  const part = () => import('./commands/part.ts');
  program
    .command('leave')
    .description('leave the mesh and forget it')
    .action(withContext(async (context) => (await part()).leave(context)));
  program
    .command('revoke')
    .description('throw a board out of the mesh for ever')
    .argument('<id>', 'its id, a part of it, or its name')
    .action(withContext(async (context, who: string) => (await part()).revoke(context, who)));
}

function addGuest(program: Command, withContext: WithContext): void {
  const load = () => import('./commands/guest.ts');
  const guest = program.command('guest').description('accounts for plain MQTT clients on the LAN');
  guest
    .command('add')
    .description('add one; prints its password once')
    .argument('<name>')
    .option('--publish <filter>', 'topics it may publish to (repeatable)', collect)
    .option('--subscribe <filter>', 'topics it may subscribe to (repeatable)', collect)
    .option('--password-stdin', 'take the password from stdin instead of making one')
    .action(
      withContext(async (context, name: string, flags: GuestFlags) =>
        (await load()).guestAdd(context, name, flags),
      ),
    );
  guest
    .command('ls')
    .description('list them')
    .action(withContext(async (context) => (await load()).guestList(context)));
  guest
    .command('rm')
    .description('remove one and close its connections')
    .argument('<name>')
    .action(
      withContext(async (context, name: string) => (await load()).guestRemove(context, name)),
    );
}
