/** `mycel services` and `mycel call`: what is offered, and using it. */

import { print, type Context } from '../context.ts';
import { callNode } from '../control-client.ts';
import { usageFailure } from '../failure.ts';
import type { CallFlags } from '../program-agents.ts';
import { formatTable } from '../table.ts';

/** Prints every service of every member. */
export async function services(context: Context): Promise<void> {
  const all = await callNode(context.dataDir, 'services', {});
  print(context, all, () =>
    formatTable(
      ['SERVICE', 'VERSION', 'NODE', 'HEALTH', 'ACTIONS', 'LABELS'],
      all.map((one) => [
        one.namespace === 'default' ? one.service : `${one.namespace}/${one.service}`,
        one.version,
        one.node.slice(0, 12),
        one.isHealthy ? 'ok' : 'unhealthy',
        one.actions.map(({ name, isStream }) => (isStream ? `${name}*` : name)).join(' '),
        Object.entries(one.labels)
          .map(([key, value]) => `${key}:${value}`)
          .join(' ') || '-',
      ]),
    ),
  );
}

/** Calls an action and prints its answer as JSON. */
export async function call(
  context: Context,
  target: string,
  input: string | undefined,
  flags: CallFlags,
): Promise<void> {
  if (input !== undefined) checkJson(input);
  const answer = await callNode(context.dataDir, 'call', {
    target,
    ...(input === undefined ? {} : { input }),
    ...(flags.timeout === undefined ? {} : { timeoutMs: flags.timeout }),
    ...(flags.select === undefined ? {} : { select: flags.select }),
  });
  print(context, answer, () => [JSON.stringify(answer, undefined, 2)]);
}

function checkJson(input: string): void {
  try {
    JSON.parse(input);
  } catch {
    throw usageFailure(
      `'${input.slice(0, 40)}' is not JSON.`,
      'Write it like \'{"room":"kitchen"}\'.',
    );
  }
}
