/** Services of a node at work: offered here and on every member, over calls and the pages of the directory. */

import * as z from 'zod/mini';
import { MycelError } from '../../kernel/errors.ts';
import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { CallContext } from '../../ports/calls.ts';
import { encodeCbor } from '../../wire/cbor.ts';
import { decodeRequest, encodeRequest } from '../../wire/request-body.ts';
import type { MemberInfo } from '../mesh-node.ts';
import type { NodePart, PartWorld } from '../parts.ts';
import { createServiceCaller } from './caller.ts';
import type { Ask, ServiceCaller, ServiceCallOptions, Target } from './caller.ts';
import { createDescriber } from './describing.ts';
import type { ActionDescription } from './describing.ts';
import { hostService } from './host.ts';
import type { Hosted, RawService, Request, ServiceStats } from './host.ts';
import { actionsMax, descriptionLengthMax, servicesMax } from './offer.ts';
import type { Offer } from './offer.ts';
import { createOfferBook } from './offer-book.ts';
import type { Pages } from './pages.ts';
import { createDeadlines } from './deadlines.ts';
import { isLater } from './later.ts';
import { asFailure, LocalRequest, watched, withDeadline } from './local-call.ts';
import { decodeAnswer, SentRequest } from './sent-request.ts';
import { jsonSchema } from './schema.ts';
import { version } from '../version.ts';

/** Time between two health checks of a service, in ms. */
const healthPeriodMs = 10_000;

/** How old the labels of members may be that a call is placed by, in ms: the list of all of them is dear to make. */
const membersAgeMs: Millis = 100;

/** A service of some node, for people. */
export interface ServiceInfo {
  readonly service: string;
  readonly version: string;
  readonly namespace: string;
  readonly node: NodeId;
  readonly labels: Readonly<Record<string, string>>;
  readonly isHealthy: boolean;
  readonly actions: readonly {
    readonly name: string;
    readonly hash: string;
    readonly isStream: boolean;
    readonly isIdempotent: boolean;
    /** Whether it changes anything. */
    readonly hasEffect: boolean;
  }[];
}

/** The services of one node. */
export interface Services extends NodePart, ServiceCaller {
  /** Offers one; returns the function that withdraws it. @throws {MycelError} MYCEL_BAD_OPTION */
  provide(service: RawService): () => void;
  list(): readonly ServiceInfo[];
  /** What an action takes and gives. @throws {MycelError} MYCEL_UNKNOWN_SERVICE, MYCEL_UNKNOWN_ACTION, MYCEL_BAD_OPTION */
  describe(name: string, options?: ServiceCallOptions): Promise<ActionDescription>;
  stats(): readonly ServiceStats[];
  /** Runs the health checks of what is offered here now instead of at their time; never rejects. */
  checkHealth(): Promise<void>;
}

const nameFormat = /^[A-Za-z$][A-Za-z0-9_$/-]{0,63}$/;

