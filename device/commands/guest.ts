/** `mycel guest`: accounts for plain MQTT clients on the LAN. */

import { print, type Context } from '../context.ts';
import { callNode } from '../control-client.ts';
import { usageFailure } from '../failure.ts';
import type { GuestFlags } from '../program-mesh.ts';
import { readStdin } from '../stdin.ts';
import { formatTable } from '../table.ts';

/** Longest password, in bytes. */
const passwordBytesMax = 256;

/** Adds a guest and shows its password, this once. */
export async function guestAdd(context: Context, name: string, flags: GuestFlags): Promise<void> {
  const password = flags.passwordStdin === true ? await readPassword(context) : undefined;
  const added = await callNode(context.dataDir, 'guest-add', {
    name,
    ...(password === undefined ? {} : { password }),
    ...(flags.publish === undefined ? {} : { publish: flags.publish }),
    ...(flags.subscribe === undefined ? {} : { subscribe: flags.subscribe }),
  });
  print(context, { name, ...added }, () => [
    `Guest '${name}' may connect to port ${added.port} of this board.`,
    `Password: ${password === undefined ? added.password : '(as given)'}`,
    ...(password === undefined
      ? [context.terminal.style('dim', 'It is shown only now and kept only as a hash.')]
      : []),
  ]);
}

/** Lists the guests and their topic rules. */
export async function guestList(context: Context): Promise<void> {
  const guests = await callNode(context.dataDir, 'guest-ls', {});
  print(context, guests, () =>
    guests.length === 0
      ? ['There are no guests. Add one with "mycel guest add NAME".']
      : formatTable(
          ['NAME', 'PUBLISH', 'SUBSCRIBE'],
          guests.map(({ name, publish, subscribe }) => [
            name,
            publish.join(' ') || '-',
            subscribe.join(' ') || '-',
          ]),
        ),
  );
}

/** Removes a guest; its connections close at once. */
export async function guestRemove(context: Context, name: string): Promise<void> {
  await callNode(context.dataDir, 'guest-rm', { name });
  print(context, { removed: name }, () => [`Guest '${name}' is removed.`]);
}

async function readPassword(context: Context): Promise<string> {
  const bytes = await readStdin(context.terminal, 'the password', passwordBytesMax);
  const password = bytes.toString('utf8').replace(/\r?\n$/, '');
  if (password === '') {
    throw usageFailure(
      'The password on stdin is empty.',
      'Pipe it in, or leave out --password-stdin.',
    );
  }
  return password;
}
