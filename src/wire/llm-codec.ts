/** Requests to language models and their answers between members, as bytes. Bodies are JSON, as their formats are. */

import * as z from 'zod/mini';

import { MycelError } from '../kernel/errors.ts';
import { decodeCbor, encodeCbor } from './cbor.ts';

/** Largest request or frame, in bytes. */
export const llmBytesMax: number = 8 * 1024 * 1024;

const text = z.string().check(z.maxLength(256));
const place = z.object({ run: text, next: z.int().check(z.nonnegative()) });

const askSchema = z.object({
  id: z.string().check(z.minLength(1), z.maxLength(128)),
  kind: z.enum(['chat', 'embeddings']),
  body: z.string(),
  class: z.union([z.literal(0), z.literal(1), z.literal(2)]),
  isStream: z.boolean(),
  cacheMs: z.optional(z.number().check(z.nonnegative())),
  agent: z.optional(text),
  from: z.optional(place),
  isRepeat: z.optional(z.boolean()),
  onBehalfOf: z.optional(text),
});

/** A request as it travels. */
export interface WireAsk {
  readonly id: string;
  readonly kind: 'chat' | 'embeddings';
  readonly body: Readonly<Record<string, unknown>>;
  readonly class: 0 | 1 | 2;
  readonly isStream: boolean;
  readonly cacheMs: number | undefined;
  readonly agent: string | undefined;
  readonly from: { readonly run: string; readonly next: number } | undefined;
  readonly isRepeat: boolean;
  readonly onBehalfOf: string | undefined;
}

/** Encodes a request. */
export function encodeLlmAsk(ask: WireAsk): Uint8Array {
  const { id, kind, body, isStream, cacheMs, agent, from, isRepeat, onBehalfOf } = ask;
  return encodeCbor({
    id,
    kind,
    body: JSON.stringify(body),
    class: ask.class,
    isStream,
    cacheMs,
    agent,
    from,
    isRepeat,
    onBehalfOf,
  });
}

/** @throws {MycelError} MYCEL_BAD_BYTES */
export function decodeLlmAsk(bytes: Uint8Array): WireAsk {
  const read = askSchema.safeParse(decodeCbor(bytes, { bytesMax: llmBytesMax }));
  if (!read.success)
    throw new MycelError('MYCEL_BAD_BYTES', { reason: 'It is no request to a language model.' });
  const { body, cacheMs, agent, from, isRepeat = false, onBehalfOf, ...rest } = read.data;
  return { ...rest, body: parseObject(body), cacheMs, agent, from, isRepeat, onBehalfOf };
}

/** A frame of an answer: what came since the last one, and where that leads. */
export interface WireFrame<Event> {
  readonly run: string;
  readonly next: number;
  readonly events: readonly Event[];
}

/** Encodes a frame. */
export function encodeLlmFrame(frame: WireFrame<object>): Uint8Array {
  return encodeCbor(frame);
}

/** The events are as trustworthy as the gateway that sent them. @throws {MycelError} MYCEL_BAD_BYTES */
export function decodeLlmFrame<Event>(bytes: Uint8Array): WireFrame<Event> {
  const frame = decodeCbor(bytes, { bytesMax: llmBytesMax, depthMax: 32 });
  if (isFrame(frame)) return frame as WireFrame<Event>;
  throw new MycelError('MYCEL_BAD_BYTES', { reason: 'It is no answer of a language model.' });
}

/** By hand: a schema costs a small device more than all else about a frame. */
function isFrame(value: unknown): value is WireFrame<{ readonly type: string }> {
  if (!isObject(value) || !isText(value['run'])) return false;
  const { next, events } = value;
  if (!Number.isSafeInteger(next) || (next as number) < 0 || !Array.isArray(events)) return false;
  return events.every((event) => isObject(event) && isText(event['type']));
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isText(value: unknown): boolean {
  return typeof value === 'string' && value.length <= 256;
}

/** Plain data in both directions: adverts, usage, claims. */
export function encodeLlmFacts(facts: unknown): Uint8Array {
  return encodeCbor({ facts: JSON.stringify(facts) });
}

/** @throws {MycelError} MYCEL_BAD_BYTES */
export function decodeLlmFacts(bytes: Uint8Array): unknown {
  const read = z
    .object({ facts: z.string() })
    .safeParse(decodeCbor(bytes, { bytesMax: llmBytesMax }));
  if (!read.success) throw new MycelError('MYCEL_BAD_BYTES');
  return parse(read.data.facts);
}

function parseObject(json: string): Readonly<Record<string, unknown>> {
  const value = parse(json);
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Readonly<Record<string, unknown>>;
  }
  throw new MycelError('MYCEL_BAD_BYTES', { reason: 'A request is no object.' });
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json) as unknown;
  } catch (error) {
    throw new MycelError('MYCEL_BAD_BYTES', { reason: 'A body is not JSON.' }, { cause: error });
  }
}