/** Builds them. */
export function createServices(world: PartWorld, pages: Pages): Services {
  const { calls, clock, log, mesh } = world;
  const hosted = new Map<string, Hosted>();
  const served = new Map<string, (() => void)[]>();
  let members: ReadonlyMap<NodeId, MemberInfo> = new Map();
  let membersAt: Millis = -Infinity;
  let cancelHealth = (): void => {};
  const now = (): number => clock.now();
  const time = { now, deadlines: createDeadlines(clock) };

  /** Targets are few objects, and their methods are asked for with each call. */
  const methods = new WeakMap<Target, string>();
  function methodOf(target: Target): string {
    let method = methods.get(target);
    if (method === undefined) {
      const { namespace, service, action } = target;
      method = `service/${namespace}/${service}.${action}`;
      methods.set(target, method);
    }
    return method;
  }

  function announce(): void {
    pages.write(
      'services',
      [...hosted.values()].map((one) => one.offer()),
    );
    book.changed();
  }

  /** `$SRV` is on every node and on no page. */
  const system = hostService(systemService(), now);

  const book = createOfferBook({
    self: mesh.self,
    pages,
    peers: () => mesh.peers(),
    own: () => [...hosted.values()].map((one) => one.offer()),
    everywhere: system.offer(),
  });
  mesh.onChange(() => book.changed());

  function member(node: NodeId) {
    if (now() - membersAt > membersAgeMs) {
      membersAt = now();
      members = new Map(world.node.members().map((one) => [one.id, one]));
    }
    const known = members.get(node);
    if (known === undefined) return undefined;
    return { labels: known.labels, capabilities: known.capabilities, rttMs: mesh.rttMs(node) };
  }

  function requestOf(body: Uint8Array, context: CallContext): Request {
    const sent = decodeRequest(body);
    if (sent === undefined) throw new MycelError('MYCEL_BAD_BYTES');
    return new SentRequest(sent, context);
  }

  function serve(one: Hosted): (() => void)[] {
    const { name: service, namespace, actions } = one.service;
    return Object.entries(actions).map(([action, { isStream }]) => {
      const method = methodOf({ namespace, service, action });
      if (!isStream) {
        return calls.serve(method, (body, context) => {
          const given = one.answer(action, requestOf(body, context));
          return isLater(given) ? Promise.resolve(given).then(encodeCbor) : encodeCbor(given);
        });
      }
      return calls.serveStream(method, async function* (body, context) {
        for await (const item of one.stream(action, requestOf(body, context))) {
          yield encodeCbor(item);
        }
      });
    });
  }

  function bodyOf(input: unknown, { context }: Ask): Uint8Array {
    const { trace, correlation, user, depth } = context;
    return encodeRequest({ i: input, t: trace, c: correlation, u: user, d: depth });
  }

  const find = ({ namespace, service }: Target): Hosted | undefined =>
    service === '$SRV' ? system : hosted.get(`${namespace}/${service}`);

  const caller = createServiceCaller({
    self: mesh.self,
    random: world.random(),
    now,
    offers: book.all,
    named: book.named,
    member,
    ask(to, target, input, how) {
      const local = to === mesh.self ? find(target) : undefined;
      if (local === undefined) {
        return calls.call(to, methodOf(target), bodyOf(input, how), how).then(decodeAnswer);
      }
      const request = new LocalRequest(mesh.self, input, how);
      if (how.signal?.aborted === true) throw how.signal.reason;
      try {
        const given = local.answer(target.action, request);
        if (!isLater(given)) return given;
        return withDeadline(Promise.resolve(given), how, (reason) => request.abort(reason), time);
      } catch (error) {
        throw asFailure(error);
      }
    },
    async *open(to, target, input, how) {
      const local = to === mesh.self ? find(target) : undefined;
      if (local !== undefined) {
        const request = new LocalRequest(mesh.self, input, how);
        const abort = (reason: unknown): void => request.abort(reason);
        yield* watched(local.stream(target.action, request), how, abort, time);
        return;
      }
      const items = calls.stream(to, methodOf(target), bodyOf(input, how), how);
      for await (const bytes of items) yield decodeAnswer(bytes);
    },
  });

  async function checkHealth(): Promise<void> {
    await Promise.all(
      [...hosted.values()].map(async (one) => {
        const { isHealthy, name } = one.service;
        if (isHealthy === undefined) return;
        const was = one.offer().ok;
        const is = await Promise.resolve()
          .then(isHealthy)
          .catch((error: unknown) => {
            log.warn({ error, service: name }, 'a health check failed');
            return false;
          });
        one.setHealthy(is);
        if (is !== was) announce();
      }),
    );
  }

  function checkHealthOften(): void {
    cancelHealth = clock.alarm(clock.now() + healthPeriodMs, () => {
      void checkHealth();
      checkHealthOften();
    });
  }

  function systemService(): RawService {
    const any = z.unknown();
    const answering = (run: () => unknown) => ({
      input: any,
      output: any,
      isStream: false,
      isIdempotent: true,
      hasEffect: false,
      run,
    });
    const every = (): Hosted[] => [...hosted.values()];
    return {
      name: '$SRV',
      version,
      namespace: 'default',
      labels: {},
      weight: 1,
      concurrency: undefined,
      ratePerSecond: undefined,
      isHealthy: undefined,
      actions: {
        ping: answering(() => ({
          node: mesh.self,
          services: every().map((one) => one.service.name),
        })),
        info: answering(() =>
          every().map((one) => ({
            ...infoOf(mesh.self, one.offer()),
            schemas: Object.fromEntries(
              Object.entries(one.service.actions).map(([name, action]) => [
                name,
                {
                  input: jsonSchema(action.input, 'input'),
                  output: jsonSchema(action.output, 'output'),
                  ...(action.description === undefined ? {} : { description: action.description }),
                },
              ]),
            ),
          })),
        ),
        stats: answering(() => every().map((one) => one.stats())),
      },
    };
  }

  return {
    ...caller,
    async start() {
      served.set('$SRV', serve(system));
      checkHealthOften();
    },
    async stop() {
      cancelHealth();
      time.deadlines.stop();
      for (const ends of served.values()) for (const end of ends) end();
      served.clear();
      hosted.clear();
    },
    provide(service) {
      checkService(service, hosted.size);
      const name = `${service.namespace}/${service.name}`;
      if (hosted.has(name)) {
        throw new MycelError('MYCEL_BAD_OPTION', {
          reason: `This node offers '${service.name}' already.`,
        });
      }
      const one = hostService(service, now);
      hosted.set(name, one);
      try {
        announce();
      } catch (error) {
        hosted.delete(name);
        throw error;
      }
      served.set(name, serve(one));
      return () => {
        if (hosted.get(name) !== one) return;
        hosted.delete(name);
        for (const end of served.get(name) ?? []) end();
        served.delete(name);
        announce();
      };
    },
    list: () =>
      book
        .all()
        .filter(({ offer }) => offer.n !== '$SRV')
        .map(({ node, offer }) => infoOf(node, offer)),
    describe: createDescriber(caller),
    stats: () => [...hosted.values()].map((one) => one.stats()),
    checkHealth,
  };
}

