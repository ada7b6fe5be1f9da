/** What every kind of target offers: answers as events, and what it knows of itself. */

import type { Batch, JsonObject } from '../events.ts';
import type { Halt } from '../halt.ts';

/** A request as a target gets it. */
export interface TargetRequest {
  readonly kind: 'chat' | 'embeddings';
  /** The OpenAI request; `model` is already the target's own name for it. */
  readonly body: JsonObject;
  /** Whether the pieces are wanted as they come. */
  readonly isStream: boolean;
  /** Called when nobody wants the answer any more. */
  readonly halt: Halt;
  /** How long an answer may take in all, in ms. */
  readonly ttlMs: number;
}

/** A place that answers. */
export interface Target {
  readonly name: string;
  /**
   * Asks. Ends after `finish`, or throws.
   * @throws {LlmFailure} and nothing else.
   */
  ask(request: TargetRequest): AsyncIterable<Batch>;
  /** The models it says it has. @throws {LlmFailure} */
  listModels(signal: AbortSignal): Promise<readonly string[]>;
  close(): void;
}
