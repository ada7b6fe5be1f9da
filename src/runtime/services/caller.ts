/** The asking half of services: finds who offers it, chooses, protects, and asks again elsewhere where that is safe. */

import type { Millis } from '../../kernel/core.ts';
import { MycelError } from '../../kernel/errors.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Random } from '../../kernel/random.ts';
import { BoundedMap } from '../../kernel/bounded-map.ts';
import { balanceOrder } from '../../protocol/placement/balance.ts';
import type { Balance } from '../../protocol/placement/balance.ts';
import { createBreaker } from '../../protocol/placement/breaker.ts';
import type { Breaker } from '../../protocol/placement/breaker.ts';
import { parseSelector } from '../../protocol/placement/selector.ts';
import { currentContext, joinSignals, nextContext } from './context.ts';
import type { RequestContext } from './context.ts';
import { unknownAction } from './host.ts';
import { createTargetReader, unknownService } from './targets.ts';
import type { Target } from './targets.ts';
import { createTraces } from './traces.ts';
import { isLater } from './later.ts';
import { versionFits } from './offer.ts';
import type { OfferOf } from './offer.ts';

/** Breakers kept, one an instance of a service; the one used longest ago starts closed again. */
export const breakersMax = 1024;

/** Members whose calls are counted although none is open. */
const idleCountsMax = 64;

/** How long a call may take when nobody says, in ms. */
export const timeoutMsDefault: Millis = 5_000;

/** Further instances asked when the first one could not take the call. */
export const retriesDefault = 2;

/** How to call an action. */
export interface ServiceCallOptions {
  /** In all, in ms; a call inside a request never outlasts that request. @default 5000 */
  readonly timeoutMs?: Millis;
  readonly signal?: AbortSignal;
  /** Only instances that fit: `category:camera, location:lab/*`. Tried on the labels of the service and its node. */
  readonly select?: string;
  /** Only on this node. */
  readonly node?: NodeId;
  /** Only this version, or one that begins with it. */
  readonly version?: string;
  /** @default 'default' */
  readonly namespace?: string;
  /** @default 'local-first' */
  readonly balance?: Balance;
  /** What consistent-hash goes by. @default the call's key, else the trace */
  readonly hashKey?: string;
  /** Names the request: a repeat with the same key is carried out once by the same node. */
  readonly key?: string;
  /** Further instances to ask when one could not take it (or failed, if the action is idempotent). @default 2 */
  readonly retries?: number;
  /** Given instead of a failure. */
  readonly fallback?: (error: unknown) => unknown;
  readonly correlation?: string;
  /** Fields carried along through every call this one causes. */
  readonly user?: Readonly<Record<string, string>>;
}

/** What the asking half needs. */
export interface CallerWorld {
  readonly self: NodeId;
  readonly random: Random;
  now(): Millis;
  /** Every service of every member, this node's own included. */
  offers(): readonly OfferOf[];
  /** Those of one name. */
  named(namespace: string, service: string): readonly OfferOf[];
  /** What is known of a member: undefined when it is none. */
  member(node: NodeId):
    | {
        readonly labels: Readonly<Record<string, string>>;
        readonly capabilities: readonly string[];
        readonly rttMs: number | undefined;
      }
    | undefined;
  /** The answer, at once where it is; a failure may be thrown or come later. */
  ask(to: NodeId, target: Target, input: unknown, how: Ask): unknown;
  open(to: NodeId, target: Target, input: unknown, how: Ask): AsyncIterable<unknown>;
}

export type { Target };

/** One asking of one node. */
export interface Ask {
  readonly deadlineMs: Millis;
  readonly context: RequestContext;
  readonly key: string | undefined;
  readonly signal: AbortSignal | undefined;
}

/** What one of several instances answered. */
export type Gathered =
  | { readonly node: NodeId; readonly isOk: true; readonly value: unknown }
  | { readonly node: NodeId; readonly isOk: false; readonly error: MycelError };

/** The asking half. */
export interface ServiceCaller {
  /** Every instance that a call would be offered to. @throws as `call` does when there is none */
  find(name: string, options?: ServiceCallOptions): readonly OfferOf[];
  call(name: string, input: unknown, options?: ServiceCallOptions): Promise<unknown>;
  callAll(name: string, input: unknown, options?: ServiceCallOptions): Promise<readonly Gathered[]>;
  stream(name: string, input: unknown, options?: ServiceCallOptions): AsyncIterable<unknown>;
}

/** Failures that prove that the handler never began. */
const neverBegan = new Set([
  'MYCEL_UNREACHABLE',
  'MYCEL_SERVICE_BUSY',
  'MYCEL_CALL_BUSY',
  'MYCEL_UNKNOWN_METHOD',
]);

