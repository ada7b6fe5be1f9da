/** What every command is given, and how it gives back. */

import type { Terminal } from './terminal.ts';

/** The flags that every command has, resolved. */
export interface Context {
  readonly json: boolean;
  /** Absolute. */
  readonly dataDir: string;
  readonly terminal: Terminal;
}

/** Makes a commander action of a function that takes the context first, then the arguments and the flags. */
export type WithContext = <Args extends readonly unknown[]>(
  run: (context: Context, ...args: Args) => Promise<void>,
) => (...received: unknown[]) => Promise<void>;

/** Prints a result: one line of JSON, or the lines for a person. */
export function print(context: Context, value: unknown, lines: () => readonly string[]): void {
  if (context.json) context.terminal.line(JSON.stringify(value));
  else for (const line of lines()) context.terminal.line(line);
}
