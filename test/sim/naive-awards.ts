/** How tasks are awarded without a ledger: a timeout means another auction. Only to be measured against. */

import type { Core, Millis } from '../../src/kernel/core.ts';
import { defaultChoice } from '../../src/protocol/agreement/auction-rules.ts';
import type {
  AuctioneerEffect,
  AuctioneerInput,
} from '../../src/protocol/agreement/auctioneer-words.ts';

interface Entry {
  readonly spec: Extract<AuctioneerInput<string>, { type: 'submitted' }>['spec'];
  phase: 'bidding' | 'waiting';
  dueAt: Millis;
  repeatAt: Millis;
  epoch: number;
  winner: string | undefined;
  isAccepted: boolean;
  bids: Map<string, number>;
}

/** Knobs of the naive auctioneer. */
export interface NaiveConfig {
  readonly biddingMs: Millis;
  /** Silence after which the task is auctioned again. */
  readonly timeoutMs: Millis;
  /** Awards are repeated until they are accepted. */
  readonly acknowledges: boolean;
}

/** Builds it. The winner is told to start with the award. */
export function createNaiveAuctioneer(
  config: NaiveConfig,
): Core<AuctioneerInput<string>, AuctioneerEffect<string>, number> {
  const live = new Map<string, Entry>();
  let bidders: readonly string[] = [];

  function open(now: Millis, entry: Entry): AuctioneerEffect<string>[] {
    entry.epoch += 1;
    entry.phase = 'bidding';
    entry.dueAt = now + config.biddingMs;
    entry.repeatAt = Infinity;
    entry.bids = new Map();
    const { epoch, spec } = entry;
    return bidders.map((to) => {
      return { type: 'call', to, epoch, spec, closesInMs: config.biddingMs };
    });
  }

  function award(now: Millis, entry: Entry): AuctioneerEffect<string>[] {
    const bids = [...entry.bids].map(([bidder, cost]) => ({ bidder, cost }));
    entry.winner = defaultChoice(entry.spec.id, bids);
    if (entry.winner === undefined) return open(now, entry);
    entry.phase = 'waiting';
    entry.isAccepted = false;
    entry.dueAt = now + config.timeoutMs;
    return [send(now, entry, entry.winner)];
  }

  function send(now: Millis, entry: Entry, to: string): AuctioneerEffect<string> {
    entry.repeatAt = config.acknowledges ? now + 50 : Infinity;
    return { type: 'award', to, task: entry.spec.id, epoch: entry.epoch };
  }

  return {
    step(now, input) {
      const effects: AuctioneerEffect<string>[] = [];
      for (const entry of live.values()) {
        if (entry.dueAt <= now) {
          effects.push(...(entry.phase === 'bidding' ? award(now, entry) : open(now, entry)));
        } else if (entry.repeatAt <= now && !entry.isAccepted && entry.winner !== undefined) {
          effects.push(send(now, entry, entry.winner));
        } else if (entry.repeatAt <= now) entry.repeatAt = Infinity;
      }
      if (input.type === 'bidders') bidders = input.ids;
      if (input.type === 'submitted') {
        const entry: Entry = {
          spec: input.spec,
          phase: 'bidding',
          dueAt: 0,
          repeatAt: Infinity,
          epoch: 0,
          winner: undefined,
          isAccepted: false,
          bids: new Map(),
        };
        live.set(input.spec.id, entry);
        effects.push(...open(now, entry));
      }
      if (input.type === 'bidden') {
        const entry = live.get(input.task);
        if (entry?.phase === 'bidding' && entry.epoch === input.epoch) {
          entry.bids.set(input.from, input.cost);
        }
      }
      if (input.type === 'accepted') {
        const entry = live.get(input.task);
        if (entry !== undefined) entry.isAccepted = true;
      }
      if (input.type === 'finished') {
        const { task, from, epoch } = input;
        live.delete(task);
        effects.push({ type: 'acknowledge', to: from, task, epoch });
      }
      return effects;
    },
    deadline() {
      let soonest = Infinity;
      for (const { dueAt, repeatAt } of live.values()) soonest = Math.min(soonest, dueAt, repeatAt);
      return soonest;
    },
    view: () => live.size,
  };
}
