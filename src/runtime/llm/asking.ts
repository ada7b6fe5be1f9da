/** A member's side: finds the gateways, asks the one that owns the request, and goes on at another when it fails. */

import { MycelError } from '../../kernel/errors.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { LlmAdvert, LlmAsk, LlmEvent, LlmPlace } from '../../ports/language-model.ts';
import { rendezvous, textHash } from '../../protocol/flow/rendezvous.ts';
import {
  decodeLlmFacts,
  decodeLlmFrame,
  encodeLlmAsk,
  encodeLlmFacts,
} from '../../wire/llm-codec.ts';
import type { PartWorld } from '../parts.ts';
import { advertMethod, askMethod, gatewayCapability, usageMethod } from './methods.ts';

/** How long what a gateway told of itself counts, in ms. */
const advertMs = 5_000;

/** How long a gateway may take to tell, in ms. */
const advertWaitMs = 3_000;

/** How long the mesh is given to show a gateway when there is none yet, in ms. */
const searchMs = 10_000;

/** The same for a request that a gateway had when it was lost, in ms: a small computer starts again within it. */
const lostSearchMs = 60_000;

/** Between two looks, in ms. */
const searchEveryMs = 200;

/** Longest wait for gateways that all ask for patience, in ms. */
const patienceMs = 10_000;

/** Gateways that are known at once. */
const gatewaysMax = 64;

/** What a gateway told, and when. */
interface Known {
  readonly at: number;
  readonly advert: LlmAdvert;
}

/** A request before it is sent to a gateway. */
type AskedFor = Omit<LlmAsk, 'from' | 'isRepeat'>;

/** Asks on behalf of one node. */
export interface Asker {
  /**
   * The steps of an answer. After a change of the gateway a `reset` says that what came before is void.
   * @throws {MycelError} MYCEL_LLM_FAILED, MYCEL_DEADLINE
   */
  ask(ask: AskedFor, ttlMs: number, signal: AbortSignal | undefined): AsyncGenerator<LlmEvent>;
  /** What every gateway told. */
  adverts(): Promise<
    readonly { readonly gateway: NodeId; readonly name: string; readonly advert: LlmAdvert }[]
  >;
  usage(): Promise<
    readonly { readonly gateway: NodeId; readonly name: string; readonly usage: unknown }[]
  >;
}

