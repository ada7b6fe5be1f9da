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
import { nearest, versionFits } from './offer.ts';
import type { OfferOf } from './offer.ts';

/** Breakers kept, one an instance of a service; the one used longest ago starts closed again. */
export const breakersMax = 1024;

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
  /** Whether a failure says that the call was certainly not carried out. */
  ask(to: NodeId, target: Target, input: unknown, how: Ask): Promise<unknown>;
  open(to: NodeId, target: Target, input: unknown, how: Ask): AsyncIterable<unknown>;
}

/** Which action is meant. */
export interface Target {
  readonly namespace: string;
  readonly service: string;
  readonly action: string;
}

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

/** Builds it. */
export function createServiceCaller(world: CallerWorld): ServiceCaller {
  const breakers = new BoundedMap<string, Breaker>(breakersMax);
  const openCounts = new Map<NodeId, number>();
  let turn = 0;

  function breakerOf(node: NodeId, service: string): Breaker {
    const name = `${node} ${service}`;
    const known = breakers.get(name);
    if (known !== undefined && breakers.size < breakersMax / 2) return known;
    const breaker = known ?? createBreaker();
    breakers.set(name, breaker);
    return breaker;
  }

  function find(target: Target, options: ServiceCallOptions): OfferOf[] {
    const { namespace, service, action } = target;
    const selector = options.select === undefined ? undefined : parseSelector(options.select);
    if (selector !== undefined && 'problem' in selector) {
      throw new MycelError('MYCEL_BAD_OPTION', {
        reason: `The selector is not valid: ${selector.problem}.`,
        fix: 'Write terms like "category:camera, location:lab/*".',
      });
    }
    const named = world.named(namespace, service);
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
  ): OfferOf[] {
    // Nobody to choose among.
    if (found.length === 1) return [...found];
    const healthy = found.filter(({ offer }) => offer.ok);
    const usable = healthy.length > 0 ? healthy : found;
    const now = world.now();
    const closed = usable.filter(
      ({ node }) => breakerOf(node, target.service).state(now) !== 'open',
    );
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
    const target = parseTarget(name, options.namespace);
    const ambient = currentContext();
    const context = nextContext(options, () => drawTrace(world.random));
    const now = world.now();
    const timeoutMs = Math.max(0, options.timeoutMs ?? timeoutMsDefault);
    const endsAt = Math.min(now + timeoutMs, ambient?.endsAt ?? Infinity);
    const signal = joinSignals(options.signal, ambient?.signal);
    return { target, context, endsAt, signal };
  }

  /** One asking, watched by the breaker of the instance. */
  async function attempt(
    offer: OfferOf,
    target: Target,
    input: unknown,
    how: Ask,
  ): Promise<unknown> {
    const { node } = offer;
    const breaker = breakerOf(node, target.service);
    if (!breaker.admits(world.now())) {
      throw new MycelError('MYCEL_SERVICE_BUSY', {
        reason: `'${target.service}' on ${node.slice(0, 12)} failed too often and is left alone for a while.`,
      });
    }
    openCounts.set(node, (openCounts.get(node) ?? 0) + 1);
    try {
      const value = await world.ask(node, target, input, how);
      breaker.succeeded(world.now());
      return value;
    } catch (error) {
      if (how.signal?.aborted === true) breaker.abandoned();
      else if (MycelError.is(error) && callersFault.has(error.code)) breaker.succeeded(world.now());
      else breaker.failed(world.now());
      throw error;
    } finally {
      const left = (openCounts.get(node) ?? 1) - 1;
      if (left > 0) openCounts.set(node, left);
      else openCounts.delete(node);
    }
  }

  async function protectedCall(
    name: string,
    input: unknown,
    options: ServiceCallOptions,
  ): Promise<unknown> {
    const { target, context, endsAt, signal } = plan(name, options);
    const found = find(target, options);
    const candidates = order(
      target,
      found,
      options,
      options.hashKey ?? options.key ?? context.trace,
    );
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
        return await attempt(candidate, target, input, {
          deadlineMs,
          context,
          key: options.key,
          signal,
        });
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
    find: (name, options = {}) => find(parseTarget(name, options.namespace), options),
    async call(name, input, options = {}) {
      if (options.fallback === undefined) return protectedCall(name, input, options);
      try {
        return await protectedCall(name, input, options);
      } catch (error) {
        return options.fallback(error);
      }
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
            return { node, isOk: true, value: await attempt(one, target, input, how) };
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

/** Reads `service.action`. @throws {MycelError} MYCEL_BAD_OPTION */
export function parseTarget(name: string, namespace: string = 'default'): Target {
  const dot = name.lastIndexOf('.');
  if (dot <= 0 || dot === name.length - 1) {
    throw new MycelError('MYCEL_BAD_OPTION', {
      reason: `'${name.slice(0, 64)}' names no action.`,
      fix: 'Write SERVICE.ACTION, as in "camera.read".',
    });
  }
  return { namespace, service: name.slice(0, dot), action: name.slice(dot + 1) };
}

function unknownService(service: string, namespace: string, all: readonly OfferOf[]): MycelError {
  const known = new Set(
    all.filter(({ offer }) => offer.ns === namespace).map(({ offer }) => offer.n),
  );
  const near = nearest(service, known);
  const others = [...known].slice(0, 8).join(', ');
  return new MycelError('MYCEL_UNKNOWN_SERVICE', {
    reason: `Nobody offers '${service}'${near === undefined ? '' : `; did you mean '${near}'?`}`,
    ...(near === undefined ? {} : { nearest: near }),
    fix: others === '' ? 'No service is offered now: "mycel services".' : `There are: ${others}.`,
  });
}

function drawTrace(random: Random): string {
  const half = (): string => random.below(0x1_0000_0000).toString(16).padStart(8, '0');
  return half() + half();
}
