/** How the command fails: one sentence of what, one of how to mend it, and an exit code that scripts can trust. */

import type { ErrorCode } from 'mycel';

/** 0 ok, 1 failed, 2 usage, 3 no node running. */
export type ExitCode = 0 | 1 | 2 | 3;

/** What travels over the control socket and to stderr with `--json`. */
export interface FailureRecord {
  /** One of the catalogue's codes; a newer node may know more of them than this command. */
  readonly code: string;
  readonly text: string;
  readonly fix: string;
}

/** An operational failure. The command never imports the library for its `MycelError`: that costs start-up time. */
export class Failure extends Error {
  override readonly name = 'Failure';
  readonly code: string;
  readonly fix: string;

  constructor(code: ErrorCode, text: string, fix: string, options?: ErrorOptions) {
    super(text, options);
    this.code = code;
    this.fix = fix;
  }

  /** A failure that the node reported over the control socket. */
  static received(record: FailureRecord): Failure {
    return new Failure(record.code as ErrorCode, record.text, record.fix);
  }

  get exitCode(): ExitCode {
    if (this.code === 'MYCEL_USAGE' || this.code === 'MYCEL_BAD_OPTION') return 2;
    return this.code === 'MYCEL_NO_NODE' ? 3 : 1;
  }

  toRecord(): FailureRecord {
    return { code: this.code, text: this.message, fix: this.fix };
  }
}

/** Ends the command with the exit code of the program that it ran, without a word of its own. */
export class Exit extends Error {
  override readonly name = 'Exit';
  readonly exitCode: number;

  constructor(exitCode: number) {
    super(`exit ${exitCode}`);
    this.exitCode = exitCode;
  }
}

/** A mistake in the command line. Exit code 2. */
export function usageFailure(text: string, fix: string): Failure {
  return new Failure('MYCEL_USAGE', text, fix);
}

/** Turns whatever was thrown into a failure with a text and a fix. */
export function toFailure(error: unknown): Failure {
  if (error instanceof Failure) return error;
  if (!(error instanceof Error)) return unexpected(String(error), error);
  if (isCatalogued(error)) {
    const text = error.message.replace(` (${error.code})`, '');
    return new Failure(error.code, text, error.fix, { cause: error });
  }
  const system = systemFixes[(error as NodeJS.ErrnoException).code ?? ''];
  if (system === undefined) return unexpected(error.message, error);
  return new Failure('MYCEL_SYSTEM', `${firstLine(error.message)}.`, system, { cause: error });
}

/** What a person can do about the system errors that a data directory or a socket meets. */
const systemFixes: Readonly<Record<string, string>> = {
  EACCES: 'Run as the user that owns it, or choose another --data-dir.',
  EPERM: 'Run as the user that owns it, or choose another --data-dir.',
  ENOSPC: 'Free some space on the disk.',
  EROFS: 'Make the file system writable, or choose another --data-dir.',
  ENOENT: 'Check the path.',
  ENOTDIR: 'Check the path: a part of it is a file.',
  EISDIR: 'Check the path: it is a directory.',
  EMFILE: 'Raise the limit of open files (ulimit -n).',
  ENOMEM: 'Free some memory.',
};

function unexpected(text: string, cause: unknown): Failure {
  return new Failure(
    'MYCEL_INTERNAL',
    `Something unexpected failed: ${firstLine(text)}.`,
    'Run it again; if it stays, report it together with this line.',
    { cause },
  );
}

function firstLine(text: string): string {
  return (text.split('\n', 1)[0] ?? '').slice(0, 500).replace(/\.$/, '');
}

/** A `MycelError` is known by its name, so that two copies of the package understand each other. */
function isCatalogued(error: Error): error is Error & { code: ErrorCode; fix: string } {
  return (
    error.name === 'MycelError' &&
    typeof (error as { code?: unknown }).code === 'string' &&
    typeof (error as { fix?: unknown }).fix === 'string'
  );
}
