/** Calls that stay on this node: no bytes, but the same deadline, cancelling and failures as a call to another one. */

import { MycelError } from '../../kernel/errors.ts';
import type { Millis } from '../../kernel/core.ts';
import type { Deadlines } from './deadlines.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Ask } from './caller.ts';
import type { RequestContext } from './context.ts';
import type { Request } from './host.ts';

/** A request that stays here: its signal is made when the handler asks for it. */
export class LocalRequest implements Request {
  readonly from: NodeId;
  readonly input: unknown;
  readonly key: string;
  readonly deadlineMs: Millis;
  readonly context: RequestContext;
  private own: AbortController | undefined;
  private aborted: { readonly reason: unknown } | undefined;

  constructor(self: NodeId, input: unknown, { deadlineMs, context, key }: Ask) {
    this.from = self;
    this.input = input;
    this.key = key ?? context.trace;
    this.deadlineMs = deadlineMs;
    this.context = context;
  }

  signal(): AbortSignal {
    this.own ??= new AbortController();
    if (this.aborted !== undefined) this.own.abort(this.aborted.reason);
    return this.own.signal;
  }

  abort(reason: unknown): void {
    this.aborted = { reason };
    this.own?.abort(reason);
  }
}

/** The time of calls that stay here. */
export interface LocalTime {
  now(): Millis;
  readonly deadlines: Deadlines;
}

/** Calls back once when the deadline passes or the caller gives up; returns the function that ends the watch. */
function watch(
  { deadlineMs, signal }: Ask,
  { now, deadlines }: LocalTime,
  over: (reason: unknown) => void,
): () => void {
  const cancel = deadlines.watch(now() + deadlineMs, () => over(new MycelError('MYCEL_DEADLINE')));
  if (signal === undefined) return cancel;
  const give = (): void => over(signal.reason);
  signal.addEventListener('abort', give, { once: true });
  return () => {
    cancel();
    signal.removeEventListener('abort', give);
  };
}

/** A local handler that ignores its deadline does not hold its caller. */
export function withDeadline(
  answer: Promise<unknown>,
  how: Ask,
  abort: (reason: unknown) => void,
  time: LocalTime,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const end = watch(how, time, (reason) => {
      end();
      abort(reason);
      reject(reason as Error);
    });
    answer.then(
      (value) => {
        end();
        resolve(value);
      },
      (error: unknown) => {
        end();
        reject(asFailure(error));
      },
    );
  });
}

/** The same for a stream; whoever stops reading ends it. */
export async function* watched(
  items: AsyncIterable<unknown>,
  how: Ask,
  abort: (reason: unknown) => void,
  time: LocalTime,
): AsyncGenerator<unknown> {
  let over: { readonly reason: unknown } | undefined;
  const end = watch(how, time, (reason) => {
    over = { reason };
    abort(reason);
  });
  try {
    for await (const item of items) {
      if (over !== undefined) throw over.reason as Error;
      yield item;
    }
  } catch (error) {
    throw asFailure(over?.reason ?? error);
  } finally {
    end();
    abort(new MycelError('MYCEL_TIMEOUT', { reason: 'The reader has ended.' }));
  }
}

/** A plain error of a local handler fails the call as one of another node does. */
export function asFailure(error: unknown): Error {
  if (MycelError.is(error)) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new MycelError('MYCEL_HANDLER_FAILED', { reason }, { cause: error });
}
