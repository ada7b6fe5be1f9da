/** When two requests are the same: the whole request counts, except what cannot change the answer. */

import { hash } from 'node:crypto';

import type { JsonObject } from '../events.ts';

/** A list of what to leave out, not of what to take: a field that nobody thought of must tell requests apart. */
const irrelevant = new Set([
  'stream',
  'stream_options',
  'user',
  'metadata',
  'store',
  'safety_identifier',
  'service_tier',
  'encoding_format',
]);

/** SHA-256 over canonical JSON (sorted keys) and the scope, in base64. */
export function requestKey(scope: string, kind: string, body: JsonObject): string {
  const relevant: Record<string, unknown> = {};
  for (const key of Object.keys(body)) {
    if (!irrelevant.has(key)) relevant[key] = body[key];
  }
  const text = JSON.stringify([scope, kind, sorted(relevant)]);
  return hash('sha256', text, 'base64');
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const result: Record<string, unknown> = {};
  for (const key of Object.keys(value).toSorted()) result[key] = sorted((value as JsonObject)[key]);
  return result;
}
