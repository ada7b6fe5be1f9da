/** What an auction hears from contractors, and what it says of itself to people: its core only says what, not why. */

import type { AuctioneerInput } from '../../protocol/agreement/auctioneer-words.ts';
import type { LedgerRecord } from '../../protocol/agreement/ledger.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { PricingOutcome } from './pricing.ts';
import type { ShownBid, TaskBody, TaskRecord } from './task-types.ts';
import type { TaskWord } from './task-words.ts';

/** What an auction knows besides its record. */
export interface AuctionFacts {
  readonly bids: ReadonlyMap<string, ShownBid>;
  readonly outcome: PricingOutcome | undefined;
  /** Why it is given up. */
  readonly reason: string;
}

/** Says why a task stands where it stands next. */
export function reasonOf(
  was: TaskRecord,
  next: LedgerRecord<TaskBody>,
  { bids, outcome, reason }: AuctionFacts,
): string {
  const before = was.ledger;
  if (next.state === 'awarded') {
    if (outcome !== undefined) return outcome.why;
    const [best, second] = [...bids.values()].sort((one, other) => one.cost - other.cost);
    const of = `the lowest of ${bids.size} bids`;
    const then = second === undefined ? '' : `, the next is ${second.cost}`;
    return best === undefined ? of : `${best.cost} is ${of}${then}`;
  }
  if (next.state === 'running' || next.state === 'done') return was.reason;
  if (next.state === 'open' && before.winner !== undefined) {
    return `${before.winner.slice(0, 12)} did not ${before.state === 'running' ? 'finish: it failed, or was not heard of for a lease' : 'accept'}; it is auctioned again`;
  }
  if (next.state === 'failed') return String(next.result).slice(0, 500);
  if (next.state === 'cancelled') return reason;
  return 'bids are taken';
}

/** A contractor's word as its auctioneer takes it; undefined: it is not for an auctioneer. */
export function inputOf(from: NodeId, word: TaskWord): AuctioneerInput<TaskBody> | undefined {
  switch (word.t) {
    case 'bid':
      return { type: 'bidden', from, task: word.task, epoch: word.epoch, cost: word.cost };
    case 'decline':
      return { type: 'declined', from, task: word.task, epoch: word.epoch };
    case 'accept':
      return { type: 'accepted', from, task: word.task, epoch: word.epoch };
    case 'renew':
      return { type: 'renewed', from, task: word.task, epoch: word.epoch, turn: word.turn };
    case 'report': {
      const { task, epoch, outcome, result } = word;
      return { type: 'finished', from, task, epoch, outcome, result };
    }
    default:
      return undefined;
  }
}
