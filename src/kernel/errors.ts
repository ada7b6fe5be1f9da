/** Every operational failure a caller can meet: one table, one class, stable codes. docs/errors.md mirrors the table. */

/** `text` says what is wrong, `fix` what to do; `retryable` whether the same call may succeed later unchanged. */
export const errorCatalogue = {
  MYCEL_BAD_NODE_ID: {
    retryable: false,
    text: 'This is not a node id.',
    fix: 'Copy the whole 28-character id from "mycel members".',
  },
  MYCEL_BAD_MESH_ID: {
    retryable: false,
    text: 'This is not a mesh id.',
    fix: 'Copy the 32 hex digits from "mycel status".',
  },
} as const;

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
