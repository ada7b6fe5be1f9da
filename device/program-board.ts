/** The commands that make a board a board: its service, its card. */

import type { Command } from 'commander';

import type { WithContext } from './context.ts';
import { parseDuration } from './duration.ts';
import { cardsMax } from './flash/cards.ts';
import { parseChoice, parseWhole } from './options.ts';

/** Flags of `service install`. */
export interface InstallFlags {
  readonly name?: string;
  readonly join?: string;
  readonly node?: string;
  readonly args?: string;
  readonly root?: string;
  readonly start: boolean;
  readonly dryRun?: boolean;
}

/** Flags of `service uninstall`. */
export interface UninstallFlags {
  readonly purge?: boolean;
  readonly root?: string;
  readonly dryRun?: boolean;
}

/** Flags of `service logs`. */
export interface LogFlags {
  readonly follow?: boolean;
  readonly lines: number;
}

/** Flags of `flash`; the lifetime in ms. */
export interface FlashFlags {
  readonly name?: string;
  readonly count?: number;
  readonly out?: string;
  /** `true`: the running node makes one for each card; `false`: none. */
  readonly invite: boolean | string;
  readonly ttl?: number;
  readonly node?: string;
  readonly args?: string;
  readonly offline?: boolean;
  readonly hostname?: string;
  readonly user?: string;
  readonly sshKey?: string;
  readonly wifi?: string;
  readonly wifiPasswordFile?: string;
  readonly wifiCountry?: string;
  readonly format?: string;
  readonly sheet?: string;
  readonly yes?: boolean;
  readonly dryRun?: boolean;
}

/** Adds them. */
export function addBoardCommands(program: Command, withContext: WithContext): void {
  const loadWords = () => import('./commands/completion.ts');
  program
    .command('completion')
    .description('print the completion script of a shell: bash, zsh or fish')
    .argument('<shell>', 'bash, zsh or fish')
    .action(
      withContext(async (context, shell: string) =>
        (await loadWords()).completion(context, program, shell),
      ),
    );
  program
    .command('man')
    .description('print the manual page: mycel man | man -l -')
    .action(withContext(async (context) => (await loadWords()).manual(context, program)));
  program
    .command('device')
    .description('what this board is, how it fares, and what is connected to it')
    .action(withContext(async (context) => (await import('./commands/device.ts')).device(context)));
  addFlash(program, withContext);
  const service = program.command('service').description('the node as a service of this machine');
  const load = () => import('./commands/service.ts');
  service
    .command('install')
    .description('install, update or repair it; it starts at once and at every boot')
    .option('--name <name>', 'how people call the node (default: the host name)')
    .option('--join <invite>', 'join with this invite, or with the one in @file')
    .option('--node <file>', 'the Node.js to use: a program, or a tarball from nodejs.org')
    .option('--args <flags>', 'further flags of "mycel up", in one piece')
    .option('--root <dir>', 'install into the root file system in this directory')
    .option('--no-start', 'do not start it now')
    .option('--dry-run', 'say what would be done, change nothing')
    .action(
      withContext(async (context, flags: InstallFlags) =>
        (await load()).installService(context, flags),
      ),
    );
  service
    .command('uninstall')
    .description('take it off; the identity stays')
    .option('--purge', 'remove the identity, the settings and the user too')
    .option('--root <dir>', 'uninstall from the root file system in this directory')
    .option('--dry-run', 'say what would be done, change nothing')
    .action(
      withContext(async (context, flags: UninstallFlags) =>
        (await load()).uninstallService(context, flags),
      ),
    );
  service
    .command('status')
    .description('whether it runs, since when, and how often it had to be restarted')
    .action(withContext(async (context) => (await load()).serviceStatus(context)));
  service
    .command('logs')
    .description('what it wrote to the journal')
    .option('-f, --follow', 'go on as more comes')
    .option('-n, --lines <n>', 'how many lines', parseWhole('--lines', 1, 1e6), 100)
    .action(
      withContext(async (context, flags: LogFlags) => (await load()).serviceLogs(context, flags)),
    );
}

function addFlash(program: Command, withContext: WithContext): void {
  program
    .command('flash')
    .description('put mycel and an invite on a card, so that its board joins by itself')
    .argument('<target...>', 'the mounted boot partition of each card, its device, or an .img file')
    .option('--name <name>', 'how people call the node; {n} is the number of the card')
    .option('--count <n>', 'how many cards', parseWhole('--count', 1, cardsMax))
    .option('--out <dir>', 'write to copies of the image in this directory')
    .option('--invite <invite>', 'this invite, or the one in @file, instead of a fresh one', true)
    .option('--no-invite', 'no invite: the board starts alone')
    .option('--ttl <time>', 'how long the invites hold, like 24h (the default)', (text) =>
      parseDuration('--ttl', text, undefined),
    )
    .option('--node <file>', 'a tarball from nodejs.org for the board')
    .option('--args <flags>', 'further flags of "mycel up", in one piece')
    .option(
      '--format <format>',
      'what starts it on the board (default: found out from the card)',
      parseChoice('--format', [
        'cloud-init',
        'firstrun',
        'rpi-preseed',
        'dietpi',
        'armbian',
        'nocloud',
        'generic',
      ]),
    )
    .option('--offline', 'refuse a card that could need anything from the internet')
    .option('--hostname <name>', 'host name of the board; {n} is the number of the card')
    .option('--user <name>', 'a user who may log in by SSH with --ssh-key')
    .option('--ssh-key <file>', 'public keys of that user')
    .option('--wifi <ssid>', 'the Wi-Fi that the board joins')
    .option('--wifi-password-file <file>', 'its password, on one line')
    .option(
      '--wifi-country <cc>',
      'two letters, like GB: many boards keep their radio off without it',
    )
    .option('--sheet <file>', 'names, invites and QR codes to print; .html or text')
    .option('--yes', 'do not ask')
    .option('--dry-run', 'say what would be done, change nothing')
    .action(
      withContext(async (context, targets: readonly string[], flags: FlashFlags) =>
        (await import('./commands/flash.ts')).flash(context, targets, flags),
      ),
    );
}
