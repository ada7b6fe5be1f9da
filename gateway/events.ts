/** The one stream of events that every wire format is decoded to and encoded from. */

import type { LlmEvent, LlmExtraFields, LlmUsage } from 'mycel';

export type { LlmEvent };

/** A JSON object as it came. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** What an answer used, in tokens. */
export type Usage = LlmUsage;

/** Fields of an OpenAI answer that have no event of their own. */
export type ExtraFields = LlmExtraFields;

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
