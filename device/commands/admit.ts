/** `mycel init`, `join`, `pending` and `approve`: how a mesh begins and how boards come in. */

import { print, type Context } from '../context.ts';
import { callNode } from '../control-client.ts';
import { readInvite } from '../invite-source.ts';
import { formatTable } from '../table.ts';
import { harmless } from '../terminal.ts';

/** Makes a provisional mesh real. */
export async function init(context: Context, mesh: string | undefined): Promise<void> {
  const made = await callNode(context.dataDir, 'init', mesh === undefined ? {} : { mesh });
  print(context, made, () => [
    `The mesh '${harmless(made.name)}' is real (${made.id}).`,
    context.terminal.style('dim', 'next: mycel invite'),
  ]);
}

/** Enters a mesh with an invite, or with the one in `@file`. */
export async function join(context: Context, given: string): Promise<void> {
  const invite = await readInvite(given);
  const joined = await callNode(context.dataDir, 'join', { invite });
  print(context, joined, () => [`This node belongs to the mesh '${harmless(joined.name)}' now.`]);
}

/** Lists the newcomers that wait. */
export async function pending(context: Context): Promise<void> {
  const waiting = await callNode(context.dataDir, 'pending', {});
  print(context, waiting, () =>
    waiting.length === 0
      ? ['Nobody waits.']
      : [
          ...formatTable(
            ['CODE', 'NAME', 'ID'],
            waiting.map(({ code, name, id }) => [code, name, id]),
          ),
          context.terminal.style('dim', 'If the board shows the same digits: mycel approve CODE'),
        ],
  );
}

/** Lets a waiting newcomer in. */
export async function approve(context: Context, who: string): Promise<void> {
  const approved = await callNode(context.dataDir, 'approve', { who });
  print(context, approved, () => [
    `${harmless(approved.name)} (${approved.id.slice(0, 12)}) is a member now.`,
  ]);
}
