/** `mycel leave` and `mycel revoke`: how boards go out. */

import { print, type Context } from '../context.ts';
import { callNode } from '../control-client.ts';
import { harmless } from '../terminal.ts';

/** Leaves the mesh and forgets it. */
export async function leave(context: Context): Promise<void> {
  await callNode(context.dataDir, 'leave', {});
  print(context, { left: true }, () => ['This node has left the mesh and forgotten it.']);
}

/** Throws a board out for ever. */
export async function revoke(context: Context, who: string): Promise<void> {
  const revoked = await callNode(context.dataDir, 'revoke', { who });
  print(context, revoked, () => [
    `${harmless(revoked.name)} (${revoked.id.slice(0, 12)}) is out and cannot come back.`,
  ]);
}
