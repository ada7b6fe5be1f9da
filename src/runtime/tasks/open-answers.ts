/** How a node bids in the open: it asks once what the work would cost it, and answers every price from that. */

import { BoundedMap } from '../../kernel/bounded-map.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { answerAsk } from '../../protocol/agreement/open-bidding.ts';
import type { TaskSpec } from '../../protocol/agreement/ledger.ts';
import { isOpenRule } from './task-types.ts';
import type { TaskBody } from './task-types.ts';

/** Open auctions that a node takes part in at once; the one entered longest ago is forgotten. */
export const openCallsMax = 256;

/** A call with a price. */
export interface OpenCall {
  readonly from: NodeId;
  readonly epoch: number;
  readonly spec: TaskSpec<TaskBody>;
  readonly ask: number;
  readonly leader: string | undefined;
}

interface Standing<Quote> {
  call: OpenCall;
  /** Undefined: it will not do it; absent while it is found out. */
  quote?: { readonly found: Quote | undefined };
}

/** What answering needs. */
export interface OpenAnswersWorld<Quote> {
  readonly self: NodeId;
  quote(call: OpenCall): Promise<Quote | undefined>;
  /** Offers so much. */
  offer(call: OpenCall, quote: Quote): void;
  drop(call: OpenCall): void;
}

/** The open auctions that a node takes part in. */
export interface OpenAnswers {
  called(call: OpenCall): Promise<void>;
  asked(from: NodeId, task: string, epoch: number, ask: number, leader: string | undefined): void;
}

/** Builds it. */
export function createOpenAnswers<Quote extends { readonly cost: number }>(
  parts: OpenAnswersWorld<Quote>,
): OpenAnswers {
  const standing = new BoundedMap<string, Standing<Quote>>(openCallsMax);

  function answer({ call, quote }: Standing<Quote>): void {
    if (quote === undefined) return;
    const { found } = quote;
    const { rule, costMax } = call.spec.body;
    if (found === undefined || !isOpenRule(rule)) return parts.drop(call);
    if (call.leader === parts.self) return;
    const does = answerAsk(rule, found.cost, call.ask, costMax ?? 0);
    if (does === 'bid') parts.offer(call, found);
    else if (does === 'drop') parts.drop(call);
  }

  return {
    async called(call) {
      const one: Standing<Quote> = { call };
      standing.set(call.spec.id, one);
      one.quote = { found: await parts.quote(call) };
      answer(one);
    },
    asked(from, task, epoch, ask, leader) {
      const one = standing.get(task);
      if (one === undefined || one.call.epoch !== epoch || one.call.from !== from) return;
      one.call = { ...one.call, ask, leader };
      answer(one);
    },
  };
}