function infoOf(node: NodeId, offer: Offer): ServiceInfo {
  return {
    service: offer.n,
    version: offer.v,
    namespace: offer.ns,
    node,
    labels: offer.l,
    isHealthy: offer.ok,
    actions: Object.entries(offer.a).map(([name, { h, s, i, e }]) => ({
      name,
      hash: h,
      isStream: s,
      isIdempotent: i,
      hasEffect: e !== false,
    })),
  };
}

function checkService(service: RawService, count: number): void {
  const bad = (reason: string): MycelError =>
    new MycelError('MYCEL_BAD_OPTION', { reason, fix: 'Correct the definition of the service.' });
  for (const { description = '' } of Object.values(service.actions)) {
    if (description.length > descriptionLengthMax)
      throw bad(`The description of an action has ${descriptionLengthMax} characters at most.`);
  }
  for (const [what, name] of [
    ['service', service.name],
    ['namespace', service.namespace],
    ...Object.keys(service.actions).map((action) => ['action', action] as const),
  ] as const) {
    if (!nameFormat.test(name) || name === '$SRV') {
      throw bad(
        `'${name.slice(0, 64)}' cannot name a ${what}: letters, digits, _ - / and $, not in front a digit.`,
      );
    }
  }
  if (!/^\d+(\.\d+){0,2}$/.test(service.version))
    throw bad(`'${service.version}' is no version like 1.2.0.`);
  if (Object.keys(service.actions).length === 0) throw bad(`'${service.name}' has no action.`);
  if (Object.keys(service.actions).length > actionsMax)
    throw bad(`A service has ${actionsMax} actions at most.`);
  if (count >= servicesMax) throw bad(`A node offers ${servicesMax} services at most.`);
}
