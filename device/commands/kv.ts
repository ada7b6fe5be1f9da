/** `mycel kv`: keys that are decided together. */

import { print, type Context } from '../context.ts';
import { callNode } from '../control-client.ts';
import { Failure } from '../failure.ts';
import type { DecisionFlags } from '../program-decisions.ts';

/** Prints the value; null with `--json` when the key is absent. @throws {Failure} MYCEL_ABSENT, without `--json` */
export async function kvGet(context: Context, key: string, flags: DecisionFlags): Promise<void> {
  const found = await callNode(context.dataDir, 'kv-get', { key, ...patience(flags) });
  print(context, found, () => {
    if (found !== null) return [JSON.stringify(found.value)];
    throw new Failure(
      'MYCEL_ABSENT',
      `The key '${key}' has no value.`,
      `Give it one: mycel kv put ${key} JSON`,
    );
  });
}

/** Writes a value. */
export async function kvPut(
  context: Context,
  key: string,
  value: string,
  flags: DecisionFlags,
): Promise<void> {
  const args = { key, value, ...patience(flags) };
  const { version } = await callNode(context.dataDir, 'kv-put', args);
  print(context, { key, version }, () => []);
}

/** Compares and sets. @throws {Failure} MYCEL_CONFLICT when the key holds something else */
export async function kvCas(
  context: Context,
  key: string,
  [expected, value]: readonly [string, string],
  flags: DecisionFlags,
): Promise<void> {
  const swap = await callNode(context.dataDir, 'kv-cas', {
    key,
    value,
    ...(expected === '-' ? {} : { expected }),
    ...patience(flags),
  });
  if (!swap.isDone) {
    const there = swap.version === 0 ? 'it is absent' : `its version is ${swap.version}`;
    throw new Failure(
      'MYCEL_CONFLICT',
      `'${key}' does not hold what was expected: ${there}.`,
      `Look at it with "mycel kv get ${key}" and decide again.`,
    );
  }
  print(context, { key, version: swap.version }, () => []);
}

function patience({ timeout }: DecisionFlags): { readonly timeoutMs?: number } {
  return timeout === undefined ? {} : { timeoutMs: timeout };
}
