/** The serving half of services: what this node offers, checked, limited and counted. */

import type { Millis } from '../../kernel/core.ts';
import { MycelError } from '../../kernel/errors.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { createRateLimit } from '../../protocol/placement/breaker.ts';
import type { RateLimit } from '../../protocol/placement/breaker.ts';
import { BoundedMap } from '../../kernel/bounded-map.ts';
import { concurrencyDefault, createBulkhead } from './bulkhead.ts';
import type { Bulkhead } from './bulkhead.ts';
import { withContext } from './context.ts';
import type { Ambient, RequestContext } from './context.ts';
import { nearest } from './offer.ts';
import type { Offer } from './offer.ts';
import { isLater } from './later.ts';
import { checkValue, schemaHash } from './schema.ts';
import type { Schema } from './schema.ts';

/** Callers whose rate is kept; the one heard longest ago starts afresh. */
export const ratedCallersMax = 256;

/** What a handler knows of a request. */
export interface ActionContext extends RequestContext {
  /** The node that asks; this one for a local call. */
  readonly from: NodeId;
  /** Names the request: a repeat of it has the same key. */
  readonly key: string;
  /** What is left of the caller's patience when the request came, in ms. */
  readonly deadlineMs: Millis;
  /** Aborts when the caller gave up or is gone. */
  readonly signal: AbortSignal;
}

/** One action, with its types forgotten. */
export interface RawAction {
  readonly input: Schema;
  readonly output: Schema;
  readonly isStream: boolean;
  readonly isIdempotent: boolean;
  readonly hasEffect: boolean;
  readonly description?: string;
  run(input: unknown, context: ActionContext): unknown;
}

/** One service, with its types forgotten. */
export interface RawService {
  readonly name: string;
  readonly version: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly weight: number;
  readonly concurrency: number | undefined;
  /** Requests a second of one caller; undefined: as many as it likes. */
  readonly ratePerSecond: number | undefined;
  readonly actions: Readonly<Record<string, RawAction>>;
  readonly isHealthy: (() => boolean | Promise<boolean>) | undefined;
}

/** One request as the host takes it. */
export interface Request {
  readonly input: unknown;
  readonly from: NodeId;
  readonly key: string;
  readonly deadlineMs: Millis;
  readonly context: RequestContext;
  /** Read when somebody asks: making one costs. */
  signal(): AbortSignal;
}

/** What a service has done. */
export interface ServiceStats {
  readonly service: string;
  readonly version: string;
  readonly calls: number;
  readonly errors: number;
  readonly load: number;
  /** Mean time of a request, in ms. */
  readonly meanMs: number;
}

/** A service this node offers. */
export interface Hosted {
  readonly service: RawService;
  readonly offer: () => Offer;
  stats(): ServiceStats;
  load(): number;
  setHealthy(isHealthy: boolean): void;
  /** Runs a request; a promise only when the handler gives one, or it has to wait for its turn. @throws {MycelError} MYCEL_UNKNOWN_ACTION, MYCEL_BAD_INPUT, MYCEL_BAD_OUTPUT, MYCEL_SERVICE_BUSY, or what the handler threw. */
  answer(action: string, request: Request): unknown;
  stream(action: string, request: Request): AsyncIterable<unknown>;
}

/** A request under way, as its handler and the calls inside it see it. A class, so that one costs no closures. */
class Entered implements ActionContext, Ambient {
  readonly trace: string;
  readonly correlation: string;
  readonly user: Readonly<Record<string, string>>;
  readonly depth: number;
  readonly from: NodeId;
  readonly key: string;
  readonly deadlineMs: Millis;
  readonly endsAt: Millis;
  private readonly request: Request;

  constructor(request: Request, endsAt: Millis) {
    const { trace, correlation, user, depth } = request.context;
    this.trace = trace;
    this.correlation = correlation;
    this.user = user;
    this.depth = depth;
    this.from = request.from;
    this.key = request.key;
    this.deadlineMs = request.deadlineMs;
    this.endsAt = endsAt;
    this.request = request;
  }

  /** Made when somebody asks: most handlers never do. */
  get signal(): AbortSignal {
    return this.request.signal();
  }
}

