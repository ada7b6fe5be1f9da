/** A request on its way through the policy, whatever format it came in. */

import type { QueueClass } from 'mycel/flow';

import type { PrincipalConfig } from '../config/load.ts';
import type { JsonObject } from '../events.ts';

/** One request. */
export interface Ask {
  /** Chosen by the caller once; a repeat with the same id is the same request. */
  readonly id: string;
  /** Whether the caller chose the id, so that it may come again. */
  readonly isIdGiven: boolean;
  readonly kind: 'chat' | 'embeddings';
  /** The request in OpenAI's chat or embeddings format. */
  readonly body: JsonObject;
  readonly principal: PrincipalConfig;
  /** The agent or device behind the principal, for the usage report. */
  readonly agent: string | undefined;
  readonly class: QueueClass;
  /** How long the caller waits, in ms. */
  readonly ttlMs: number;
  readonly isStream: boolean;
  /** False: no waiting for a target that is not asked now, for something else is done then. @default true */
  readonly isPatient?: boolean;
  /** Keep the answer for so long although it is left to chance, in ms; 0: neither look nor keep. */
  readonly cacheMs: number | undefined;
}

/** The name of a request among gateways: ids are its principal's own. */
export function idOf(ask: Pick<Ask, 'principal' | 'id'>): string {
  return `${ask.principal.name}/${ask.id}`;
}

/** The model that was asked for. */
export function modelOf(body: JsonObject): string {
  return typeof body['model'] === 'string' ? body['model'] : '';
}

/** Whether the caller asked for the same answer every time. */
export function isRepeatable(ask: Ask): boolean {
  const { temperature, seed } = ask.body;
  return ask.kind === 'embeddings' || temperature === 0 || typeof seed === 'number';
}

/** Whether two such requests at once may share one answer: nobody asked for chance. */
export function isShareable(ask: Ask): boolean {
  if (ask.cacheMs === 0) return false;
  return isRepeatable(ask) || ask.body['temperature'] === undefined;
}
