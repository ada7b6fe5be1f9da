/** A request of another node, made into what a host takes. */

import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { CallContext } from '../../ports/calls.ts';
import { decodeCbor } from '../../wire/cbor.ts';
import { bodyLimits } from '../../wire/request-body.ts';
import type { RequestBody } from '../../wire/request-body.ts';
import type { RequestContext } from './context.ts';
import type { Request } from './host.ts';

/** Reads an answer, or an item of a stream. @throws {MycelError} MYCEL_BAD_BYTES */
export function decodeAnswer(bytes: Uint8Array): unknown {
  return decodeCbor(bytes, bodyLimits);
}

/** The request as the host sees it. */
export class SentRequest implements Request {
  readonly input: unknown;
  readonly from: NodeId;
  readonly key: string;
  readonly deadlineMs: Millis;
  readonly context: RequestContext;
  private readonly call: CallContext;

  constructor({ i, t, c, u, d }: RequestBody, call: CallContext) {
    this.input = i;
    this.from = call.from;
    this.key = call.key;
    this.deadlineMs = call.deadlineMs;
    this.context = { trace: t, correlation: c, user: u, depth: d };
    this.call = call;
  }

  signal(): AbortSignal {
    return this.call.signal;
  }
}
