/** What an OpenAI-format server means by an error: its class, when to come back, and a message without secrets. */

import type { IncomingHttpHeaders } from 'node:http';

import { isObject, textOf } from '../events.ts';
import type { JsonObject } from '../events.ts';
import { LlmFailure } from '../failure.ts';
import type { FailureClass } from '../failure.ts';

/** Longest message of a target that is passed on, in characters. */
const messageLengthMax = 600;

/** Longest wait that a target may ask for, in ms: a day. */
const retryAfterMaxMs = 86_400_000;

const fundsCodes =
  /insufficient_quota|credit_balance|billing|spend_limit|payment_required|quota_exceeded_daily/i;

/** The failure that a status and a body stand for. The body may be HTML, empty or anything else. */
export function failureOfAnswer(
  status: number,
  headers: IncomingHttpHeaders,
  text: string,
  targetName: string,
): LlmFailure {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    body = undefined;
  }
  const failure = isObject(body)
    ? failureOfBody(body, status, targetName)
    : failureOf(status, {}, undefined, targetName);
  const wait = retryAfter(headers) ?? failure.retryAfterMs;
  return wait === undefined || failure.kind === 'funds' || failure.kind === 'invalid'
    ? failure
    : new LlmFailure(failure.kind, failure.message, {
        status: failure.status,
        code: failure.code,
        wasDispatched: failure.wasDispatched,
        retryAfterMs: wait,
      });
}

/** The failure in an error body, as an answer or in the middle of a stream. */
export function failureOfBody(body: JsonObject, status: number, targetName: string): LlmFailure {
  const inner = body['error'];
  const error = isObject(inner) ? inner : { message: textOf(inner) };
  const stated = error['code'] ?? error['status'];
  const own = typeof stated === 'number' && stated >= 400 && stated < 600 ? stated : status;
  return failureOf(own, error, retryInfo(error), targetName);
}

function failureOf(
  status: number,
  error: JsonObject,
  retryAfterMs: number | undefined,
  targetName: string,
): LlmFailure {
  const code = textOf(error['code']) ?? textOf(error['type']) ?? '';
  const message = textOf(error['message'])?.slice(0, messageLengthMax);
  const kind = classify(status, code, message ?? '');
  const says =
    message === undefined || message === '' ? `answered with status ${status}` : `says: ${message}`;
  const text =
    kind === 'auth'
      ? `Target '${targetName}' refused the gateway's key (status ${status}). Check its apiKeyEnv; "mycel gateway check" tests it.`
      : kind === 'funds'
        ? `The account of target '${targetName}' is out of funds or quota (status ${status}).`
        : `Target '${targetName}' ${says}`;
  const param = textOf(error['param']);
  return new LlmFailure(kind, text, {
    ...(kind === 'invalid'
      ? { status: invalidStatus(status), code: invalidCode(code, message ?? '') }
      : {}),
    ...(kind === 'invalid' && param !== undefined ? { param } : {}),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    wasDispatched: status >= 500,
  });
}

function classify(status: number, code: string, message: string): FailureClass {
  if (status === 402 || (status === 429 && fundsCodes.test(code))) return 'funds';
  if (status === 401 || status === 403) return 'auth';
  if (status === 429) return 'rate';
  if (status === 408 || status === 409 || status === 425) return 'overload';
  if (status >= 400 && status < 500) return 'invalid';
  if (/overloaded/i.test(code) || /overloaded/i.test(message)) return 'overload';
  return 'overload';
}

function invalidStatus(status: number): number {
  return status === 404 || status === 413 || status === 422 ? status : 400;
}

/** The one code that clients switch on is given whatever the server calls it. */
function invalidCode(code: string, message: string): string {
  const isContext =
    /context_length|context_window|exceed_context/i.test(code) ||
    /maximum context length|context (length|window|size)|too many tokens|prompt is too long/i.test(
      message,
    );
  if (isContext) return 'context_length_exceeded';
  return code === '' || /^\d+$/.test(code) ? 'invalid_value' : code;
}

/** `retry-after-ms`, or `retry-after` in seconds or as a date. */
function retryAfter(headers: IncomingHttpHeaders): number | undefined {
  const exact = Number(headers['retry-after-ms']);
  if (headers['retry-after-ms'] !== undefined && exact >= 0)
    return Math.min(exact, retryAfterMaxMs);
  const given = headers['retry-after'];
  if (given === undefined) return undefined;
  const seconds = Number(given);
  const waitMs = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(given) - Date.now();
  return Number.isFinite(waitMs) ? Math.min(Math.max(0, waitMs), retryAfterMaxMs) : undefined;
}

/** Google's RetryInfo: `details: [{ "@type": "…RetryInfo", "retryDelay": "34.4s" }]`. */
function retryInfo(error: JsonObject): number | undefined {
  if (!Array.isArray(error['details'])) return undefined;
  for (const detail of error['details'] as unknown[]) {
    const delay = isObject(detail)
      ? /^([\d.]+)s$/.exec(textOf(detail['retryDelay']) ?? '')?.[1]
      : undefined;
    if (delay !== undefined) return Math.min(Number(delay) * 1000, retryAfterMaxMs);
  }
  return undefined;
}
