/** Language models as programs see them: a request, an answer in steps, and who gives it. */

import type { Millis } from '../kernel/core.ts';
import type { NodeId } from '../kernel/ids.ts';

/** What an answer used, in tokens. */
export interface LlmUsage {
  readonly inputTokens: number;
  readonly outputTokens: number;
  /** Part of the input that the provider had cached. */
  readonly cachedTokens: number;
  /** Part of the output that nobody sees. */
  readonly reasoningTokens: number;
}

/** Fields of an OpenAI answer that have no event of their own; handed on as they came. */
export interface LlmExtraFields {
  readonly delta?: Readonly<Record<string, unknown>>;
  readonly choice?: Readonly<Record<string, unknown>>;
  readonly answer?: Readonly<Record<string, unknown>>;
}

/** A step of an answer. A complete answer has exactly one `finish` after its last `start` or `reset`. */
export type LlmEvent =
  /** An attempt at a target has begun to answer. */
  | { readonly type: 'start'; readonly target: string; readonly model: string }
  | { readonly type: 'text'; readonly text: string; readonly extra?: LlmExtraFields }
  | { readonly type: 'think'; readonly text: string }
  /** A piece of a tool call; `id` and `name` come with its first piece. */
  | {
      readonly type: 'tool';
      readonly index: number;
      readonly id?: string;
      readonly name?: string;
      readonly input?: string;
    }
  | { readonly type: 'finish'; readonly reason: string }
  | { readonly type: 'usage'; readonly usage: LlmUsage }
  /** The vectors of an embeddings request, in the order of its inputs. */
  | { readonly type: 'vectors'; readonly vectors: readonly (readonly number[])[] }
  /** What came before is void: another target begins anew. */
  | { readonly type: 'reset'; readonly attempt: number };

/** Where a reader of an answer is: so many batches of one run of it. */
export interface LlmPlace {
  /** One run of one gateway; another run of the same request may say something else. */
  readonly run: string;
  readonly next: number;
}

/** A request of a member, as a gateway gets it. */
export interface LlmAsk {
  /** Chosen by the asker once, and the same for every repeat: the same id is the same request. */
  readonly id: string;
  readonly kind: 'chat' | 'embeddings';
  /** An OpenAI request. */
  readonly body: Readonly<Record<string, unknown>>;
  /** 0 interactive, 1 normal, 2 batch. */
  readonly class: 0 | 1 | 2;
  readonly isStream: boolean;
  /** Keep the answer for so long although it is left to chance, in ms; 0: neither look nor keep. */
  readonly cacheMs: number | undefined;
  /** The agent that asks, for the usage report. */
  readonly agent: string | undefined;
  /** What the asker has already. */
  readonly from: LlmPlace | undefined;
  /** Whether it was sent to some gateway before that did not say what became of it: it may have been paid for. */
  readonly isRepeat: boolean;
  /** Asked by another gateway for a principal of its own: only an answer that is under way or kept is given. */
  readonly onBehalfOf: string | undefined;
}

/** Batches of an answer from some place on. */
export interface LlmReading {
  readonly run: string;
  /** @throws {MycelError} MYCEL_LLM_FAILED */
  readonly batches: AsyncIterable<{ readonly events: readonly LlmEvent[]; readonly next: number }>;
}

/** What a gateway tells of itself. */
export interface LlmAdvert {
  readonly models: readonly {
    readonly name: string;
    readonly isEmbeddings: boolean;
    readonly context?: number;
  }[];
  readonly inflight: number;
  readonly targets: readonly Readonly<Record<string, unknown>>[];
  /** Requests since its start that another gateway may have been billed for, too. */
  readonly possibleDoubleBills?: number;
  /** What its owner should know of, in one sentence. */
  readonly trouble?: string;
}

/**
 * What a gateway says of a request to another one: `dispatched` before it asks a target, so that nobody asks and pays a
 * second time; `done` when an answer is kept; `void` when the request may be taken up by anybody; `query` tells nothing.
 */
export interface LlmClaim {
  /** The principal and the id it chose, as gateways join them. */
  readonly id: string;
  readonly state: 'dispatched' | 'done' | 'void' | 'query';
}

/** What the other one knows of it: `claiming` has not asked a target yet, `answering` has, or keeps the answer. */
export type LlmKnown = 'nothing' | 'claiming' | 'answering';

/** A gateway asks another one for a part of a budget that both have. */
export interface LlmLoanWish {
  readonly account: string;
  readonly unit: string;
  readonly period: string;
  /** The number of the running period, as the asker counts it. */
  readonly stamp: number;
  /** The whole budget and in how many parts it is held: both must have the same. */
  readonly max: number;
  readonly gateways: number;
  readonly amount: number;
}

/** What it gets. */
export interface LlmLoan {
  /** All that it was ever given by this gateway in this period: a repeat gives nothing twice. */
  readonly sum: number;
  /** Whether there may be more once answers under way are settled. */
  readonly mayBeMore: boolean;
}

/** Who answers on a node: a gateway. */
export interface LlmProvider {
  /** @throws {MycelError} MYCEL_LLM_FAILED */
  ask(ask: LlmAsk, caller: NodeId, ttlMs: Millis, signal: AbortSignal): Promise<LlmReading>;
  advert(): LlmAdvert;
  /** The usage report, plain data. */
  usage(): readonly Readonly<Record<string, unknown>>[];
  claimed(claim: LlmClaim, by: NodeId): LlmKnown;
  /** Gives away a part of a budget; undefined: it has no such budget. What is given is on the disk by then. */
  lend(wish: LlmLoanWish, to: NodeId): Promise<LlmLoan | undefined>;
}
