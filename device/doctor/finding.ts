/** What a check of the doctor says. */

/** One fact about this machine; anything but `ok` comes with what to do. */
export interface Finding {
  readonly check: string;
  readonly level: 'ok' | 'warn' | 'fail';
  readonly text: string;
  readonly fix?: string;
}

/** All is well. */
export function ok(check: string, text: string): Finding {
  return { check, level: 'ok', text };
}

/** Works, with a limit that the person should know. */
export function warn(check: string, text: string, fix: string): Finding {
  return { check, level: 'warn', text, fix };
}

/** A node would not work, or would lose data. */
export function fail(check: string, text: string, fix: string): Finding {
  return { check, level: 'fail', text, fix };
}
