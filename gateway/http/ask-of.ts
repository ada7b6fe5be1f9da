/** From an HTTP request to an ask: the body in OpenAI's format, the wishes from headers. */

import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

import type { PrincipalConfig } from '../config/load.ts';
import type { JsonObject } from '../events.ts';
import { invalid } from '../failure.ts';
import type { Ask } from '../policy/ask.ts';

/** How long an HTTP client is taken to wait when it does not say, in ms; most give up after ten minutes. */
const ttlDefaultMs = 600_000;

/** Longest id of a request, in characters. */
const idLengthMax = 128;

const classes: Readonly<Record<string, 0 | 1 | 2>> = { interactive: 0, normal: 1, batch: 2 };

/** @throws {LlmFailure} invalid when a header is. */
export function askOf(
  request: IncomingMessage,
  principal: PrincipalConfig,
  kind: Ask['kind'],
  body: JsonObject,
): Ask {
  const { headers } = request;
  const urgency = headerOf(headers['x-mycel-class']) ?? 'normal';
  const queueClass = classes[urgency];
  if (queueClass === undefined) {
    throw invalid(
      `"x-mycel-class" must be one of ${Object.keys(classes).join(', ')}.`,
      'x-mycel-class',
    );
  }
  const id = headerOf(headers['idempotency-key'])?.slice(0, idLengthMax);
  return {
    id: id ?? randomUUID(),
    isIdGiven: id !== undefined,
    kind,
    body,
    principal,
    agent: headerOf(headers['x-mycel-agent'])?.slice(0, idLengthMax),
    class: queueClass,
    ttlMs: millisOf(headerOf(headers['x-mycel-ttl-ms']), 'x-mycel-ttl-ms') ?? ttlDefaultMs,
    isStream: body['stream'] === true,
    cacheMs: cacheMsOf(headers),
  };
}

/** `x-mycel-cache: 60` keeps for a minute, `off` neither looks nor keeps; `cache-control: no-store` is `off`. */
function cacheMsOf(headers: IncomingMessage['headers']): number | undefined {
  const wish = headerOf(headers['x-mycel-cache']);
  if (wish === 'off' || headers['cache-control'] === 'no-store') return 0;
  const seconds = millisOf(wish, 'x-mycel-cache');
  return seconds === undefined ? undefined : seconds * 1000;
}

function millisOf(text: string | undefined, header: string): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (value > 0 && value <= 86_400_000) return value;
  throw invalid(`"${header}" must be a number above 0.`, header);
}

function headerOf(value: string | string[] | undefined): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
