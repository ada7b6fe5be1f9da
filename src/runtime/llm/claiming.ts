/** Word between gateways about who answers a request, so that a repeat elsewhere is not paid for twice. */

import type { NodeId } from '../../kernel/ids.ts';
import { MycelError } from '../../kernel/errors.ts';
import type {
  LlmClaim,
  LlmEvent,
  LlmKnown,
  LlmLoan,
  LlmLoanWish,
} from '../../ports/language-model.ts';
import {
  decodeLlmFacts,
  decodeLlmFrame,
  encodeLlmAsk,
  encodeLlmFacts,
} from '../../wire/llm-codec.ts';
import type { WireAsk } from '../../wire/llm-codec.ts';
import type { PartWorld } from '../parts.ts';
import { askMethod, claimMethod, gatewayCapability, lendMethod } from './methods.ts';

/** How long the word is sent again, in ms. */
const claimMs = 2_000;

/** What another gateway answered. */
export interface LlmHeard {
  readonly gateway: NodeId;
  /** Undefined: it did not answer. */
  readonly known: LlmKnown | undefined;
}

/** How long another gateway may take to give a part of a budget, in ms: somebody waits for the answer to a question. */
const lendMs = 500;

/** How gateways speak to each other about requests and budgets. */
export interface Claimer {
  /** Tells every other living gateway, or the one given, and gives what each answered; waits 2 s at most. */
  claim(claim: LlmClaim, to?: NodeId): Promise<readonly LlmHeard[]>;
  /** The other living gateways. */
  gateways(): readonly NodeId[];
  /** Asks one for a part of a budget; undefined: it did not answer, or has no such budget. Waits half a second at most. */
  borrow(gateway: NodeId, wish: LlmLoanWish): Promise<LlmLoan | undefined>;
  /** Reads an answer that another gateway gives. @throws {MycelError} */
  follow(gateway: NodeId, ask: WireAsk, ttlMs: number, signal: AbortSignal): LlmFollowing;
}

/** The frames of an answer given elsewhere. */
export type LlmFollowing = AsyncIterable<{
  readonly run: string;
  readonly next: number;
  readonly events: readonly LlmEvent[];
}>;

/** Builds it for the gateway of one node. */
export function createClaimer({ node, calls, metrics }: PartWorld): Claimer {
  async function say(gateway: NodeId, claim: LlmClaim): Promise<LlmHeard> {
    try {
      const bytes = await calls.call(gateway, claimMethod, encodeLlmFacts(claim), {
        deadlineMs: claimMs,
      });
      return { gateway, known: decodeLlmFacts(bytes) as LlmKnown };
    } catch (error) {
      if (!MycelError.is(error)) throw error;
      metrics.count('llm.claimLost');
      return { gateway, known: undefined };
    }
  }

  function gateways(): readonly NodeId[] {
    return node
      .members()
      .filter(
        ({ isSelf, state, capabilities }) =>
          !isSelf &&
          (state === 'alive' || state === 'suspect') &&
          capabilities.includes(gatewayCapability),
      )
      .map(({ id }) => id);
  }

  return {
    gateways,
    claim: (claim, to) =>
      Promise.all(
        gateways()
          .filter((id) => to === undefined || id === to)
          .map((id) => say(id, claim)),
      ),
    async borrow(gateway, wish) {
      try {
        const bytes = await calls.call(gateway, lendMethod, encodeLlmFacts(wish), {
          deadlineMs: lendMs,
        });
        return (decodeLlmFacts(bytes) as LlmLoan | null) ?? undefined;
      } catch (error) {
        if (MycelError.is(error)) return undefined;
        throw error;
      }
    },
    async *follow(gateway, ask, ttlMs, signal) {
      const options = { deadlineMs: ttlMs, signal };
      for await (const bytes of calls.stream(gateway, askMethod, encodeLlmAsk(ask), options)) {
        yield decodeLlmFrame<LlmEvent>(bytes);
      }
    },
  };
}
