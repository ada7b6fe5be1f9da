/** Why a request failed, in one vocabulary: what the policy decides by, and what a client is told. */

/**
 * Classes by what they ask for: `invalid` a better request, `rate` and `overload` patience, `auth` and `funds` the
 * gateway's owner, `incomplete` another attempt, `budget` a bigger budget.
 */
export type FailureClass =
  | 'invalid'
  | 'unauthorized'
  | 'auth'
  | 'funds'
  | 'rate'
  | 'overload'
  | 'network'
  | 'timeout'
  | 'incomplete'
  | 'malformed'
  | 'refused'
  | 'budget'
  | 'queue'
  | 'deadline'
  | 'cancelled'
  | 'internal';

/** What else is known of a failure. */
export interface FailureFacts {
  /** Status for HTTP clients; each class has one of its own. */
  readonly status?: number;
  /** A stable word in the style of OpenAI's codes. */
  readonly code?: string;
  /** The field of the request that is wrong. */
  readonly param?: string;
  /** When another try makes sense, in ms. */
  readonly retryAfterMs?: number;
  /** Whether the upstream was asked and may have done (and billed) work. */
  readonly wasDispatched?: boolean;
  readonly cause?: unknown;
}

const statuses: Readonly<Record<FailureClass, number>> = {
  invalid: 400,
  unauthorized: 401,
  auth: 502,
  funds: 402,
  rate: 429,
  overload: 503,
  network: 503,
  timeout: 504,
  incomplete: 502,
  malformed: 502,
  refused: 502,
  budget: 402,
  queue: 429,
  deadline: 504,
  cancelled: 499,
  internal: 500,
};

const types: Readonly<Record<FailureClass, string>> = {
  invalid: 'invalid_request_error',
  unauthorized: 'authentication_error',
  auth: 'upstream_error',
  funds: 'upstream_error',
  rate: 'rate_limit_error',
  overload: 'upstream_error',
  network: 'upstream_error',
  timeout: 'upstream_error',
  incomplete: 'upstream_error',
  malformed: 'upstream_error',
  refused: 'upstream_error',
  budget: 'insufficient_quota',
  queue: 'rate_limit_error',
  deadline: 'timeout_error',
  cancelled: 'cancelled',
  internal: 'server_error',
};

const codes: Readonly<Record<FailureClass, string>> = {
  invalid: 'invalid_value',
  unauthorized: 'invalid_api_key',
  auth: 'upstream_auth',
  funds: 'upstream_funds',
  rate: 'rate_limit_exceeded',
  overload: 'upstream_overloaded',
  network: 'upstream_unreachable',
  timeout: 'upstream_timeout',
  incomplete: 'stream_incomplete',
  malformed: 'upstream_malformed',
  refused: 'upstream_refused',
  budget: 'insufficient_quota',
  queue: 'queue_full',
  deadline: 'deadline_exceeded',
  cancelled: 'cancelled',
  internal: 'internal_error',
};

/** A failed request. Its message never holds a key. */
export class LlmFailure extends Error {
  override readonly name = 'LlmFailure';
  readonly kind: FailureClass;
  readonly status: number;
  readonly code: string;
  readonly param: string | undefined;
  readonly retryAfterMs: number | undefined;
  readonly wasDispatched: boolean;

  constructor(kind: FailureClass, message: string, facts: FailureFacts = {}) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.kind = kind;
    this.status = facts.status ?? statuses[kind];
    this.code = facts.code ?? codes[kind];
    this.param = facts.param;
    this.retryAfterMs = facts.retryAfterMs;
    this.wasDispatched = facts.wasDispatched ?? false;
  }

  /** The word for the kind of error in OpenAI's error bodies. */
  get type(): string {
    return types[this.kind];
  }

  /** OpenAI's error body. */
  toBody(): { readonly error: Readonly<Record<string, unknown>> } {
    const { message, type, param, code } = this;
    return { error: { message, type, param: param ?? null, code } };
  }
}

/** A request that cannot be served as it is; the message says what to change. */
export function invalid(message: string, param?: string, code?: string): LlmFailure {
  return new LlmFailure('invalid', message, {
    ...(param === undefined ? {} : { param }),
    ...(code === undefined ? {} : { code }),
  });
}

/** Any thrown value as a failure. */
export function toLlmFailure(error: unknown): LlmFailure {
  if (error instanceof LlmFailure) return error;
  return new LlmFailure('internal', 'Something unexpected failed in the gateway.', {
    cause: error,
  });
}
