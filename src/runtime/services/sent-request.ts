/** A request of another node: read by hand, since every call pays for it, and made into what a host takes. */

import type { Millis } from '../../kernel/core.ts';
import { callBodyBytesMax } from '../../kernel/call.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { CallContext } from '../../ports/calls.ts';
import { decodeCbor } from '../../wire/cbor.ts';
import type { RequestContext } from './context.ts';
import type { Request } from './host.ts';

/** Longest trace and longest correlation, in characters. */
const traceLengthMax = 64;
const correlationLengthMax = 256;

/** What bodies of calls are read with. */
export const bodyLimits: { readonly bytesMax: number } = { bytesMax: callBodyBytesMax };

/** What travels: the input, and the context by one letter a field. */
export interface RequestBody {
  readonly i: unknown;
  readonly t: string;
  readonly c: string;
  readonly u: Readonly<Record<string, string>>;
  readonly d: number;
}

/** Reads one; undefined when it is none. */
export function readRequest(value: unknown): RequestBody | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { i, t, c, u, d } = value as Partial<Record<keyof RequestBody, unknown>>;
  if (typeof t !== 'string' || t.length > traceLengthMax) return undefined;
  if (typeof c !== 'string' || c.length > correlationLengthMax) return undefined;
  if (typeof d !== 'number' || !Number.isSafeInteger(d) || d < 0) return undefined;
  if (typeof u !== 'object' || u === null || Array.isArray(u)) return undefined;
  for (const name in u) {
    if (typeof (u as Record<string, unknown>)[name] !== 'string') return undefined;
  }
  return { i, t, c, u: u as Record<string, string>, d };
}

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
  readonly #call: CallContext;

  constructor({ i, t, c, u, d }: RequestBody, call: CallContext) {
    this.input = i;
    this.from = call.from;
    this.key = call.key;
    this.deadlineMs = call.deadlineMs;
    this.context = { trace: t, correlation: c, user: u, depth: d };
    this.#call = call;
  }

  signal(): AbortSignal {
    return this.#call.signal;
  }
}