/** Wraps a service. */
export function hostService(service: RawService, now: () => Millis): Hosted {
  const bulkhead: Bulkhead = createBulkhead(
    service.name,
    service.concurrency ?? concurrencyDefault,
  );
  const hashes = new Map(
    Object.entries(service.actions).map(([name, one]) => [name, schemaHash(one.input, one.output)]),
  );
  const rates = new BoundedMap<NodeId, RateLimit>(ratedCallersMax);
  let isHealthy = true;
  const totals = { calls: 0, errors: 0, spentMs: 0 };

  function find(name: string, isStream: boolean): RawAction {
    const action = Object.hasOwn(service.actions, name) ? service.actions[name] : undefined;
    if (action !== undefined && action.isStream === isStream) return action;
    throw unknownAction(service.name, name, Object.keys(service.actions));
  }

  function admit(from: NodeId): void {
    if (service.ratePerSecond === undefined) return;
    let rate = rates.get(from);
    if (rate === undefined) {
      rate = createRateLimit(service.ratePerSecond);
      rates.set(from, rate);
    }
    if (rate.take(now())) return;
    throw new MycelError('MYCEL_SERVICE_BUSY', {
      reason: `'${service.name}' takes ${service.ratePerSecond} requests a second of one caller.`,
    });
  }

  function enter(action: RawAction, name: string, request: Request) {
    admit(request.from);
    const of = `${service.name}.${name}`;
    const input = checkValue(action.input, request.input, 'MYCEL_BAD_INPUT', of);
    const startedAt = now();
    return { input, of, startedAt, context: new Entered(request, startedAt + request.deadlineMs) };
  }

  function ended(startedAt: Millis): void {
    totals.spentMs += now() - startedAt;
    bulkhead.leave();
  }

  function runOnce(
    action: RawAction,
    given: unknown,
    of: string,
    context: Entered,
    startedAt: Millis,
  ): unknown {
    totals.calls += 1;
    try {
      const value = runWithin(context, action, given);
      if (!isLater(value)) {
        const checked = checkValue(action.output, value, 'MYCEL_BAD_OUTPUT', of);
        ended(startedAt);
        return checked;
      }
      return Promise.resolve(value)
        .then((one) => checkValue(action.output, one, 'MYCEL_BAD_OUTPUT', of))
        .then(
          (checked) => {
            ended(startedAt);
            return checked;
          },
          (error: unknown) => {
            totals.errors += 1;
            ended(startedAt);
            throw error;
          },
        );
    } catch (error) {
      totals.errors += 1;
      ended(startedAt);
      throw error;
    }
  }

  return {
    service,
    load: bulkhead.load,
    setHealthy: (is) => void (isHealthy = is),
    offer: () => ({
      n: service.name,
      v: service.version,
      ns: service.namespace,
      l: { ...service.labels },
      ok: isHealthy,
      w: service.weight,
      a: Object.fromEntries(
        Object.entries(service.actions).map(([name, one]) => [
          name,
          {
            h: hashes.get(name) ?? '-',
            s: one.isStream,
            i: one.isIdempotent,
            ...(one.hasEffect ? {} : { e: false }),
          },
        ]),
      ),
    }),
    stats: () => ({
      service: service.name,
      version: service.version,
      calls: totals.calls,
      errors: totals.errors,
      load: bulkhead.load(),
      meanMs: totals.calls === 0 ? 0 : totals.spentMs / totals.calls,
    }),
    answer(name, request) {
      const action = find(name, false);
      const { input, context, of, startedAt } = enter(action, name, request);
      const place = bulkhead.enter(request);
      if (place === undefined) return runOnce(action, input, of, context, startedAt);
      return place.then(() => runOnce(action, input, of, context, now()));
    },
    async *stream(name, request) {
      const action = find(name, true);
      const { input, context, of } = enter(action, name, request);
      const place = bulkhead.enter(request);
      if (place !== undefined) await place;
      const startedAt = now();
      totals.calls += 1;
      try {
        const items = runWithin(context, action, input);
        for await (const item of items as AsyncIterable<unknown>) {
          yield checkValue(action.output, item, 'MYCEL_BAD_OUTPUT', of);
        }
      } catch (error) {
        totals.errors += 1;
        throw error;
      } finally {
        totals.spentMs += now() - startedAt;
        bulkhead.leave();
      }
    },
  };
}

function runWithin(context: Entered, action: RawAction, input: unknown): unknown {
  return withContext(context, run, action, input, context);
}

function run(action: RawAction, input: unknown, context: Entered): unknown {
  return action.run(input, context);
}

/** The failure of a call to an action that is not there, with the nearest one. */
export function unknownAction(
  service: string,
  action: string,
  known: readonly string[],
): MycelError {
  const near = nearest(action, known);
  const others = known.slice(0, 8).join(', ');
  return new MycelError('MYCEL_UNKNOWN_ACTION', {
    reason: `'${service}' has no action '${action}'${near === undefined ? '' : `; did you mean '${near}'?`}`,
    ...(near === undefined ? {} : { nearest: near }),
    fix: others === '' ? 'See "mycel services".' : `It has: ${others}.`,
  });
}
