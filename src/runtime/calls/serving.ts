/** The handlers of this node's methods, and their runs. */

import { AscendingMap } from '../../kernel/ascending-map.ts';
import { MycelError } from '../../kernel/errors.ts';
import type { CallContext, Calls } from '../../ports/calls.ts';
import type { Log } from '../../ports/log.ts';
import { callBodyBytesMax, callNameMax } from '../../kernel/call.ts';
import type { ResponderEffect, ResponderInput } from '../../protocol/command/responder-types.ts';
import { encodeFailure } from '../../wire/error-codec.ts';

/** Methods that one node serves. */
export const methodsMax = 4_096;

type Handler = Parameters<Calls['serve']>[1];
type StreamHandler = Parameters<Calls['serveStream']>[1];
type Perform = Extract<ResponderEffect, { type: 'perform' }>;

/** A run, as its handler sees it and as it is kept here: one object, since each request pays for it. */
class Running implements CallContext {
  readonly from: CallContext['from'];
  readonly key: string;
  readonly deadlineMs: number;
  isAborted = false;
  hasRoom = true;
  /** Lets a stream that waits for room go on. */
  proceed: () => void = nothing;
  private controller: AbortController | undefined;

  constructor({ from, key, deadlineMs }: Perform) {
    this.from = from;
    this.key = key;
    this.deadlineMs = deadlineMs;
  }

  /** Made when somebody asks for it: most handlers never do. */
  get signal(): AbortSignal {
    this.controller ??= new AbortController();
    if (this.isAborted) this.controller.abort();
    return this.controller.signal;
  }

  abort(): void {
    this.isAborted = true;
    this.controller?.abort();
    this.proceed();
  }
}

function nothing(): void {}

/** The serving half of calls. */
export interface Serving extends Pick<Calls, 'serve' | 'serveStream'> {
  run(effect: Exclude<ResponderEffect, { type: 'send' }>): void;
  abortAll(): void;
}

const noBytes = new Uint8Array(0);

/** Builds it with no method. */
export function createServing(world: {
  readonly log: Log;
  feed(input: ResponderInput): void;
}): Serving {
  const { feed, log } = world;
  const unary = new Map<string, Handler>();
  const streams = new Map<string, StreamHandler>();
  const running = new AscendingMap<Running>();

  function take<Kind>(table: Map<string, Kind>, method: string, handler: Kind): () => void {
    if (unary.has(method) || streams.has(method)) {
      throw new RangeError(`'${method}' is served already`);
    }
    if (
      method.length === 0 ||
      method.length > callNameMax ||
      unary.size + streams.size >= methodsMax
    ) {
      throw new RangeError(
        `'${method.slice(0, 40)}' cannot be served: its name, or too many methods`,
      );
    }
    table.set(method, handler);
    return () => {
      if (table.get(method) === handler) table.delete(method);
    };
  }

  function finish(run: number, isError: boolean, body: Uint8Array): void {
    if (running.delete(run)) feed({ type: 'finished', run, isError, body });
  }

  function fail(run: number, method: string, error: unknown): void {
    if (!MycelError.is(error) && running.get(run)?.isAborted === false) {
      log.warn({ method, error }, 'the handler of a call threw');
    }
    finish(run, true, encodeFailure(error));
  }

  function checked(body: unknown): Uint8Array {
    if (!(body instanceof Uint8Array)) throw new TypeError('a handler answers with a Uint8Array');
    if (body.byteLength <= callBodyBytesMax) return body;
    throw new MycelError('MYCEL_TOO_LARGE', {
      reason: `An answer of ${body.byteLength} bytes is larger than ${callBodyBytesMax}.`,
      fix: 'Answer with a stream, or a blob.',
    });
  }

  async function pump(perform: Perform, handler: StreamHandler, state: Running): Promise<void> {
    const { run, method, body } = perform;
    try {
      for await (const item of handler(body, state)) {
        if (state.isAborted) break;
        state.hasRoom = false;
        feed({ type: 'yielded', run, body: checked(item) });
        while (!state.hasRoom && !state.isAborted) {
          await new Promise<void>((resolve) => {
            state.proceed = resolve;
          });
        }
      }
      finish(run, false, noBytes);
    } catch (error) {
      fail(run, method, error);
    }
  }

  function perform(effect: Perform): void {
    const { run, method, isStream, body } = effect;
    const state = new Running(effect);
    running.set(run, state);
    const handler = isStream ? undefined : unary.get(method);
    const streamer = isStream ? streams.get(method) : undefined;
    if (streamer !== undefined) return void pump(effect, streamer, state);
    if (handler === undefined) {
      const isOther = unary.has(method) || streams.has(method);
      const kind = isStream ? 'answers once, it is no stream' : 'is a stream';
      const reason = isOther ? `'${method}' ${kind}.` : `'${method}' is not served there.`;
      return fail(run, method, new MycelError('MYCEL_UNKNOWN_METHOD', { method, reason }));
    }
    try {
      const given = handler(body, state);
      if (!(given instanceof Promise)) return finish(run, false, checked(given));
      given.then(
        (answer) => {
          try {
            finish(run, false, checked(answer));
          } catch (error) {
            fail(run, method, error);
          }
        },
        (error: unknown) => fail(run, method, error),
      );
    } catch (error) {
      fail(run, method, error);
    }
  }

  return {
    serve: (method, handler) => take(unary, method, handler),
    serveStream: (method, handler) => take(streams, method, handler),
    run(effect) {
      if (effect.type === 'perform') perform(effect);
      else if (effect.type === 'abort') running.get(effect.run)?.abort();
      else {
        const state = running.get(effect.run);
        if (state === undefined) return;
        state.hasRoom = true;
        state.proceed();
      }
    },
    abortAll() {
      for (const state of running.values()) state.abort();
      running.clear();
    },
  };
}
