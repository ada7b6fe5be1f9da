/** The commands about blobs: content of any size. */

import type { Command } from 'commander';

import type { WithContext } from './context.ts';

/** Adds them. */
export function addBlobCommands(program: Command, withContext: WithContext): void {
  const load = () => import('./commands/blob.ts');
  const blob = program.command('blob').description('content of any size, named by its hash');
  blob
    .command('put')
    .description('keep a file here, for every member to get; prints its hash')
    .argument('<file>', 'or - for stdin')
    .action(withContext(async (context, file: string) => (await load()).blobPut(context, file)));
  blob
    .command('get')
    .description('fetch content from whoever has it')
    .argument('<hash>')
    .option('--out <file>', 'where to write it (default: stdout)')
    .action(
      withContext(async (context, hash: string, flags: { readonly out?: string }) =>
        (await load()).blobGet(context, hash, flags.out),
      ),
    );
  blob
    .command('ls')
    .description('what is kept here')
    .action(withContext(async (context) => (await load()).blobList(context)));
}
