/** Operational failures: one class, stable codes; the table of them is in `error-catalogue.ts`. */

import { errorCatalogue } from './error-catalogue.ts';

export { errorCatalogue };

/** The stable name of a failure; programs switch on it. */
export type ErrorCode = keyof typeof errorCatalogue;

/** A failure of the world or of the caller, never a bug of ours (that is an `InvariantError`). */
export class MycelError extends Error {
  override readonly name = 'MycelError';
  readonly code: ErrorCode;
  /** Facts about this occurrence; never a secret. */
  readonly details: Readonly<Record<string, unknown>>;
  /** What the caller can do about it, in one sentence. */
  readonly fix: string;

  constructor(code: ErrorCode, details: MycelError['details'] = {}, options?: ErrorOptions) {
    const entry = errorCatalogue[code];
    const reason = typeof details['reason'] === 'string' ? ` ${details['reason']}` : '';
    super(`${entry.text}${reason} (${code})`, options);
    this.code = code;
    this.details = details;
    this.fix = typeof details['fix'] === 'string' ? details['fix'] : entry.fix;
  }

  /** Asks by name, not by `instanceof`, so that two copies of the package understand each other. */
  static is(value: unknown): value is MycelError {
    return value instanceof Error && value.name === 'MycelError';
  }
}
