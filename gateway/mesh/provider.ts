/** The gateway for members of the mesh: the same policy, devices as principals, answers that can be taken up again. */

import { LRUCache } from 'lru-cache';
import { MycelError } from 'mycel';
import type { LlmAsk, LlmClaim, LlmProvider, LlmReading, NodeId } from 'mycel';

import type { GatewayConfig, PrincipalConfig } from '../config/load.ts';
import type { Batch } from '../events.ts';
import { toLlmFailure } from '../failure.ts';
import type { LlmFailure } from '../failure.ts';
import { checkChat } from '../http/check-chat.ts';
import type { Ask } from '../policy/ask.ts';
import type { Answer, Engine } from '../policy/engine.ts';

/** Claims of other gateways that are remembered. */
export const claimsMax = 4096;

/** How long, in ms. */
const claimMs = 600_000;

/** How long an answer goes on when its reader is gone without a word, in ms: a radio may be back. */
const graceMs = 15_000;

/** What the provider needs of its node. */
export interface ProviderWorld {
  readonly config: GatewayConfig;
  readonly engine: Engine;
  nameOf(node: NodeId): string | undefined;
  /** Whether a gateway is held to be alive. */
  isAlive(gateway: NodeId): boolean;
}

/** What members call, and how often two gateways may have asked for the same. */
export interface MeshProvider extends LlmProvider {
  /** Requests that another gateway had begun when it died: they may be billed twice. */
  possibleDoubleBills(): number;
}

/** Builds it. */
export function createMeshProvider({
  config,
  engine,
  nameOf,
  isAlive,
}: ProviderWorld): MeshProvider {
  const claims = new LRUCache<string, { readonly state: LlmClaim['state']; readonly by: NodeId }>({
    max: claimsMax,
    ttl: claimMs,
  });
  let doubleBills = 0;

  function principalOf(caller: NodeId): PrincipalConfig {
    const name = nameOf(caller);
    const found = config.principals.find(
      ({ nodes }) => nodes.includes(caller) || (name !== undefined && nodes.includes(name)),
    );
    if (found !== undefined) return found;
    // A member needs no token: the mesh knows it. It is a principal of its own.
    return {
      name: `node:${caller}`,
      token: undefined,
      group: undefined,
      budget: {},
      rate: {},
      models: undefined,
      nodes: [],
    };
  }

  function read(ask: LlmAsk, caller: NodeId, ttlMs: number): Answer {
    if (ask.kind === 'chat') checkChat(ask.body);
    const request: Ask = {
      id: ask.id,
      isIdGiven: true,
      kind: ask.kind,
      body: ask.body,
      principal: principalOf(caller),
      agent: ask.agent ?? nameOf(caller),
      class: ask.class,
      ttlMs,
      isStream: ask.isStream,
      cacheMs: ask.cacheMs,
    };
    const claim = claims.get(ask.id);
    if (claim?.state === 'dispatched' && !engine.knows(ask.id)) {
      if (isAlive(claim.by)) throw busyElsewhere(claim.by);
      doubleBills += 1;
      claims.delete(ask.id);
    }
    return engine.ask(request, ask.from);
  }

  return {
    possibleDoubleBills: () => doubleBills,
    ask(ask, caller, ttlMs, signal): LlmReading {
      let answer: Answer;
      try {
        answer = read(ask, caller, ttlMs);
      } catch (error) {
        throw toMycelError(error);
      }
      return { run: answer.run, batches: numbered(answer, ask.from, signal) };
    },
    advert: () => ({
      models: engine.desks.flatMap((desk) =>
        desk.models().map(({ name, isEmbeddings, context }) => ({
          name,
          isEmbeddings,
          ...(context === undefined ? {} : { context }),
        })),
      ),
      inflight: engine.inflight(),
      targets: engine.desks.map((desk) => ({ ...desk.view() })),
    }),
    usage: () => engine.usage.lines().map((line) => ({ ...line })),
    claimed: ({ id, state }, by) => void claims.set(id, { state, by }),
  };
}

async function* numbered(
  answer: Answer,
  from: LlmAsk['from'],
  signal: AbortSignal,
): AsyncGenerator<{ readonly events: Batch; readonly next: number }> {
  let next = from?.run === answer.run ? from.next : 0;
  let isOver = false;
  const leave = (): void => answer.leave(isExplicit(signal) ? 0 : graceMs);
  signal.addEventListener('abort', leave, { once: true });
  try {
    for await (const events of answer.batches) {
      next += 1;
      yield { events, next };
    }
    isOver = true;
  } catch (error) {
    throw toMycelError(error);
  } finally {
    signal.removeEventListener('abort', leave);
    if (!isOver) leave();
  }
}

/** A caller that cancels is done with it; one that is lost may come back. */
function isExplicit(signal: AbortSignal): boolean {
  return (
    signal.aborted && !(MycelError.is(signal.reason) && signal.reason.code === 'MYCEL_UNREACHABLE')
  );
}

function busyElsewhere(gateway: NodeId): MycelError {
  return new MycelError('MYCEL_LLM_FAILED', {
    reason: `Gateway ${gateway} answers this request already.`,
    isPassing: true,
    answeredBy: gateway,
  });
}

/** A failure as it travels; whether another gateway may do better is said with it. */
function toMycelError(error: unknown): MycelError {
  if (MycelError.is(error)) return error;
  const failure: LlmFailure = toLlmFailure(error);
  const { kind, status, code, param, retryAfterMs } = failure;
  const isPassing =
    kind === 'overload' ||
    kind === 'network' ||
    kind === 'queue' ||
    kind === 'rate' ||
    kind === 'auth' ||
    kind === 'funds';
  return new MycelError('MYCEL_LLM_FAILED', {
    reason: failure.message,
    kind,
    status,
    llmCode: code,
    isPassing: isPassing && code !== 'budget',
    ...(param === undefined ? {} : { param }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}
