/** What travels with a request through every call it causes: its trace, correlation, user fields, and what is left of its time. */

import { AsyncLocalStorage } from 'node:async_hooks';
import { setMaxListeners } from 'node:events';
import type { Millis } from '../../kernel/core.ts';
import { MycelError } from '../../kernel/errors.ts';

/** User fields of one context, together with their names, in characters. */
export const contextLengthMax = 2_048;

/** Calls inside one another; a deeper one is refused as a loop. */
export const callDepthMax = 32;

/** The context of a request. */
export interface RequestContext {
  /** Names the whole request, across nodes: 16 hex digits, drawn where it began. */
  readonly trace: string;
  /** What the caller ties its own records to. @default the trace */
  readonly correlation: string;
  /** Fields of the caller, carried everywhere. */
  readonly user: Readonly<Record<string, string>>;
  /** How many calls deep. */
  readonly depth: number;
}

/** A context and when its time is over, on this node's clock. */
export interface Ambient extends RequestContext {
  readonly endsAt: Millis;
  readonly signal: AbortSignal | undefined;
}

const noFields: Readonly<Record<string, string>> = {};

const ambient = new AsyncLocalStorage<Ambient>();

/** The context of what is running, or undefined outside any request. */
export function currentContext(): Ambient | undefined {
  return ambient.getStore();
}

/** Runs within a context: calls made in there carry it on and cannot outlast it. */
export function withContext<Result, Args extends unknown[]>(
  context: Ambient,
  run: (...args: Args) => Result,
  ...args: Args
): Result {
  return ambient.run(context, run, ...args);
}

/** The context of a call that is about to be made. @throws {MycelError} MYCEL_BAD_OPTION, MYCEL_CALL_LOOP */
export function nextContext(
  given: { readonly correlation?: string; readonly user?: Readonly<Record<string, string>> },
  draw: () => string,
): RequestContext {
  const current = currentContext();
  const trace = current?.trace ?? draw();
  const user =
    given.user === undefined ? (current?.user ?? noFields) : { ...current?.user, ...given.user };
  const length = given.user === undefined ? 0 : lengthOf(user);
  if (length > contextLengthMax) {
    throw new MycelError('MYCEL_BAD_OPTION', {
      reason: `The user fields of a context have ${length} characters, ${contextLengthMax} at most.`,
    });
  }
  const depth = (current?.depth ?? 0) + 1;
  if (depth > callDepthMax) throw new MycelError('MYCEL_CALL_LOOP', { trace });
  return { trace, correlation: given.correlation ?? current?.correlation ?? trace, user, depth };
}

/** Aborts when one of the two does. */
export function joinSignals(
  one: AbortSignal | undefined,
  other: AbortSignal | undefined,
): AbortSignal | undefined {
  const joined =
    one === undefined || other === undefined ? (one ?? other) : AbortSignal.any([one, other]);
  // A handler may have many calls open at once, all under the signal of its own request.
  if (joined !== undefined) setMaxListeners(0, joined);
  return joined;
}

function lengthOf(fields: Readonly<Record<string, string>>): number {
  return Object.entries(fields).reduce((sum, [key, value]) => sum + key.length + value.length, 0);
}
