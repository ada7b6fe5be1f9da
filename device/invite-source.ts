/** Where an invite comes from: a flag, the environment, or a file on the card. */

import { readFile } from 'node:fs/promises';

import { Failure } from './failure.ts';

/** Longest invite file, in characters. */
const inviteFileLengthMax: number = 16 * 1024;

/**
 * Reads the invite that a flag, the environment or a file on the card holds; the flag wins.
 * `file` is set when it came from MYCEL_JOIN_FILE, which the node removes once it has joined.
 * @throws {Failure} MYCEL_BAD_OPTION when a file named by the flag or the environment cannot be read.
 */
export async function findInvite(
  flag: string | undefined,
  env: NodeJS.ProcessEnv,
): Promise<{ readonly text: string; readonly file?: string } | undefined> {
  const stated = flag ?? (env['MYCEL_JOIN'] === '' ? undefined : env['MYCEL_JOIN']);
  if (stated !== undefined) return { text: await readInvite(stated) };
  const file = env['MYCEL_JOIN_FILE'];
  if (file === undefined || file === '') return undefined;
  try {
    return { text: await readInvite(`@${file}`), file };
  } catch (error) {
    // The file is gone after the first join: that is how it should be.
    if (((error as Error).cause as NodeJS.ErrnoException | undefined)?.code === 'ENOENT') {
      return undefined;
    }
    throw error;
  }
}

/** An invite as given, or from the file that `@path` names. @throws {Failure} MYCEL_BAD_OPTION */
export async function readInvite(given: string): Promise<string> {
  if (!given.startsWith('@')) return given.trim();
  const path = given.slice(1);
  const content = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new Failure(
      'MYCEL_BAD_OPTION',
      `The invite file '${path}' cannot be read (${(cause as NodeJS.ErrnoException).code ?? 'error'}).`,
      'Check the path after the @.',
      { cause },
    );
  });
  const text = content.trim();
  if (text.length === 0 || text.length > inviteFileLengthMax) {
    throw new Failure(
      'MYCEL_BAD_OPTION',
      `The invite file '${path}' is ${text.length === 0 ? 'empty' : 'too long'}.`,
      'Put the text that "mycel invite" printed into it, and nothing else.',
    );
  }
  return text;
}
