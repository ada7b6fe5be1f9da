/** `mycel invite`: lets another board in, by a text, a QR code or an open window. */

import type { Invite } from 'mycel';

import type { Context } from '../context.ts';
import { connectControl } from '../control-client.ts';
import { formatDuration } from '../duration.ts';
import type { InviteFlags } from '../program-mesh.ts';

/** Mints an invite, which makes the mesh real, and opens the join window when asked to. */
export async function invite(context: Context, flags: InviteFlags): Promise<void> {
  const client = await connectControl(context.dataDir);
  try {
    const made = await client.call('invite', {
      ...(flags.ttl === undefined ? {} : { ttlMs: flags.ttl }),
      ...(flags.uses === undefined ? {} : { uses: flags.uses }),
      ...(flags.role === undefined ? {} : { role: flags.role }),
    });
    if (flags.open !== undefined) await client.call('window', { ms: flags.open });
    if (context.json) {
      const window = flags.open === undefined ? {} : { windowMs: flags.open };
      context.terminal.line(JSON.stringify({ ...made, ...window }));
    } else await show(context, made, flags);
  } finally {
    client.close();
  }
}

/** The invite alone goes to stdout, so that it can be piped; the rest is narration. */
async function show(context: Context, made: Invite, flags: InviteFlags): Promise<void> {
  const { terminal } = context;
  if (terminal.isTty) {
    const { renderUnicodeCompact } = await import('uqr');
    terminal.note(renderUnicodeCompact(made.invite, { ecc: 'L', border: 2 }));
  }
  terminal.note(terminal.style('bold', 'On the other board, run one of:'));
  terminal.note(`  mycel up --join ${made.invite}`);
  terminal.note(`  mycel join ${made.invite}      (when it already runs)`);
  terminal.note(
    `It holds ${formatDuration(made.expiresInMs)} and for ${made.uses} ${made.uses === 1 ? 'board' : 'boards'}${flags.role === 'admin' ? ' as admin' : ''}. It is a secret until it is used.`,
  );
  if (flags.open !== undefined) {
    terminal.note(
      `For ${formatDuration(flags.open)} any new board nearby may ask to enter: mycel pending, mycel approve CODE.`,
    );
  }
  terminal.line(made.invite);
}