/** Failures that say nothing about the instance: the caller's own mistakes. */
const callersFault = new Set([
  'MYCEL_BAD_INPUT',
  'MYCEL_UNKNOWN_ACTION',
  'MYCEL_TOO_LARGE',
  'MYCEL_CALL_LOOP',
]);

const noOptions: ServiceCallOptions = {};

/** Builds it. */
export function createServiceCaller(world: CallerWorld): ServiceCaller {
  const breakers = new BoundedMap<string, Breaker>(breakersMax);
  /** The same by offer, which is one object while it stands. */
  const breakersOf = new WeakMap<OfferOf, Breaker>();
  const targetOf = createTargetReader();
  const drawTrace = createTraces(world.random);
  const openCounts = new Map<NodeId, number>();
  let turn = 0;
  function breakerOf(one: OfferOf, service: string): Breaker {
    const kept = breakersOf.get(one);
    if (kept !== undefined) return kept;
    const name = `${one.node} ${service}`;
    const breaker = breakers.get(name) ?? createBreaker();
    breakers.set(name, breaker);
    breakersOf.set(one, breaker);
    return breaker;
  }

  function find(target: Target, options: ServiceCallOptions): readonly OfferOf[] {
    const { namespace, service, action } = target;
    const selector = options.select === undefined ? undefined : parseSelector(options.select);
    if (selector !== undefined && 'problem' in selector) {
      throw new MycelError('MYCEL_BAD_OPTION', {
        reason: `The selector is not valid: ${selector.problem}.`,
        fix: 'Write terms like "category:camera, location:lab/*".',
      });
    }
    const named = world.named(namespace, service);
    const [only] = named;
    const isPlain =
      selector === undefined && options.node === undefined && options.version === undefined;
    // The usual case: one instance, and nothing to fit.
    if (
      only !== undefined &&
      named.length === 1 &&
      isPlain &&
      Object.hasOwn(only.offer.a, action)
    ) {
      if (world.member(only.node) !== undefined) return named;
    }
    if (named.length === 0) throw unknownService(service, namespace, world.offers());
    const having = named.filter(({ offer }) => Object.hasOwn(offer.a, action));
    if (having.length === 0) {
      const known = named.flatMap(({ offer }) => Object.keys(offer.a));
      throw unknownAction(service, action, [...new Set(known)]);
    }
    const fitting = having.filter(({ node, offer }) => {
      if (options.node !== undefined && node !== options.node) return false;
      if (!versionFits(offer.v, options.version)) return false;
      const member = world.member(node);
      if (member === undefined) return false;
      if (selector === undefined) return true;
      const labels = { ...member.labels, ...offer.l };
      return selector.matches({ labels, capabilities: member.capabilities });
    });
    if (fitting.length > 0) return fitting;
    const versions = [...new Set(having.map(({ offer }) => offer.v))].join(', ');
    throw new MycelError('MYCEL_UNKNOWN_SERVICE', {
      reason: `${having.length} instances of '${service}' (${versions}), none of which fits the node, version or selector asked for.`,
      fix: 'See "mycel services" for labels and versions.',
    });
  }

  function order(
    target: Target,
    found: readonly OfferOf[],
    options: ServiceCallOptions,
    key: string,
  ): readonly OfferOf[] {
    // Nobody to choose among.
    if (found.length === 1) return found;
    const healthy = found.filter(({ offer }) => offer.ok);
    const usable = healthy.length > 0 ? healthy : found;
    const now = world.now();
    const closed = usable.filter((one) => breakerOf(one, target.service).state(now) !== 'open');
    const instances = (closed.length > 0 ? closed : usable).map(({ node, offer }) => ({
      id: node,
      isLocal: node === world.self,
      rttMs: world.member(node)?.rttMs,
      load: openCounts.get(node) ?? 0,
      weight: offer.w,
    }));
    turn += 1;
    const ids = balanceOrder(
      options.balance ?? 'local-first',
      instances,
      turn - 1,
      key,
      world.random,
    );
    const byNode = new Map(found.map((one) => [one.node, one]));
    return ids.flatMap(({ id }) => byNode.get(id) ?? []);
  }

  function plan(name: string, options: ServiceCallOptions) {
    const target = targetOf(name, options.namespace);
    const ambient = currentContext();
    const context = nextContext(options, drawTrace);
    const now = world.now();
    const timeoutMs = Math.max(0, options.timeoutMs ?? timeoutMsDefault);
    const endsAt = Math.min(now + timeoutMs, ambient?.endsAt ?? Infinity);
    const signal = joinSignals(options.signal, ambient?.signal);
    return { target, context, now, endsAt, signal };
  }

  function released(node: NodeId): void {
    const left = (openCounts.get(node) ?? 1) - 1;
    // To remove what comes again with the next call costs more than the call.
    if (left > 0 || openCounts.size <= idleCountsMax) openCounts.set(node, left);
    else openCounts.delete(node);
  }

  function judge(breaker: Breaker, how: Ask, error: unknown): void {
    if (how.signal?.aborted === true) breaker.abandoned();
    else if (MycelError.is(error) && callersFault.has(error.code)) breaker.succeeded(world.now());
    else breaker.failed(world.now());
  }

  /** One asking, watched by the breaker of the instance; the answer, at once where it is. */
  function attempt(offer: OfferOf, target: Target, input: unknown, how: Ask, now: Millis): unknown {
    const { node } = offer;
    const breaker = breakerOf(offer, target.service);
    if (!breaker.admits(now)) {
      throw new MycelError('MYCEL_SERVICE_BUSY', {
        reason: `'${target.service}' on ${node.slice(0, 12)} failed too often and is left alone for a while.`,
      });
    }
    openCounts.set(node, (openCounts.get(node) ?? 0) + 1);
    let given: unknown;
    try {
      given = world.ask(node, target, input, how);
    } catch (error) {
      released(node);
      judge(breaker, how, error);
      throw error;
    }
    if (!isLater(given)) {
      released(node);
      breaker.succeeded(now);
      return given;
    }
    return given.then(
      (value) => {
        released(node);
        breaker.succeeded(world.now());
        return value;
      },
      (error: unknown) => {
        released(node);
        judge(breaker, how, error);
        throw error;
      },
    );
  }

  async function protectedCall(
    name: string,
    input: unknown,
    options: ServiceCallOptions,
  ): Promise<unknown> {
    const { target, context, now, endsAt, signal } = plan(name, options);
    const found = find(target, options);
    const candidates = order(
      target,
      found,
      options,
      options.hashKey ?? options.key ?? context.trace,
    );
    const { key } = options;
    const [only] = candidates;
    if (only !== undefined && candidates.length === 1) {
      const deadlineMs = endsAt - now;
      if (deadlineMs <= 0) throw new MycelError('MYCEL_DEADLINE');
      return attempt(only, target, input, { deadlineMs, context, key, signal }, now);
    }
    const tries = Math.min(candidates.length, 1 + Math.max(0, options.retries ?? retriesDefault));
    let last: unknown;
    for (const [at, candidate] of candidates.slice(0, tries).entries()) {
      const leftMs = endsAt - world.now();
      if (leftMs <= 0)
        throw last === undefined ? new MycelError('MYCEL_DEADLINE') : (last as Error);
      const isIdempotent = candidate.offer.a[target.action]?.i === true;
      // Where it may be repeated, one silent instance must not use up all the time there is.
      const deadlineMs = isIdempotent && at + 1 < tries ? leftMs / 2 : leftMs;
      try {
        return await attempt(
          candidate,
          target,
          input,
          { deadlineMs, context, key, signal },
          world.now(),
        );
      } catch (error) {
        last = error;
        if (signal?.aborted === true || !MycelError.is(error)) throw error;
        const mayRepeat =
          isIdempotent && error.code !== 'MYCEL_BAD_OUTPUT' && !callersFault.has(error.code);
        if (!neverBegan.has(error.code) && !mayRepeat) throw error;
      }
    }
    throw last as Error;
  }

  return {
    find: (name, options = noOptions) => find(targetOf(name, options.namespace), options),
    call(name, input, options = noOptions) {
      const { fallback } = options;
      const called = protectedCall(name, input, options);
      return fallback === undefined ? called : called.catch(fallback);
    },
    async callAll(name, input, options = {}) {
      const { target, context, endsAt, signal } = plan(name, options);
      const found = find(target, options);
      const deadlineMs = endsAt - world.now();
      return Promise.all(
        found.map(async (one): Promise<Gathered> => {
          const { node } = one;
          try {
            const how = { deadlineMs, context, key: options.key, signal };
            return { node, isOk: true, value: await attempt(one, target, input, how, world.now()) };
          } catch (error) {
            if (MycelError.is(error)) return { node, isOk: false, error };
            const reason = error instanceof Error ? error.message : String(error);
            return { node, isOk: false, error: new MycelError('MYCEL_HANDLER_FAILED', { reason }) };
          }
        }),
      );
    },
    async *stream(name, input, options = {}) {
      const { target, context, endsAt, signal } = plan(name, options);
      const [first] = order(
        target,
        find(target, options),
        options,
        options.hashKey ?? context.trace,
      );
      if (first === undefined) return;
      const deadlineMs = endsAt - world.now();
      yield* world.open(first.node, target, input, {
        deadlineMs,
        context,
        key: options.key,
        signal,
      });
    },
  };
}
