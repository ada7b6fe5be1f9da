/** Word between gateways about who answers a request, so that a repeat elsewhere is not paid for twice. */

import type { NodeId } from '../../kernel/ids.ts';
import { MycelError } from '../../kernel/errors.ts';
import type { LlmClaim, LlmEvent, LlmKnown } from '../../ports/language-model.ts';
import {
  decodeLlmFacts,
  decodeLlmFrame,
  encodeLlmAsk,
  encodeLlmFacts,
} from '../../wire/llm-codec.ts';
import type { WireAsk } from '../../wire/llm-codec.ts';
import type { PartWorld } from '../parts.ts';
import { askMethod, claimMethod, gatewayCapability } from './methods.ts';

/** How long the word is sent again, in ms. */
const claimMs = 2_000;

/** What another gateway answered. */
export interface LlmHeard {
  readonly gateway: NodeId;
  /** Undefined: it did not answer. */
  readonly known: LlmKnown | undefined;
}

/** How gateways speak to each other about requests. */
export interface Claimer {
  /** Tells every other living gateway, or the one given, and gives what each answered; waits 2 s at most. */
  claim(claim: LlmClaim, to?: NodeId): Promise<readonly LlmHeard[]>;
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

  return {
    claim: (claim, to) =>
      Promise.all(
        node
          .members()
          .filter(
            ({ id, isSelf, state, capabilities }) =>
              !isSelf &&
              (state === 'alive' || state === 'suspect') &&
              capabilities.includes(gatewayCapability) &&
              (to === undefined || id === to),
          )
          .map(({ id }) => say(id, claim)),
      ),
    async *follow(gateway, ask, ttlMs, signal) {
      const options = { deadlineMs: ttlMs, signal };
      for await (const bytes of calls.stream(gateway, askMethod, encodeLlmAsk(ask), options)) {
        yield decodeLlmFrame<LlmEvent>(bytes);
      }
    },
  };
}
