/** What this gateway knows of requests at the others: who answers, who died over one, and what may be paid for twice. */

import { LRUCache } from 'lru-cache';
import type { LlmClaim, LlmHandle, LlmKnown, NodeId } from 'mycel';

import { LlmFailure } from '../failure.ts';
import { idOf } from '../policy/ask.ts';
import type { Ask } from '../policy/ask.ts';
import type { Engine } from '../policy/engine.ts';

/** Claims of other gateways that are remembered. */
export const claimsMax = 4096;

/** How long, in ms. */
const claimMs = 600_000;

/** How long a target is not asked because another gateway has not heard of it yet, in ms. */
const claimWaitMs = 250;

/** How long a member that asks here for what is answered there is told to wait, in ms. */
const elsewhereMs = 300;

/** Another gateway answers the request. */
export class AnsweredElsewhere extends LlmFailure {
  readonly gateway: NodeId;

  constructor(gateway: NodeId) {
    super('overload', `Gateway ${gateway} answers this request already.`, {
      code: 'answered_elsewhere',
      retryAfterMs: elsewhereMs,
    });
    this.gateway = gateway;
  }
}

/** The claims of one gateway and of those around it. */
export interface Word {
  /** Who answers a request that nothing is known of here; undefined: nobody, it may begin here. Counts what may be paid for twice. */
  whoAnswers(id: string, isRepeat: boolean): Promise<NodeId | undefined>;
  /** Another gateway says something; gives what is known here. */
  heard(claim: LlmClaim, by: NodeId): LlmKnown;
  /** A gateway that was answering is gone. */
  lost(id: string): void;
  /** So many requests were being answered when this gateway ended, and are asked for again. */
  doubt(count: number): void;
  possibleDoubleBills(): number;
}

/** Tells the others of what this gateway does, and remembers what they say. */
export function createWord(engine: Engine, self: NodeId, llm: Pick<LlmHandle, 'claimer'>): Word {
  const claims = new LRUCache<string, NodeId>({ max: claimsMax, ttl: claimMs });
  let doubleBills = 0;

  /** The others agree on who goes on when two begin at once: the smaller one, unless the other has asked a target already. */
  async function claim(ask: Ask): Promise<void> {
    const { claimer } = llm;
    if (claimer === undefined || !ask.isIdGiven) return;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<readonly []>((resolve) => {
      timer = setTimeout(() => resolve([]), claimWaitMs);
    });
    const said = claimer.claim({ id: idOf(ask), state: 'dispatched' });
    const heard = await Promise.race([said, late]);
    clearTimeout(timer);
    for (const { gateway, known } of heard) {
      if (known === 'answering' || (known === 'claiming' && gateway < self))
        throw new AnsweredElsewhere(gateway);
    }
  }

  function tell(ask: Ask, state: LlmClaim['state']): void {
    if (ask.isIdGiven) void llm.claimer?.claim({ id: idOf(ask), state });
  }

  engine.beforeDispatch(({ ask }) => claim(ask));
  engine.onLanded(({ ask, outcome }) =>
    tell(ask, outcome?.failure === undefined ? 'done' : 'void'),
  );

  const isThere = (known: LlmKnown | undefined): boolean =>
    known === 'answering' || known === 'claiming';

  return {
    async whoAnswers(id, isRepeat) {
      const by = claims.get(id);
      if (by === undefined && !isRepeat) return undefined;
      const heard = (await llm.claimer?.claim({ id, state: 'query' }, by)) ?? [];
      const there = heard.find(({ known }) => isThere(known));
      if (there !== undefined) return there.gateway;
      // It asked a target, or may have, and nobody can say what came of it.
      doubleBills += 1;
      claims.delete(id);
      return undefined;
    },
    heard({ id, state }, by) {
      if (state === 'dispatched' || state === 'done') claims.set(id, by);
      else if (state === 'void' && claims.get(id) === by) claims.delete(id);
      return engine.known(id);
    },
    lost(id) {
      if (claims.delete(id)) doubleBills += 1;
    },
    doubt(count) {
      doubleBills += count;
    },
    possibleDoubleBills: () => doubleBills,
  };
}
