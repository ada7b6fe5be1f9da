/** Where a secret of the command line comes from: given outright, or from a file that others cannot read in a list of processes. */

import { readFile } from 'node:fs/promises';

import { Failure } from './failure.ts';

/** Longest secret, in characters. */
const secretLengthMax = 4096;

/** The value as given, or what the file that `@path` names holds. @throws {Failure} MYCEL_BAD_OPTION */
export async function readSecret(flag: string, given: string): Promise<string> {
  if (!given.startsWith('@')) return given;
  const path = given.slice(1);
  const content = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new Failure(
      'MYCEL_BAD_OPTION',
      `The file '${path}' of ${flag} cannot be read (${(cause as NodeJS.ErrnoException).code ?? 'error'}).`,
      'Check the path after the @.',
      { cause },
    );
  });
  const text = content.trim();
  if (text.length > 0 && text.length <= secretLengthMax) return text;
  throw new Failure(
    'MYCEL_BAD_OPTION',
    `The file '${path}' of ${flag} is ${text.length === 0 ? 'empty' : 'too long'}.`,
    'Put the value into it, and nothing else.',
  );
}
