/** `mycel state`: reads, writes and watches replicated state. */

import type { StateRow } from 'mycel';

import { print, type Context } from '../context.ts';
import { callNode } from '../control-client.ts';
import { Failure, usageFailure } from '../failure.ts';
import { formatBytes } from '../quantity.ts';
import { streamOut } from '../stream-out.ts';
import { formatTable } from '../table.ts';
import { harmless } from '../terminal.ts';

/** Writes a register. */
export async function stateSet(context: Context, key: string, json: string): Promise<void> {
  const row = await callNode(context.dataDir, 'state-set', { key, json: checkJson(json) });
  print(context, row, () => []);
}

/** Prints what is under a key, one line a type. @throws {Failure} MYCEL_STATE_INVALID */
export async function stateGet(context: Context, key: string): Promise<void> {
  const rows = await callNode(context.dataDir, 'state-ls', { prefix: key });
  const found = rows.filter((row) => row.key === key);
  const [first] = found;
  if (first === undefined) {
    throw new Failure(
      'MYCEL_STATE_INVALID',
      `Nothing is written under '${key}'.`,
      'See "mycel state ls" for the keys.',
    );
  }
  const shown = found.length === 1 ? first : found;
  print(context, shown, () => found.map(({ value }) => text(value)));
}

/** Adds to a counter. */
export async function stateIncrement(
  context: Context,
  key: string,
  given: string | undefined,
): Promise<void> {
  const by = given === undefined ? 1 : Number(given);
  if (!Number.isSafeInteger(by)) {
    throw usageFailure(`'${given}' is not a whole number.`, 'Give one, like 1 or -3.');
  }
  const row = await callNode(context.dataDir, 'state-incr', { key, by });
  print(context, row, () => [text(row.value)]);
}

/** Adds a member to a set. */
export async function stateAdd(context: Context, key: string, json: string): Promise<void> {
  const row = await callNode(context.dataDir, 'state-add', { key, json: checkJson(json) });
  print(context, row, () => []);
}

/** Removes a member, or a value. @throws {Failure} MYCEL_STATE_INVALID when it was not there. */
export async function stateRemove(
  context: Context,
  key: string,
  json: string | undefined,
): Promise<void> {
  const member = json === undefined ? {} : { json: checkJson(json) };
  const result = await callNode(context.dataDir, 'state-remove', { key, ...member });
  if (!result.isRemoved) {
    throw new Failure(
      'MYCEL_STATE_INVALID',
      `There is no such thing under '${key}'.`,
      `See what is there: mycel state ls ${key}`,
    );
  }
  print(context, result, () => []);
}

/** Prints how much there is. */
export async function stateStatus(context: Context): Promise<void> {
  const status = await callNode(context.dataDir, 'state-status', {});
  const { keys, entries, replicas, waiting, journal, fingerprint } = status;
  print(context, status, () => [
    `${keys} keys, ${entries} live writes of ${replicas} replicas, ${waiting} waiting for peers`,
    `journal ${formatBytes(journal.bytes)}, ${formatBytes(journal.flashBytesPerDay)} written a day`,
    ...(journal.trouble === undefined ? [] : [journal.trouble]),
    ...journal.notes.map((note) => `when it was opened: ${note}`),
    `fingerprint ${fingerprint}`,
  ]);
}

/** Prints changes until a signal. */
export async function stateWatch(context: Context, prefix: string): Promise<void> {
  await streamOut(context, 'state-watch', { prefix }, (row) => {
    print(context, row, () => [`${harmless(row.key)} ${text(row.value)}`]);
  });
}

/** Lists keys. */
export async function stateList(context: Context, prefix: string): Promise<void> {
  const rows = await callNode(context.dataDir, 'state-ls', { prefix });
  print(context, rows, () => formatTable(['KEY', 'TYPE', 'VALUE'], rows.map(cells)));
}

function cells({ key, type, value }: StateRow): string[] {
  return [harmless(key), type, text(value)];
}

function text(value: StateRow['value']): string {
  return value === undefined ? '-' : harmless(JSON.stringify(value));
}

/** @throws {Failure} MYCEL_USAGE when it is not JSON. */
function checkJson(json: string): string {
  try {
    JSON.parse(json);
    return json;
  } catch {
    throw usageFailure(
      `${json.slice(0, 60)} is not JSON.`,
      `Text stands in quotes, like '"${json.slice(0, 20)}"'.`,
    );
  }
}
