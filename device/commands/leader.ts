/** `mycel leader`: who has a role, or leads the group of voters. */

import { print, type Context } from '../context.ts';
import { callNode } from '../control-client.ts';
import type { DecisionFlags } from '../program-decisions.ts';

/** Prints the id; nobody: nothing. */
export async function leader(
  context: Context,
  role: string | undefined,
  flags: DecisionFlags,
): Promise<void> {
  const view = await callNode(context.dataDir, 'leader', {
    ...(role === undefined ? {} : { role }),
    ...(flags.timeout === undefined ? {} : { timeoutMs: flags.timeout }),
  });
  const { leader: holder = null, token, voters } = view;
  print(context, { role: role ?? null, leader: holder, token, voters }, () => {
    const lines = [holder ?? 'nobody'];
    if (role === undefined) lines.push(...voters.map((voter) => `voter ${voter}`));
    return lines;
  });
}
