/** The gateway for members of the mesh: the same policy, devices as principals, answers that can be taken up again. */

import { MycelError } from 'mycel';
import type { LlmAsk, LlmProvider, NodeId } from 'mycel';

import { plainPrincipal } from '../config/load.ts';
import type { GatewayConfig, PrincipalConfig } from '../config/load.ts';
import type { Batch } from '../events.ts';
import { LlmFailure, toLlmFailure } from '../failure.ts';
import { checkChat } from '../http/check-chat.ts';
import { idOf } from '../policy/ask.ts';
import type { Ask } from '../policy/ask.ts';
import type { Answer, Engine } from '../policy/engine.ts';
import type { Escrow } from './escrow.ts';
import { AnsweredElsewhere } from './word.ts';
import type { Word } from './word.ts';

/** How long an answer goes on when its reader is gone without a word, in ms: a radio may be back. */
const graceMs = 15_000;

/** What the provider needs of its node. */
export interface ProviderWorld {
  readonly config: GatewayConfig;
  readonly engine: Engine;
  readonly word: Word;
  readonly escrow: Escrow;
  /** What the owner should know of; undefined: nothing. */
  trouble(): string | undefined;
  nameOf(node: NodeId): string | undefined;
  /** Whether a member is a gateway that may ask for others. */
  isGateway(node: NodeId): boolean;
}

/** A member needs no token: the mesh knows it. It is a principal of its own. */
const memberPrefix = 'node:';

/** The principal of a member by its name; undefined when it is no member's. */
export function memberNamed(name: string): PrincipalConfig | undefined {
  return name.startsWith(memberPrefix) ? plainPrincipal(name) : undefined;
}

/** Builds it. */
export function createMeshProvider({
  config,
  engine,
  word,
  escrow,
  trouble,
  nameOf,
  isGateway,
}: ProviderWorld): LlmProvider {
  function principalOf(caller: NodeId): PrincipalConfig {
    const name = nameOf(caller);
    const found = config.principals.find(
      ({ nodes }) => nodes.includes(caller) || (name !== undefined && nodes.includes(name)),
    );
    return found ?? plainPrincipal(`${memberPrefix}${caller}`);
  }

  function requestOf(ask: LlmAsk, caller: NodeId, ttlMs: number): Ask {
    if (ask.kind === 'chat') checkChat(ask.body);
    const principal = principalOf(caller);
    return {
      id: ask.id,
      isIdGiven: true,
      kind: ask.kind,
      body: ask.body,
      principal: ask.onBehalfOf === undefined ? principal : { ...principal, name: ask.onBehalfOf },
      agent: ask.agent ?? nameOf(caller),
      class: ask.class,
      ttlMs,
      isStream: ask.isStream,
      cacheMs: ask.cacheMs,
    };
  }

  async function read(ask: LlmAsk, caller: NodeId, ttlMs: number): Promise<Answer> {
    const request = requestOf(ask, caller, ttlMs);
    // Whoever knows the id and the whole request may hear the answer; nobody spends another one's money.
    if (ask.onBehalfOf !== undefined) {
      const answer = isGateway(caller) ? engine.attach(request, ask.from) : undefined;
      if (answer !== undefined) return answer;
      throw new LlmFailure('overload', 'Nothing is known of this request here.', {
        code: 'unknown_request',
      });
    }
    const id = idOf(request);
    if (engine.known(id) === 'nothing') {
      const gateway = await word.whoAnswers(id, ask.isRepeat);
      if (gateway !== undefined) throw new AnsweredElsewhere(gateway);
    }
    return engine.ask(request, ask.from);
  }

  return {
    async ask(ask, caller, ttlMs, signal) {
      let answer: Answer;
      try {
        answer = await read(ask, caller, ttlMs);
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
      possibleDoubleBills: word.possibleDoubleBills(),
      ...withTrouble(trouble()),
    }),
    usage: () => engine.usage.lines().map((line) => ({ ...line })),
    claimed: (claim, by) => word.heard(claim, by),
    lend: async (wish, to) => (isGateway(to) ? escrow.lend(wish, to) : undefined),
  };
}

function withTrouble(trouble: string | undefined): { readonly trouble?: string } {
  return trouble === undefined ? {} : { trouble };
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
    ...(failure instanceof AnsweredElsewhere ? { answeredBy: failure.gateway } : {}),
    ...(param === undefined ? {} : { param }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}
