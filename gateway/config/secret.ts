/** A key in memory: it shows itself to nobody who does not ask for it by name. */

import { statSync, readFileSync } from 'node:fs';

import { MycelError } from 'mycel';

/** Longest key, in characters. */
const keyLengthMax = 4096;

/** Printing, logging and serialising it give three stars; inspecting it shows nothing, for the text is private. */
export class Secret {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  /** The key itself: for the header of a request and for comparing, nothing else. */
  reveal(): string {
    return this.#text;
  }

  /** Replaces the key in a text that is not ours. */
  scrub(text: string): string {
    return this.#text.length < 4 ? text : text.replaceAll(this.#text, '***');
  }

  toString(): string {
    return '***';
  }

  toJSON(): string {
    return '***';
  }
}

/** Where a key may come from. */
export interface SecretSource {
  /** What it is for, in words: "target 'lab'". */
  readonly owner: string;
  readonly env: string | undefined;
  readonly file: string | undefined;
}

/**
 * Reads a key from the environment or from a file that only its owner can read.
 * @returns undefined when neither is named.
 * @throws {MycelError} MYCEL_BAD_OPTION when it is named and not there, empty, or readable by others.
 */
export function readSecret(
  source: SecretSource,
  environment: NodeJS.ProcessEnv,
): Secret | undefined {
  const { owner, env, file } = source;
  if (env !== undefined) {
    const text = environment[env]?.trim() ?? '';
    if (text === '') {
      throw bad(
        `The environment variable ${env} of ${owner} is not set.`,
        `Set it before the gateway starts: export ${env}=…`,
      );
    }
    return checked(text, owner);
  }
  return file === undefined ? undefined : checked(readPrivateFile(file, owner), owner);
}

function readPrivateFile(file: string, owner: string): string {
  try {
    if ((statSync(file).mode & 0o077) !== 0) {
      throw bad(`Others can read the key file ${file} of ${owner}.`, `Run: chmod 600 ${file}`);
    }
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    if (MycelError.is(error)) throw error;
    throw bad(
      `The key file ${file} of ${owner} cannot be read (${(error as NodeJS.ErrnoException).code}).`,
      'Check the path, and that it belongs to the user that runs the gateway.',
    );
  }
}

function checked(text: string, owner: string): Secret {
  if (text === '' || text.length > keyLengthMax || /[^\x21-\x7e]/.test(text)) {
    throw bad(
      `The key of ${owner} is empty or holds characters that no key has.`,
      'Copy it again, without quotes, spaces or line breaks.',
    );
  }
  return new Secret(text);
}

function bad(reason: string, fix: string): MycelError {
  return new MycelError('MYCEL_BAD_OPTION', { reason, fix });
}
