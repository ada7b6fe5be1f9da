/** The configuration file of a node: the options of the library as JSON, for what no flag says (channels) and for boards. */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { NodeOptions } from 'mycel';

import { Failure, usageFailure } from './failure.ts';

/** Its name in the data directory, where it is looked for when no flag names one. */
export const configFileName = 'config.json';

/** Largest file that is read, in bytes. */
export const configFileBytesMax: number = 256 * 1024;

/** What the command line has its own ways for. */
const notHere: Readonly<Record<string, string>> = {
  dataDir: 'The file is found through the data directory: give --data-dir.',
  join: 'An invite is a secret that is used once: give --join @file, or MYCEL_JOIN_FILE.',
};

/**
 * Reads it; what the fields may hold is the library's to say. An unnamed file may be missing.
 * @throws {Failure} MYCEL_USAGE, MYCEL_BAD_OPTION
 */
export async function readConfigFile(
  named: string | undefined,
  dataDir: string,
): Promise<NodeOptions> {
  const path = configPath(named, dataDir);
  let text: string;
  try {
    const bytes = await readFile(path);
    if (bytes.length > configFileBytesMax) {
      throw refusal(path, `It has ${bytes.length} bytes; ${configFileBytesMax} are allowed.`);
    }
    text = bytes.toString('utf8');
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    if (!isMissing) throw error;
    if (named === undefined) return {};
    throw usageFailure(`There is no file '${path}'.`, 'Give --config the path of a JSON file.');
  }
  const value = parse(path, text);
  for (const [field, fix] of Object.entries(notHere)) {
    if (field in value) throw refusal(path, `'${field}' does not belong there.`, fix);
  }
  return value as NodeOptions;
}

/** Where it is. */
function configPath(named: string | undefined, dataDir: string): string {
  return named ?? join(dataDir, configFileName);
}

/** What the library says about an option, with the file that the option is from; any other error as it is. */
export function nameConfigFile(
  error: unknown,
  configured: NodeOptions,
  [named, dataDir]: readonly [string | undefined, string],
): unknown {
  const { code, details } = error as {
    code?: unknown;
    details?: Readonly<Record<string, unknown>>;
  };
  const { field, reason } = details ?? {};
  const isFromFile =
    code === 'MYCEL_BAD_OPTION' &&
    typeof field === 'string' &&
    Object.hasOwn(configured, field.split('.', 1)[0] ?? '');
  if (!isFromFile) return error;
  return refusal(configPath(named, dataDir), String(reason), 'Correct it there.');
}

function parse(path: string, text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw refusal(path, `It is no JSON: ${(error as Error).message}.`);
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw refusal(path, 'It is no JSON object.');
}

function refusal(path: string, what: string, fix?: string): Failure {
  return new Failure(
    'MYCEL_BAD_OPTION',
    `The configuration in '${path}' cannot be used. ${what}`,
    fix ?? 'Write it like {"channels": {"video": {"class": "signal", "topics": ["cam/#"]}}}.',
  );
}
