/** Requests and replies between members of a mesh: one answer, or a stream of them. */

import type { Millis } from '../kernel/core.ts';
import type { NodeId } from '../kernel/ids.ts';

/** How to call. */
export interface CallOptions {
  /** How long the caller waits in all, in ms. It travels as what is left of it: clocks differ. */
  readonly deadlineMs: Millis;
  /** The same key is the same request: a repeat joins the running call or gets the kept reply. @default drawn per call */
  readonly key?: string | undefined;
  /** Cancels the call here and at the other end. */
  readonly signal?: AbortSignal | undefined;
}

/** What a handler knows of a request. */
export interface CallContext {
  readonly from: NodeId;
  readonly key: string;
  /** What was left of the caller's patience when the request came, in ms. */
  readonly deadlineMs: Millis;
  /** Aborts when the caller cancels, is gone, or its deadline has passed. */
  readonly signal: AbortSignal;
}

/** One node's calls. */
export interface Calls {
  /** Answers a method, at once or later; returns the function that stops it. A MycelError that it throws reaches the caller as it is. @throws {RangeError} when the method is served already */
  serve(
    method: string,
    handler: (body: Uint8Array, context: CallContext) => Uint8Array | Promise<Uint8Array>,
  ): () => void;
  /** Answers a method with a stream; the caller's credit holds the handler back. */
  serveStream(
    method: string,
    handler: (body: Uint8Array, context: CallContext) => AsyncIterable<Uint8Array>,
  ): () => void;
  /**
   * Asks a member, or this node itself, and waits for the one answer. Sent again while the deadline lasts; carried out once.
   * @throws {MycelError} MYCEL_DEADLINE, MYCEL_UNREACHABLE, MYCEL_UNKNOWN_METHOD, MYCEL_TOO_LARGE, or what the handler threw.
   */
  call(to: NodeId, method: string, body: Uint8Array, options: CallOptions): Promise<Uint8Array>;
  /** Asks for a stream. Breaking out of the loop cancels it at the other end. Throws as `call` does, also in the middle. */
  stream(
    to: NodeId,
    method: string,
    body: Uint8Array,
    options: CallOptions,
  ): AsyncIterable<Uint8Array>;
}
