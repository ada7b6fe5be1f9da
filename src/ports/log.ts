/** Structured, redacted, quiet logging. */

/** How loud a line is. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** A logger. `fields` are plain data and never hold a secret. */
export interface Log {
  debug(fields: Readonly<Record<string, unknown>>, message: string): void;
  info(fields: Readonly<Record<string, unknown>>, message: string): void;
  warn(fields: Readonly<Record<string, unknown>>, message: string): void;
  error(fields: Readonly<Record<string, unknown>>, message: string): void;
  /** A logger that adds these fields to every line. */
  child(fields: Readonly<Record<string, unknown>>): Log;
}
