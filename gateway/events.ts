/** The one stream of events that every wire format is decoded to and encoded from. */

/** A JSON object as it came. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** What an answer used, in tokens. */
export interface Usage {
  readonly inputTokens: number;
  readonly outputTokens: number;
  /** Part of the input that the provider had cached. */
  readonly cachedTokens: number;
  /** Part of the output that nobody sees. */
  readonly reasoningTokens: number;
}

/** Fields of an OpenAI answer that have no event of their own; handed on as they came. */
export interface ExtraFields {
  readonly delta?: JsonObject;
  readonly choice?: JsonObject;
  readonly answer?: JsonObject;
}

/** A step of an answer. A complete answer has exactly one `finish` after its last `start` or `reset`. */
export type LlmEvent =
  /** An attempt at a target has begun to answer. */
  | { readonly type: 'start'; readonly target: string; readonly model: string }
  | { readonly type: 'text'; readonly text: string; readonly extra?: ExtraFields }
  | { readonly type: 'think'; readonly text: string }
  /** A piece of a tool call; `id` and `name` come with its first piece. */
  | {
      readonly type: 'tool';
      readonly index: number;
      readonly id?: string;
      readonly name?: string;
      readonly input?: string;
    }
  | { readonly type: 'finish'; readonly reason: string }
  | { readonly type: 'usage'; readonly usage: Usage }
  /** The vectors of an embeddings request, in the order of its inputs. */
  | { readonly type: 'vectors'; readonly vectors: readonly (readonly number[])[] }
  /** What came before is void: another target begins anew. */
  | { readonly type: 'reset'; readonly attempt: number };

/** Events that came at once. */
export type Batch = readonly LlmEvent[];

/** Whether a value is a JSON object. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The text of a field, or undefined. */
export function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

/** A count of a field: a finite number that is not negative, else 0. */
export function countOf(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) && value > 0 ? Math.round(value) : 0;
}

/** The fields of an object that are not among the known ones; undefined when there are none. */
export function strangers(value: JsonObject, known: ReadonlySet<string>): JsonObject | undefined {
  let found: Record<string, unknown> | undefined;
  for (const key of Object.keys(value)) {
    if (known.has(key) || value[key] === null) continue;
    found ??= {};
    found[key] = value[key];
  }
  return found;
}
