/** `mycel config`: settings of this node and of the mesh, checked before anything changes, with their history. */

import type { configScopes, configStrategies, ConfigRow } from '../control-config.ts';
import { print, type Context } from '../context.ts';
import { callNode } from '../control-client.ts';
import { Failure, usageFailure } from '../failure.ts';
import { formatTable } from '../table.ts';
import { harmless } from '../terminal.ts';

/** Flags of the commands; times in ms. */
export interface ConfigFlags {
  readonly timeout?: number;
  readonly local?: boolean;
  readonly eventual?: boolean;
  readonly agreed?: (typeof configStrategies)[number];
}

/** Prints one setting, or all of them. */
export async function configGet(
  context: Context,
  path: string | undefined,
  flags: ConfigFlags,
): Promise<void> {
  if (path === undefined) {
    if (flags.agreed !== undefined) {
      throw usageFailure(
        '--agreed is about one setting.',
        'Name it: mycel config get PATH --agreed newest',
      );
    }
    const rows = await callNode(context.dataDir, 'config-list', {});
    return print(context, rows, () =>
      formatTable(['PATH', 'VALUE', 'FROM', 'VERSION'], rows.map(cells)),
    );
  }
  if (flags.agreed !== undefined) {
    const asked = { path, strategy: flags.agreed, ...patience(flags) };
    const agreed = await callNode(context.dataDir, 'config-agreed', asked);
    return print(context, agreed, () => [text(agreed.value)]);
  }
  const row = await callNode(context.dataDir, 'config-get', { path });
  print(context, row, () => {
    if (row.from !== 'nobody') return [text(row.value)];
    throw new Failure(
      'MYCEL_ABSENT',
      `Nobody has set '${path}'.`,
      'See "mycel config get" for what is set.',
    );
  });
}

/** Sets it: for the mesh by decision, or as asked. */
export async function configSet(
  context: Context,
  path: string,
  value: string,
  flags: ConfigFlags,
): Promise<void> {
  if (flags.local === true && flags.eventual === true) {
    throw usageFailure('--local and --eventual exclude each other.', 'Give one of them.');
  }
  const scope: (typeof configScopes)[number] =
    flags.local === true ? 'node' : flags.eventual === true ? 'eventual' : 'mesh';
  const asked = { path, value, scope, ...patience(flags) };
  const row = await callNode(context.dataDir, 'config-set', asked);
  print(context, row, () => []);
}

/** Prints what it was, the latest first. */
export async function configHistory(context: Context, path: string): Promise<void> {
  const versions = await callNode(context.dataDir, 'config-history', { path });
  print(context, versions, () =>
    formatTable(
      ['VERSION', 'VALUE', 'BY', 'AT', 'FOR'],
      versions.map(({ version, value, by, at, isLocal }) => [
        String(version),
        text(value),
        by.slice(0, 8),
        new Date(at).toISOString(),
        isLocal ? 'node' : 'mesh',
      ]),
    ),
  );
}

/** Goes back to an earlier value, which is a new change. */
export async function configRollback(
  context: Context,
  path: string,
  given: string | undefined,
  flags: ConfigFlags,
): Promise<void> {
  const version = given === undefined ? undefined : Number(given);
  if (version !== undefined && !(Number.isSafeInteger(version) && version > 0)) {
    throw usageFailure(
      `'${given}' is not a version.`,
      `See "mycel config history ${path}" for the versions.`,
    );
  }
  const asked = { path, ...(version === undefined ? {} : { version }), ...patience(flags) };
  const row = await callNode(context.dataDir, 'config-rollback', asked);
  print(context, row, () => [text(row.value)]);
}

function cells({ path, value, from, version }: ConfigRow): string[] {
  return [
    harmless(path),
    from === 'nobody' ? '-' : text(value),
    from,
    version === 0 ? '-' : String(version),
  ];
}

function text(value: ConfigRow['value']): string {
  return harmless(JSON.stringify(value));
}

function patience({ timeout }: ConfigFlags): { readonly timeoutMs?: number } {
  return timeout === undefined ? {} : { timeoutMs: timeout };
}