/** Builds it. */
export function createAsker({ node, calls, clock, metrics }: PartWorld): Asker {
  const known = new Map<NodeId, Known>();

  function gateways(): readonly { readonly id: NodeId; readonly name: string }[] {
    return node
      .members()
      .filter(
        ({ state, capabilities }) =>
          (state === 'alive' || state === 'suspect') && capabilities.includes(gatewayCapability),
      )
      .slice(0, gatewaysMax);
  }

  async function advertOf(gateway: NodeId, deadlineMs: number): Promise<LlmAdvert | undefined> {
    const fresh = known.get(gateway);
    if (fresh !== undefined && clock.now() - fresh.at < advertMs) return fresh.advert;
    try {
      const bytes = await calls.call(gateway, advertMethod, encodeLlmFacts(null), {
        deadlineMs: Math.min(advertWaitMs, deadlineMs),
      });
      const advert = decodeLlmFacts(bytes) as LlmAdvert;
      if (known.size >= gatewaysMax) known.clear();
      known.set(gateway, { at: clock.now(), advert });
      return advert;
    } catch (error) {
      if (!MycelError.is(error)) throw error;
      known.delete(gateway);
      return undefined;
    }
  }

  /** Gateways that have the model, in the order in which this request is offered to them. */
  async function offer(
    ask: AskedFor,
    leftMs: number,
  ): Promise<{ readonly order: readonly NodeId[]; readonly models: readonly string[] }> {
    const told = await Promise.all(
      gateways().map(async ({ id }) => ({ id, advert: await advertOf(id, leftMs) })),
    );
    const model = ask.body['model'];
    const answering = told.flatMap(({ id, advert }) =>
      advert === undefined ? [] : [{ id, advert }],
    );
    const able = answering.filter(({ advert }) =>
      advert.models.some(({ name }) => name === model || String(model).endsWith(`/${name}`)),
    );
    // The same request goes to the same gateway, whoever asks: it may be under way or kept there.
    const key = String(textHash(JSON.stringify([ask.kind, ask.body])));
    const order = rendezvous(
      key,
      able.map(({ id, advert }) => ({ id, load: advert.inflight })),
    );
    return {
      order: order as readonly NodeId[],
      models: answering.flatMap(({ advert }) => advert.models.map(({ name }) => name)),
    };
  }

  async function* ask(
    request: AskedFor,
    ttlMs: number,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<LlmEvent> {
    const until = clock.now() + ttlMs;
    let searchUntil = Math.min(until, clock.now() + searchMs);
    let place: LlmPlace | undefined;
    let hasTold = false;
    let last: NodeId | undefined;
    let lastError: MycelError | undefined;
    /** Some gateway got it and did not say what became of it. */
    let isRepeat = false;
    /** The one that is said to answer it. */
    let answering: NodeId | undefined;
    /** Gateways that answered and could not help. */
    const helpless = new Set<NodeId>();
    for (let attempt = 1; ; attempt += 1) {
      signal?.throwIfAborted();
      const leftMs = until - clock.now();
      if (leftMs <= 0) throw lastError ?? new MycelError('MYCEL_DEADLINE');
      const { order, models } = await offer(request, leftMs);
      // The one that failed comes last: it may be the only one.
      const gateway =
        order.find((id) => id === answering && id !== last) ??
        order.find((id) => id !== last && !helpless.has(id)) ??
        order.find((id) => !helpless.has(id)) ??
        order[0];
      if (gateway === undefined) {
        if (models.length > 0 && lastError === undefined)
          throw unknownModel(request.body['model'], models);
        if (clock.now() >= searchUntil) throw lastError ?? noGateway();
        await pause(searchEveryMs, signal);
        continue;
      }
      searchUntil = Math.min(until, clock.now() + lostSearchMs);
      try {
        const asked = encodeLlmAsk({ ...request, from: place, isRepeat });
        const stream = calls.stream(gateway, askMethod, asked, {
          deadlineMs: leftMs,
          ...(signal === undefined ? {} : { signal }),
        });
        for await (const bytes of stream) {
          const frame = decodeLlmFrame<LlmEvent>(bytes);
          if (place !== undefined && place.run !== frame.run && hasTold) {
            metrics.count('llm.reset');
            yield { type: 'reset', attempt };
          }
          place = { run: frame.run, next: frame.next };
          hasTold = true;
          yield* frame.events;
          if (frame.events.some(({ type }) => type === 'finish')) return;
        }
        isRepeat = true;
        lastError = new MycelError('MYCEL_LLM_FAILED', {
          reason: 'The answer ended without saying that it is finished.',
        });
      } catch (error) {
        if (!MycelError.is(error) || !isPassing(error)) throw error;
        lastError = error;
        if (error.code === 'MYCEL_LLM_FAILED') helpless.add(gateway);
        else isRepeat = true;
        answering = error.details['answeredBy'] as NodeId | undefined;
        if (order.every((id) => helpless.has(id))) {
          const waitMs = patienceOf(error);
          if (clock.now() + waitMs >= until) throw error;
          helpless.clear();
          await pause(waitMs, signal);
        }
      }
      known.delete(gateway);
      last = gateway;
      metrics.count('llm.again');
      if (attempt > 1) await pause(searchEveryMs, signal);
    }
  }

  async function everywhere<Fact>(
    look: (gateway: NodeId) => Promise<Fact | undefined>,
  ): Promise<{ gateway: NodeId; name: string; fact: Fact }[]> {
    const told = await Promise.all(
      gateways().map(async ({ id, name }) => ({ gateway: id, name, fact: await look(id) })),
    );
    return told.flatMap(({ gateway, name, fact }) =>
      fact === undefined ? [] : [{ gateway, name, fact }],
    );
  }

  return {
    ask,
    async adverts() {
      known.clear();
      const told = await everywhere((gateway) => advertOf(gateway, advertWaitMs));
      return told.map(({ gateway, name, fact }) => ({ gateway, name, advert: fact }));
    },
    async usage() {
      const told = await everywhere(async (gateway) => {
        try {
          return decodeLlmFacts(
            await calls.call(gateway, usageMethod, encodeLlmFacts(null), {
              deadlineMs: advertWaitMs,
            }),
          );
        } catch (error) {
          if (MycelError.is(error)) return undefined;
          throw error;
        }
      });
      return told.map(({ gateway, name, fact }) => ({ gateway, name, usage: fact }));
    },
  };

  function pause(ms: number, stopped: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const cancel = clock.alarm(clock.now() + ms, () => {
        stopped?.removeEventListener('abort', onAbort);
        resolve();
      });
      const onAbort = (): void => {
        cancel();
        reject(stopped?.reason as Error);
      };
      stopped?.addEventListener('abort', onAbort, { once: true });
    });
  }
}

/** How long the gateways ask to wait, in ms; Infinity: no waiting helps. */
function patienceOf(error: MycelError): number {
  const waitMs = Number(error.details['retryAfterMs'] ?? Infinity);
  return waitMs <= patienceMs ? waitMs : Infinity;
}

/** Whether another gateway, or the same one later, may do better. */
function isPassing(error: MycelError): boolean {
  switch (error.code) {
    case 'MYCEL_UNREACHABLE':
    case 'MYCEL_CALL_LOST':
    case 'MYCEL_CALL_BUSY':
    case 'MYCEL_UNKNOWN_METHOD':
    case 'MYCEL_NOT_RUNNING':
      return true;
    case 'MYCEL_LLM_FAILED':
      return error.details['isPassing'] === true;
    default:
      return false;
  }
}

function noGateway(): MycelError {
  return new MycelError('MYCEL_LLM_FAILED', {
    reason: 'No gateway is in the mesh.',
    fix: 'Run "mycel gateway up" on a node of this mesh; "mycel members" shows who is there.',
  });
}

function unknownModel(model: unknown, models: readonly string[]): MycelError {
  return new MycelError('MYCEL_LLM_FAILED', {
    reason: `No gateway has the model '${String(model).slice(0, 100)}'.`,
    fix: `Ask for one of ${[...new Set(models)].slice(0, 12).join(', ')}.`,
  });
}
